// The start page: today's rounds by the edge's clock, and the demo login.

import { getRounds, getState } from './api.js';
import { read } from './basket.js';
import { watchAccount } from './account.js';
import { count, countdown, isoDay, longDay, money, nearDay, percentOff, price, sign, span, timeOfDay } from './format.js';
import { lang, onLang, speak, t } from './i18n.js';
import { readLeft, shareOf } from './left.js';
import { art as picture, keepFocus, node } from './node.js';
import { isReached, onReach } from './reach.js';
import { inOrder, leftOf, productAt, roundAt, wholeAt } from './round.js';
import { hasReminder, moveReminders } from './remind.js';
import { keepTime } from './time.js';
import { watchPurchases } from './watch.js';

const REFRESH_MS = 30_000;
const RETRY_MS = 4_000;
const STATE_MS = 2_000;
/** What is still to come changes seldom: as often as the product's own page asks. */
const STATE_AHEAD_MS = 30_000;

const list = document.querySelector('#rounds');
const slots = document.querySelector('#slots');
// What the edge said last of each product.
const said = new Map();
const onScreen = new Set();
const watcher = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) onScreen[isIntersecting ? 'add' : 'delete'](target);
  askStates();
});

let rounds = null;
let left = null;
let lost = false;
let drawn = '';
let live = [];
let timer = 0;
let asking = false;

await speak();
const nextStart = () => Math.min(...(rounds ?? []).map((r) => r.starts_ms).filter((ms) => ms > time.now()));
const time = keepTime(() => nextStart() - time.now(), readDay);
let user;
watchAccount(
  (name) => {
    user = name;
    for (const made of list.querySelectorAll('.card')) mark(made);
  },
  () => document.querySelector('#user').focus(),
);

watchPurchases(() => user, () => time.now(), null, () => {
  for (const made of list.querySelectorAll('.card')) mark(made);
});

async function readDay() {
  clearTimeout(timer);
  const day = (await getRounds()).data;
  lost = !Array.isArray(day?.rounds);
  if (!lost) {
    rounds = day.rounds;
    moveReminders(Object.fromEntries(rounds.map((it) => [it.id, it.starts_ms])));
  }
  draw();
  // Nobody needs the list to the second; a crowd should not fetch it all at once.
  timer = setTimeout(readDay, (lost ? RETRY_MS : REFRESH_MS) * (0.8 + 0.4 * Math.random()));
}

function draw() {
  const now = time.now();
  if (now === null || (rounds === null && !lost)) return;
  document.querySelector('#day').textContent = longDay(now, lang());
  const shown = rounds === null ? [] : inOrder(rounds, now);
  const sketch = JSON.stringify([lang(), lost && rounds === null, isoDay(now), shown.map((r) => [r, roundAt(r, now)])]);
  if (sketch === drawn) return;
  drawn = sketch;
  live = [];
  watcher.disconnect();
  onScreen.clear();
  const word = rounds === null ? 'day.lost' : 'day.empty';
  keepFocus(() => {
    list.replaceChildren(...(shown.length ? shown.map((r) => section(r, now)) : [nothing(word)]));
    drawSlots(shown, now);
  });
  list.setAttribute('aria-busy', 'false');
  tick();
}

function nothing(word) {
  document.querySelector('#say').textContent = t(word);
  return node(
    'div',
    { class: 'nothing', 'data-state': word },
    picture('4'),
    node('h2', {}, t(word)),
    node('p', {}, t(`${word}.do`)),
  );
}

/** The rounds as time slots, in the order of the day, each a way to its goods. */
function drawSlots(shown, now) {
  const inTime = [...shown].sort((a, b) => a.starts_ms - b.starts_ms);
  slots.replaceChildren(...inTime.map((round) => {
    const where = roundAt(round, now);
    const state = node('span', {}, t(`round.${where}`));
    const link = node('a', { class: 'slot', href: `#round-${round.id}`, 'data-state': where, 'data-slot': round.id, 'data-focus': `slot ${round.id}` },
      node('b', {}, timeOfDay(round.starts_ms, lang())), node('span', {}, `${nearDay(round.starts_ms, now, lang())} · `, state));
    return node('li', {}, link);
  }));
  for (const round of shown) markRound(round.id);
}

