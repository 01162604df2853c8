// One order: its state, its payment clock, paying, cancelling, and refunds.

import { watchAccount } from './account.js';
import { cancelOrder, getOrder, keepDetails, payOrder, payWith } from './api.js';
import * as basket from './basket.js';
import { dateAndTime, dayAndTime, isolated, money } from './format.js';
import { lang, learn, onLang, speak, t } from './i18n.js';
import { loginDialog } from './login-dialog.js';
import { art, node, replace } from './node.js';
import { advice, isPayUrl, pageOf, payClock, refunds, standing, tooLate, ways, wordOf } from './order-words.js';
import { isReached, onReach } from './reach.js';
import { BASKET, onSavedElsewhere } from './store.js';
import { keepTime } from './time.js';
import { watchPurchases } from './watch.js';
import * as more from './words-orders.js';

const EVERY_MS = 5_000;
const LATE_EVERY_MS = 1_500;
const RETRY_MS = 3_000;

const id = new URLSearchParams(location.search).get('order') ?? '';
const main = document.querySelector('#main');
const box = document.querySelector('#order');
const sure = document.querySelector('#sure');

let user;
// Whose order, and whose typed details, this page holds; they stay while nobody is logged in.
let owner = null;
let order = null;
let problem = null; // 'missing' or 'lost'
let trouble = null; // why the last click changed nothing, as a key
let busy = null; // 'cancel', or the way to pay, while it is under way
let timer = 0;
// The number of the newest read; the response to an older one would undo what came after it.
let reading = 0;
let drawn = '';
// The form of this order, and the module that draws it.
let details = null;
let form = null;

learn(more);
await speak();
const dialog = loginDialog();
const time = keepTime(() => 60_000, () => draw());
const account = watchAccount(signedIn, () => dialog.open());
const watch = watchPurchases(() => user, () => time.now());
const has = (key) => t(key) !== null;

function signedIn(next) {
  if (next === user) return;
  user = next;
  order = null;
  if (next && next !== owner) {
    owner = next;
    form = null;
  }
  problem = null;
  dialog.close();
  read();
}

async function read() {
  clearTimeout(timer);
  if (user) {
    reading += 1;
    const number = reading;
    const answer = await getOrder(id);
    if (answer.data?.form) details ??= await import('./details.js').catch(() => null);
    if (number === reading) take(answer);
  }
  draw();
  plan();
}

function take(answer) {
  if (answer.data?.order) {
    order = answer.data;
    problem = null;
    if (details && order.form) {
      form ??= details.detailsForm({ form: order.form, save: saveDetails, changed: draw });
      form.show(order.details, order.details_due);
    }
    keep();
  } else if (answer.code === 'login_required') account.expired();
  else if (answer.code === 'not_found' || answer.code === 'bad_request') problem = 'missing';
  else if (!order) problem = 'lost';
}

/** Keeps what the order needs from its buyer; see details.js. */
async function saveDetails(given) {
  busy = 'details';
  trouble = null;
  draw();
  const answer = await keepDetails(id, given);
  busy = null;
  if (answer.data?.details) {
    reading += 1;
    order = { ...order, details: answer.data.details, details_due: false };
    form.show(order.details, order.details_due);
    return null;
  }
  if (answer.code !== 'bad_details') {
    await read();
    // Only the response may have been lost.
    if (answer.lost && order && isKept(order, given)) return null;
    if (answer.code !== 'login_required') trouble = 'details.lost';
  }
  draw();
  return { field: answer.field, reason: answer.reason };
}

const isKept = ({ details, form: fields }, given) => fields.every(({ name }) => (details?.[name] ?? null) === (given[name] ?? null));

/** The other pages of the shop follow it too. */
function keep() {
  const now = time.now();
  if (now === null) return;
  const status = order.status === 'created' ? 'ordered' : order.status;
  const about = { title: order.title, status, order: order.order, payBy: order.pay_by_ms };
  const known = basket.read(user)[`${order.round}-${order.product}`];
  // An older order must not hide the buyer's newest purchase.
  if (!known || known.order === order.order || status === 'ordered') {
    basket.note(user, `${order.round}-${order.product}`, about, now);
    watch.draw();
  }
}

