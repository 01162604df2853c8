// The start page: today's rounds by the edge's clock, and the demo login.

import { getRounds, getState } from './api.js';
import { watchAccount } from './account.js';
import { count, countdown, isoDay, longDay, percentOff, price, timeOfDay } from './format.js';
import { lang, onLang, speak, t } from './i18n.js';
import { art as picture, node } from './node.js';
import { inOrder, leftOf, roundAt } from './round.js';
import { keepTime } from './time.js';
import { watchPurchases } from './watch.js';

const REFRESH_MS = 30_000;
const RETRY_MS = 4_000;
const STATE_MS = 2_000;

const list = document.querySelector('#rounds');
const soldOut = new Set();
const onScreen = new Set();
const watcher = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) onScreen[isIntersecting ? 'add' : 'delete'](target);
  askStates();
});

let rounds = null;
let lost = false;
let drawn = '';
let live = [];
let timer = 0;
let asking = false;

speak();
const nextStart = () => Math.min(...(rounds ?? []).map((r) => r.starts_ms).filter((ms) => ms > time.now()));
const time = keepTime(() => nextStart() - time.now(), read);
let user;
watchAccount(
  (name) => {
    user = name;
  },
  () => document.querySelector('#user').focus(),
);

watchPurchases(() => user, () => time.now());

async function read() {
  clearTimeout(timer);
  const day = (await getRounds()).data;
  lost = !Array.isArray(day?.rounds);
  if (!lost) rounds = day.rounds;
  draw();
  // Nobody needs the list to the second; a crowd should not fetch it all at once.
  timer = setTimeout(read, (lost ? RETRY_MS : REFRESH_MS) * (0.8 + 0.4 * Math.random()));
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
  list.replaceChildren(...(shown.length ? shown.map((r) => section(r, now)) : [nothing(word)]));
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

function section(round, now) {
  const where = roundAt(round, now);
  const boxes = [0, 1, 2].map(() => node('span', { class: 'box' }, '--'));
  const label = node('span', { class: 'left-label' });
  if (where !== 'ended') live.push({ round, boxes, label, where });
  const clock = node('p', { class: 'boxes' }, label, boxes[0], node('i', {}, ':'), boxes[1], node('i', {}, ':'), boxes[2]);
  clock.hidden = where === 'ended';
  return node(
    'section',
    { class: 'round', 'data-round': round.id, 'data-state': where, 'aria-label': round.name },
    node(
      'header',
      {},
      node(
        'div',
        {},
        node('h2', {}, round.name, ' ', node('span', { class: 'chip' }, t(`round.${where}`))),
        node('p', {}, `${timeOfDay(round.starts_ms, lang())} – ${timeOfDay(round.ends_ms, lang())}`),
      ),
      clock,
    ),
    node('div', { class: 'cards' }, ...round.products.map((p) => card(round, p, where))),
  );
}

function card(round, product, where) {
  const off = percentOff(product.price_cents, product.list_price_cents);
  const go = node('span', { class: 'go' }, t(`card.${where}`));
  const art = picture(product.id);
  if (off > 0) art.append(node('span', { class: 'off' }, t('off', { percent: off })));
  const prices = node('p', { class: 'prices' }, node('span', { class: 'price' }, node('small', {}, '¥'), price(product.price_cents)));
  if (off > 0) {
    prices.append(node('s', {}, node('span', { class: 'unseen' }, t('price.list')), ` ¥${price(product.list_price_cents)}`));
  }
  const made = node(
    'a',
    { class: 'card', href: product.page, 'data-state': where, 'data-product': product.id },
    art,
    node(
      'div',
      { class: 'card-body' },
      node('h3', {}, product.title),
      node('p', { class: 'card-facts' },
        `${t('fact.amount.value', { n: count(product.amount, lang()) })} · ${t('fact.per_buyer.value', { n: product.per_buyer })}`),
      node('div', { class: 'card-foot' }, prices, go),
    ),
  );
  made.sale = { round: round.id, product: product.id, where, go };
  if (where === 'open') watcher.observe(made);
  mark(made);
  return made;
}

function mark(made) {
  const { round, product, where, go } = made.sale;
  const state = where === 'open' && soldOut.has(`${round}-${product}`) ? 'sold_out' : where;
  made.dataset.state = state;
  go.textContent = t(`card.${state}`);
}

/** Only cards on the screen fetch their state: a long day must not become a flood. */
async function askStates() {
  if (asking || document.visibilityState !== 'visible' || !navigator.onLine) return;
  asking = true;
  const cards = [...onScreen];
  await Promise.all([0, 1, 2].map((lane) => askLane(cards.filter((_, i) => i % 3 === lane))));
  asking = false;
}

async function askLane(cards) {
  for (const made of cards) {
    const { round, product } = made.sale;
    const { data } = await getState(round, product);
    if (!data?.state) continue;
    soldOut[data.state === 'sold_out' ? 'add' : 'delete'](`${round}-${product}`);
    mark(made);
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
  read();
}

setInterval(tick, 100);
setInterval(askStates, STATE_MS * (0.8 + 0.4 * Math.random()));
document.addEventListener('visibilitychange', refresh);
window.addEventListener('pageshow', (event) => event.persisted && refresh());
window.addEventListener('online', refresh);
onLang(draw);