/** A round that is stopped as a whole is not called on, whatever the calendar says. */
function markRound(id) {
  const made = document.getElementById(`round-${id}`);
  const slot = slots.querySelector(`[data-slot="${CSS.escape(id)}"]`);
  const cards = made ? [...made.querySelectorAll('.card')] : [];
  if (!slot || !cards.length) return;
  const { where } = cards[0].sale;
  const state = wholeAt(where, cards.map((it) => it.dataset.state));
  if (made.dataset.state === state) return;
  const word = t(state === where ? `round.${state}` : `card.${state}`);
  for (const it of [made, slot]) it.dataset.state = state;
  made.querySelector('.chip').textContent = word;
  slot.querySelector('span span').textContent = word;
  made.querySelector('header > .boxes').hidden = state === 'ended' || state === 'withdrawn';
}

/** The reminder of a round that is still to come. */
function reminder(round) {
  const button = node('button', { class: 'remind-button', type: 'button', 'data-focus': `remind ${round.id}` });
  const draw = () => {
    button.textContent = t(hasReminder(round.id) ? 'remind.on' : 'remind');
    button.setAttribute('aria-label', `${button.textContent}: ${round.name}`);
  };
  button.addEventListener('click', async () => {
    const { openReminder } = await import('./remind-view.js');
    const title = `${t('shop.name')} · ${round.name}`;
    openReminder({ round: round.id, title, from: round.starts_ms, to: round.ends_ms, url: '/' }, time.now(), draw);
  });
  draw();
  return button;
}

function section(round, now) {
  const where = roundAt(round, now);
  const boxes = [0, 1, 2].map(() => node('span', { class: 'box' }, '--'));
  const label = node('span', { class: 'left-label' });
  if (where !== 'ended') live.push({ round, boxes, label, where });
  const clock = node('p', { class: 'boxes' }, label, boxes[0], node('i', {}, ':'), boxes[1], node('i', {}, ':'), boxes[2]);
  clock.hidden = where === 'ended';
  return node(
    'section',
    { class: 'round', id: `round-${round.id}`, 'data-round': round.id, 'data-state': where, 'aria-label': round.name },
    node(
      'header',
      {},
      node(
        'div',
        {},
        node('h2', {}, node('span', { dir: 'auto' }, round.name), ' ', node('span', { class: 'chip' }, t(`round.${where}`))),
        node('p', {}, node('bdi', { dir: 'auto' }, span(round.starts_ms, round.ends_ms, now, lang())), where === 'scheduled' ? [' ', reminder(round)] : null),
      ),
      clock,
    ),
    node('div', { class: 'cards' }, ...round.products.map((p) => card(round, p, where))),
  );
}

function card(round, product, where) {
  const off = percentOff(product.price_cents, product.list_price_cents);
  const go = node('span', { class: 'go' }, t(`card.${where}`));
  const art = picture(product.id, product.picture, '(min-width: 900px) 340px, 116px');
  if (off > 0) art.append(node('span', { class: 'off' }, t('off', { percent: off })));
  const prices = node('p', { class: 'prices' }, node('span', { class: 'price' }, node('small', {}, sign), price(product.price_cents)));
  if (off > 0) {
    prices.append(node('s', {}, node('span', { class: 'unseen' }, t('price.list')), ` ${money(product.list_price_cents)}`));
  }
  const fill = node('i');
  const soldText = node('span');
  const sold = node('div', { class: 'sold' }, node('span', { class: 'sold-bar', 'aria-hidden': 'true' }, fill), soldText);
  const mine = node('span', { class: 'mine', hidden: '' });
  art.append(mine);
  const made = node(
    'a',
    { class: 'card', href: product.page, 'data-state': where, 'data-product': product.id, 'data-focus': `card ${round.id}-${product.id}` },
    art,
    node(
      'div',
      { class: 'card-body' },
      node('h3', { dir: 'auto' }, product.title),
      node('p', { class: 'card-facts' },
        `${t('fact.amount.value', { n: count(product.amount, lang()) })} · ${t('fact.per_buyer.value', { n: product.per_buyer })}`),
      sold,
      node('div', { class: 'card-foot' }, prices, go),
    ),
  );
  made.sale = { round: round.id, product: product.id, where, go, fill, sold, soldText, mine };
  if (where !== 'ended') watcher.observe(made);
  mark(made);
  return made;
}