function plan() {
  if (problem === 'lost') timer = setTimeout(read, RETRY_MS);
  else if (order?.status === 'created') {
    timer = setTimeout(read, standing(order, time.now() ?? 0) === 'late' ? LATE_EVERY_MS : EVERY_MS);
  }
}

async function change(what, call) {
  if (busy) return;
  busy = what;
  trouble = null;
  draw();
  const answer = await call(id);
  busy = null;
  if (answer.data?.order) order = { ...order, ...answer.data };
  else if (answer.lost) trouble = 'order.unknown';
  else if (answer.code === 'details_required') trouble = 'details.due';
  else if (answer.code === 'order_paid') trouble = 'order.late.cancel';
  else if (!['login_required', 'order_cancelled'].includes(answer.code)) trouble = 'order.unknown';
  await read();
  if (answer.code === 'order_cancelled') say(tooLate(order, has));
}

/** Says what a click led to, once the order was read again. */
function say(key) {
  trouble = key;
  draw();
}

async function cancel() {
  sure.returnValue = '';
  sure.showModal();
  await new Promise((done) => sure.addEventListener('close', done, { once: true }));
  if (sure.returnValue === 'yes') await change('cancel', cancelOrder);
}

function state(now) {
  if (user === undefined || now === null) return 'loading';
  if (!user) return 'login';
  if (problem) return problem;
  return order ? standing(order, now) : 'loading';
}

