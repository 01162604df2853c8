// Other sales, for those who cannot or need not buy this one: at most three, those that
// are on first. Loaded behind everything else, and only then.

import { getRounds, getState } from './api.js';
import { dayAndTime, price, sign } from './format.js';
import { lang, onLang, t } from './i18n.js';
import { art, node } from './node.js';
import { inOrder, roundAt } from './round.js';

const MOST = 3;
/** No more products than these are looked at: everybody does so when one sells out. */
const LOOKED_AT = 6;

/** The products beside `page` whose rounds are not over, those that are on first. Pure. */
export function others(rounds, page, now) {
  const open = inOrder(rounds, now).filter((round) => roundAt(round, now) !== 'ended');
  return open.flatMap((round) => round.products.map((product) => ({ ...product, round }))).filter((it) => it.page !== page);
}

/** The first few that can be bought now or later; `stateOf` is the edge's word on each, which knows of early ends. */
export async function onOffer(candidates, stateOf) {
  const found = [];
  for (const it of candidates.slice(0, LOOKED_AT)) {
    if (found.length === MOST) break;
    const state = await stateOf(it);
    if (state === 'open' || state === 'scheduled') found.push({ ...it, state });
  }
  return found;
}

/** Fills `place`; leaves it hidden if there is nothing to show. */
export async function showMore(place, page, now) {
  const { data } = await getRounds();
  const stateOf = async (it) => (await getState(it.round.id, it.id)).data?.state;
  const some = await onOffer(others(data?.rounds ?? [], page, now), stateOf);
  if (!some.length) return;
  onLang(() => {
    place.replaceChildren(
      node('h2', {}, t('more.title')),
      node('div', { class: 'more-cards' }, ...some.map((it) => node('a', { class: 'more-card', href: it.page }, art(it.id, it.picture, '140px'),
        node('b', { dir: 'auto' }, it.title),
        node('span', { class: 'price' }, node('small', {}, sign), price(it.price_cents)),
        node('span', { class: 'more-state' }, it.state === 'open' ? t('round.open') : t('button.scheduled', { time: dayAndTime(it.round.starts_ms, now, lang()) }))))),
    );
  });
  place.hidden = false;
}
