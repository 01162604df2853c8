// Other sales, for those who cannot or need not buy this one: at most three, those that
// are on first. Loaded behind everything else, and only then.

import { getRounds } from './api.js';
import { price, sign, timeOfDay } from './format.js';
import { lang, onLang, t } from './i18n.js';
import { art, node } from './node.js';
import { inOrder, roundAt } from './round.js';

const MOST = 3;

/** The products to show beside `page`. Pure. */
export function others(rounds, page, now) {
  const open = inOrder(rounds, now).filter((round) => roundAt(round, now) !== 'ended');
  return open.flatMap((round) => round.products.map((product) => ({ ...product, round }))).filter((it) => it.page !== page).slice(0, MOST);
}

/** Fills `place`; leaves it hidden if there is nothing to show. */
export async function showMore(place, page, now) {
  const { data } = await getRounds();
  const some = others(data?.rounds ?? [], page, now);
  if (!some.length) return;
  onLang(() => {
    place.replaceChildren(
      node('h2', {}, t('more.title')),
      node('div', { class: 'more-cards' }, ...some.map((it) => node('a', { class: 'more-card', href: it.page }, art(it.id, it.picture, '140px'),
        node('b', { dir: 'auto' }, it.title),
        node('span', { class: 'price' }, node('small', {}, sign), price(it.price_cents)),
        node('span', { class: 'more-state' }, roundAt(it.round, now) === 'open' ? t('round.open') : t('button.scheduled', { time: timeOfDay(it.round.starts_ms, lang()) }))))),
    );
  });
  place.hidden = false;
}
