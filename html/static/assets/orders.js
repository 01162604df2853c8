// The buyer's orders, newest first, page by page.

import { watchAccount } from './account.js';
import { getOrders } from './api.js';
import * as basket from './basket.js';
import { dayAndTime, isoDay, price, sign } from './format.js';
import { lang, learn, onLang, speak, t } from './i18n.js';
import { loginDialog } from './login-dialog.js';
import { art, keepFocus, node } from './node.js';
import { orderUrl, payClock, standing, wordOf } from './order-words.js';
import { onReach } from './reach.js';
import { BASKET, onSavedElsewhere } from './store.js';
import { keepTime } from './time.js';
import { watchPurchases } from './watch.js';
import * as more from './words-orders.js';

const RETRY_MS = 4_000;
const REFRESH_MS = 30_000;

const main = document.querySelector('#main');
const list = document.querySelector('#list');
const paging = document.querySelector('#paging');
const [newer, older] = [document.querySelector('#newer'), document.querySelector('#older')];

let user;
let shown = null; // { orders, page, more }
let lost = false;
let timer = 0;
let reading = 0;
let drawn = '';

learn(more);
await speak();
const dialog = loginDialog();
const time = keepTime(() => 60_000, () => draw());
const account = watchAccount(signedIn, () => dialog.open());
watchPurchases(() => user, () => time.now());

function signedIn(next) {
  if (next === user) return;
  user = next;
  shown = null;
  dialog.close();
  read();
}

const has = (key) => t(key) !== null;
const pageAsked = () => Math.max(1, Math.trunc(Number(new URLSearchParams(location.search).get('page'))) || 1);

async function read() {
  clearTimeout(timer);
  if (!user) return draw();
  const mine = (reading += 1);
  const answer = await getOrders(pageAsked());
  if (mine !== reading) return;
  if (answer.code === 'login_required') return account.expired();
  // A page that does not exist, of an old link perhaps, says nothing about the orders.
  if (pageAsked() > 1 && (answer.code === 'bad_request' || answer.data?.orders?.length === 0)) {
    history.replaceState(null, '', location.pathname);
    return read();
  }
  lost = !answer.data?.orders;
  if (!lost) {
    shown = answer.data;
    keep(shown.orders);
  }
  draw();
  timer = setTimeout(read, lost ? RETRY_MS : REFRESH_MS);
}

/** The other pages follow what is unpaid. */
function keep(orders) {
  const now = time.now();
  if (now === null) return;
  for (const it of [...orders].reverse()) {
    const known = basket.read(user)[`${it.round}-${it.product}`];
    if (it.status !== 'created' && known?.order !== it.order) continue;
    const status = it.status === 'created' ? 'ordered' : it.status;
    basket.note(user, `${it.round}-${it.product}`, { title: it.title, status, order: it.order, payBy: it.pay_by_ms }, now);
  }
}

function state() {
  if (user === undefined) return 'loading';
  if (!user) return 'login';
  if (shown) return shown.orders.length ? 'orders' : 'empty';
  return lost ? 'lost' : 'loading';
}

function draw() {
  const where = state();
  const now = time.now();
  if (where === 'loading' || now === null) return;
  const sketch = JSON.stringify([where, lang(), shown, isoDay(now), shown?.orders.map((it) => standing(it, now))]);
  if (sketch === drawn) return;
  drawn = sketch;
  main.dataset.state = where;
  list.setAttribute('aria-busy', 'false');
  keepFocus(() => list.replaceChildren(...(where === 'orders' ? shown.orders.map((it) => row(it, now)) : [nothing(where)])));
  paging.hidden = !shown || (shown.page === 1 && !shown.more);
  if (shown) {
    newer.disabled = shown.page === 1;
    older.disabled = !shown.more;
    document.querySelector('#page').textContent = t('orders.page', { n: shown.page });
  }
}

function nothing(where) {
  document.querySelector('#say').textContent = t(`orders.${where}`);
  const box = node('div', { class: 'nothing' }, art('4'), node('h2', {}, t(`orders.${where}`)), node('p', {}, t(`orders.${where}.do`)));
  if (where === 'login') {
    const button = node('button', { class: 'solid', type: 'button' }, t('account.login'));
    button.addEventListener('click', () => dialog.open());
    box.append(button);
  } else if (where === 'empty') {
    box.append(node('a', { class: 'link', href: '/' }, t('back')));
  }
  return box;
}

function row(it, now) {
  const where = standing(it, now);
  const clock = where === 'created' ? node('b', { class: 'row-clock', 'data-pay-by': it.pay_by_ms }, payClock(it, now, t)) : null;
  return node(
    'a',
    { class: 'order-row', href: orderUrl(it), 'data-status': where, 'data-order': it.order, 'data-focus': `order ${it.order}` },
    art(it.product, it.picture),
    node(
      'div',
      { class: 'row-words' },
      node('h2', { dir: 'auto' }, it.title ?? it.product),
      node('p', {}, `${dayAndTime(it.created_ms, now, lang())} · ${t('order.number')} `, node('span', { class: 'number' }, it.order)),
    ),
    node(
      'div',
      { class: 'row-end' },
      node('b', { class: 'price' }, node('small', {}, sign), price(it.total_cents)),
      node('span', { class: 'chip' }, t(wordOf(`status.${it.status}`, it, has)), clock ? ' ' : null, clock),
    ),
  );
}

function tick() {
  const now = time.now();
  if (now === null) return;
  for (const clock of list.querySelectorAll('[data-pay-by]')) {
    const it = { status: 'created', pay_by_ms: Number(clock.dataset.payBy) };
    const text = payClock(it, now, t);
    if (clock.textContent === text) continue;
    clock.textContent = text;
    if (now >= it.pay_by_ms) read();
  }
}

function turn(step) {
  const page = pageAsked() + step;
  history.pushState(null, '', page === 1 ? location.pathname : `?page=${page}`);
  read().then(() => window.scrollTo(0, 0));
}

const refresh = () => document.visibilityState === 'visible' && read();
newer.addEventListener('click', () => turn(-1));
older.addEventListener('click', () => turn(1));
setInterval(tick, 250);
window.addEventListener('popstate', read);
onReach((reached) => reached && refresh());
onSavedElsewhere(BASKET, refresh);
window.addEventListener('pageshow', (event) => event.persisted && refresh());
document.addEventListener('visibilitychange', refresh);
onLang(draw);