/** What a card says of one's own purchase, by its status. */
const MINE = { processing: 'processing', succeeded: 'processing', unknown: 'processing', ordered: 'ordered', paid: 'paid' };

function mark(made) {
  const { round, product, where, go, fill, sold, soldText, mine } = made.sale;
  const state = productAt(where, said.get(`${round}-${product}`)?.state);
  made.dataset.state = state;
  go.textContent = t(`card.${state}`);
  const status = user ? MINE[read(user)[`${round}-${product}`]?.status] : null;
  mine.hidden = !status;
  if (status) mine.textContent = t(`mine.${status}`);
  const share = state === 'open' ? shareOf(left, `${round}-${product}`, time.now()) : null;
  sold.classList.toggle('is-known', share !== null);
  if (!share) return;
  soldText.textContent = `${t('left.sold', { percent: share.percent })} · ${t('left.items', { n: count(share.left, lang()) })}`;
  fill.style.inlineSize = `${share.percent}%`;
}

/** Only cards on the screen fetch their state: a long day must not become a flood. */
async function askStates() {
  if (asking || document.visibilityState !== 'visible' || !isReached()) return;
  asking = true;
  const due = (made) => performance.now() - (said.get(`${made.sale.round}-${made.sale.product}`)?.at ?? -Infinity) >= STATE_AHEAD_MS;
  const cards = [...onScreen].filter((made) => made.sale.where === 'open' || due(made));
  if (cards.length) left = (await readLeft()) ?? left;
  await Promise.all([0, 1, 2].map((lane) => askLane(cards.filter((_, i) => i % 3 === lane))));
  asking = false;
}

async function askLane(cards) {
  for (const made of cards) {
    const { round, product } = made.sale;
    const { data } = await getState(round, product);
    const id = `${round}-${product}`;
    said.set(id, { state: data?.state ?? said.get(id)?.state, at: performance.now() });
    if (!data?.state) continue;
    mark(made);
    markRound(round);
  }
}

function tick() {
  const now = time.now();
  if (now === null) return;
  document.querySelector('#shop-time').textContent = timeOfDay(now, lang(), true);
  for (const { round, boxes, label, where } of live) {
    const left = leftOf(round, now) ?? 0;
    const shown = countdown(Math.max(0, left));
    shown.boxes.forEach((text, i) => {
      boxes[i].textContent = text;
    });
    const days = shown.days > 0 ? ` ${t('left.days', { days: shown.days })}` : '';
    label.textContent = t(where === 'scheduled' ? 'left.opens' : 'left.ends') + days;
  }
  if (live.some(({ round, where }) => roundAt(round, now) !== where)) draw();
}

function refresh() {
  if (document.visibilityState !== 'visible' || time.now() === null) return;
  time.resample();
  readDay();
}

setInterval(tick, 100);
setInterval(askStates, STATE_MS * (0.8 + 0.4 * Math.random()));
document.addEventListener('visibilitychange', refresh);
window.addEventListener('pageshow', (event) => event.persisted && refresh());
onReach((reached) => reached && refresh());
onLang(draw);