function draw() {
  const now = time.now();
  const where = state(now);
  if (where === 'loading') return;
  const sketch = JSON.stringify([where, lang(), order, busy, trouble, isReached()]);
  if (sketch === drawn) return;
  drawn = sketch;
  const focused = document.activeElement?.id;
  main.dataset.state = where;
  box.setAttribute('aria-busy', 'false');
  replace(box, order && user ? sheet(now, where) : [nothing(where)]);
  if (document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
}

const NOTHING = { login: 'orders.login', missing: 'order.missing', lost: 'orders.lost' };

function nothing(where) {
  const word = NOTHING[where];
  document.querySelector('#say').textContent = t(word);
  const made = node('div', { class: 'nothing' }, art('4'), node('h2', {}, t(word)), node('p', {}, t(`${word}.do`)));
  if (where === 'login') {
    const button = node('button', { class: 'solid', type: 'button' }, t('account.login'));
    button.addEventListener('click', () => dialog.open());
    made.append(button);
  } else if (where === 'missing') made.append(node('a', { class: 'link', href: '/orders.html' }, t('orders.back')));
  return made;
}

function sheet(now, where) {
  const title = t(wordOf(`status.${order.status}`, order, has));
  const text = t(advice(order, now, has));
  document.querySelector('#say').textContent = `${title}. ${trouble ? t(trouble) : text}`;
  const clock = where === 'created' ? node('p', { class: 'big-clock', id: 'clock', role: 'timer', 'aria-live': 'off' }, payClock(order, now, t)) : null;
  const card = node(
    'section',
    { class: 'standing', 'data-status': where },
    node('div', {}, node('h2', {}, title), node('p', {}, text)),
    clock,
  );
  const notes = refunds(order, has).map(([key, values]) => node('p', { class: 'refund' }, t(key, { amount: isolated(values.amount) })));
  if (order.status === 'paid') trouble = null;
  if (trouble) notes.unshift(node('p', { class: 'trouble', role: 'alert' }, t(trouble)));
  if (!isReached()) notes.unshift(node('p', { class: 'trouble' }, t('order.offline')));
  return [card, ...notes, detailsOf(where), actions(where), item(now)].filter(Boolean);
}

/** The form while the order can be paid, afterwards what was filled in. */
function detailsOf(where) {
  if (!form) return null;
  form.show(order.details, order.details_due);
  if (where === 'created') return form.node;
  return order.details && where !== 'late'
    ? node('section', { class: 'details' }, node('h2', {}, t('details.title')), details.facts(order.form, order.details)) : null;
}

/** Pays once the form is filled in. */
async function pay(way) {
  if (busy || (form && !(await form.submit()))) return;
  await (way === 'here' ? change(way, payOrder) : leave(way));
}

function printButton() {
  const button = node('button', { id: 'print', class: 'plain', type: 'button' }, t('order.print'));
  button.addEventListener('click', () => window.print());
  return button;
}

function actions(where) {
  if (where === 'paid') return node('p', { class: 'actions' }, printButton());
  if (where === 'cancelled') return node('p', { class: 'actions' }, node('a', { id: 'again', class: 'solid', href: pageOf(order) }, t('order.again')));
  if (where !== 'created') return null;
  const cancelButton = node('button', { id: 'cancel', class: 'plain', type: 'button' }, t('order.cancel'));
  cancelButton.disabled = busy !== null;
  cancelButton.addEventListener('click', cancel);
  return node('p', { class: 'actions' }, ...ways(order).map(payButton), cancelButton);
}

function payButton(way, place, all) {
  const button = node('button', { id: place ? `pay-${way}` : 'pay', class: 'pay', type: 'button' }, payLabel(way, all.length));
  button.disabled = busy !== null || !isReached();
  button.addEventListener('click', () => pay(way));
  return button;
}

function payLabel(way, ways) {
  if (busy === way) return t(wordOf('order.paying', order, has));
  const total = isolated(money(order.total_cents));
  if (order.total_cents === 0) return t('order.pay.free');
  const name = ways > 1 ? t(`order.pay.${way}`) : null;
  return name ? t('order.pay.with', { name, total }) : t('order.pay', { total });
}

/** Leaves for the page of a provider, which sends the buyer back here. */
async function leave(way) {
  busy = way;
  trouble = null;
  draw();
  const answer = await payWith(id, way);
  busy = null;
  if (isPayUrl(answer.data?.pay_url)) {
    location.assign(answer.data.pay_url);
  } else if (!['login_required', 'order_cancelled'].includes(answer.code)) {
    trouble = answer.code === 'details_required' ? 'details.due' : 'order.pay.away';
  }
  await read();
  if (answer.code === 'order_cancelled') say(tooLate(order, has));
}

function item(now) {
  const fact = (key, value, className, row = null) => node('div', { class: row }, node('dt', {}, t(key)), node('dd', { class: className, dir: 'auto' }, value));
  return node(
    'section',
    { class: 'bought' },
    node('a', { id: 'bought-item', class: 'bought-item', href: pageOf(order) }, art(order.product, order.picture), node('b', { dir: 'auto' }, order.title ?? order.product)),
    node(
      'dl',
      { class: 'facts' },
      // What a sheet of paper does not say otherwise.
      fact('order.buyer', user, null, 'printed'),
      fact('order.number', order.order, 'number'),
      fact('order.round', order.round_name ?? order.round),
      fact('order.quantity', String(order.quantity)),
      fact('order.total', money(order.total_cents)),
      fact('order.placed', dateAndTime(order.created_ms, lang())),
      order.status === 'created' ? fact(wordOf('order.pay_by', order, has), dayAndTime(order.pay_by_ms, now, lang())) : null,
    ),
  );
}

function tick() {
  const now = time.now();
  if (now === null || !order) return;
  draw();
  const clock = document.querySelector('#clock');
  if (!clock) return;
  const text = payClock(order, now, t);
  if (clock.textContent !== text) clock.textContent = text;
  clock.classList.toggle('is-short', order.pay_by_ms - now <= 60_000);
}

const refresh = () => document.visibilityState === 'visible' && !busy && read();
setInterval(tick, 250);
onReach((reached) => (reached ? refresh() : draw()));
// Paid or cancelled in another tab: this one says so at once.
onSavedElsewhere(BASKET, refresh);
window.addEventListener('pageshow', (event) => event.persisted && refresh());
document.addEventListener('visibilitychange', refresh);
onLang(draw);
