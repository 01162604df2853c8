// The product page: carries events from the edge and the shopper into the
// purchase state, and its requests back out. Decisions live in purchase.js
// and cadence.js, the drawing in product-view.js.

import * as api from './api.js';
import { watchAccount } from './account.js';
import { followAnnouncement } from './announcement.js';
import { passesFor } from './captcha.js';
import { isAwaited, offerEvery, OFFER_MS, resultEvery, stateEvery, wantsOrder, wantsPath, JITTER, PATH_JITTER_MS } from './cadence.js';
import { fillIn, lang, speak, onLang, t } from './i18n.js';
import { copied } from './copy.js';
import { readLeft, shareOf } from './left.js';
import { productView } from './product-view.js';
import { buttonAt, initial, nextStep, payLeft, reduce, saleAt, sceneAt, toSave } from './purchase.js';
import { onReach } from './reach.js';
import { moveReminder } from './remind.js';
import { BASKET, freshKey, load, onSavedElsewhere, save } from './store.js';
import { keepTime } from './time.js';

// An order is usually written within a moment of its purchase.
const FIRST_RESULT_MS = 300;
const RESULT_EVERY_MS = 1_000;
const EARLY_RETRY_MS = 120;
const PATH_RETRY_MS = 2_000;
const ORDER_RETRY_MS = 3_000;
const MAX_BACKOFF = 8;
const LEFT_EVERY_MS = 2_000;
/** As long a link stays that has to be copied by hand. */
const BY_HAND_MS = 60_000;
/** Scenes in which other sales are shown. */
const DONE = ['sold_out', 'ended', 'paid'];

const page = document.querySelector('#product').dataset;
const { round, product } = page;
const stored = `seckill:${round}-${product}`;
const jitter = Math.random() * PATH_JITTER_MS;

// What is left by the last file, and whether other sales are shown.
let left = null;
let hasMore = false;
// The other purchases of this shopper: loaded behind everything that this page needs itself.
let watch = null;
let s = initial({ opens: Number(page.opens), ends: Number(page.ends) });

await speak();
const view = productView(page, { buy, pay, share, remind, login: () => view.askLogin() });
const time = keepTime(() => s.sale.opens - time.now(), wake);
const account = watchAccount(signedIn, () => view.askLogin());
const captcha = passesFor(round, product, {
  isOpen: () => buttonAt(s, time.now()).act === 'buy' || s.grab?.phase === 'sending',
  loggedOut: () => account.expired(),
});
const visible = () => document.visibilityState === 'visible';
followAnnouncement(document.querySelector('#announcement'), { now: () => time.now(), reads: () => visible() && s.online, wants: () => isAwaited(s, time.now()) });

function dispatch(event) {
  const before = s;
  s = reduce(s, event);
  if (s.grab !== before.grab || s.lockUntil !== before.lockUntil) save(stored, toSave(s));
  if (s.grab !== before.grab || s.outcome !== before.outcome) keepInBasket();
  if (s.sale.opens !== before.sale.opens || s.sale.ends !== before.sale.ends) {
    // Edited: most likely the page itself has changed as well.
    moveReminder(round, s.sale.opens);
    offer.poll();
  }
  wake();
}

/** Lets the other pages of the shop follow this purchase. */
function keepInBasket() {
  const now = time.now();
  const status = s.outcome?.status ?? (s.grab ? 'processing' : s.notice?.code === 'not_through' ? 'none' : null);
  if (!status || now === null || !s.user) return;
  const title = document.querySelector('h1').textContent;
  const { order, payBy } = s.outcome ?? {};
  watch?.note(`${round}-${product}`, { title, status, order: order ?? undefined, payBy, request: s.grab?.request });
}

function signedIn(user) {
  const changed = user !== s.user;
  // The page was open before its shopper logged in; that it was shows in the edges'
  // logs only by a request that carries the session.
  if (changed && user && s.user === null) state.poll();
  dispatch({ type: 'session', user });
  if (!changed || user === null) return;
  dispatch({ type: 'restored', saved: load(stored) });
  view.loggedIn();
  result.poll();
}

/** Polls by `request` as often as `every` says, never twice at a time. */
function poller(every, request) {
  let polledAt = -Infinity;
  let polling = false;
  let backoff = 1;
  let stretch = 1;
  const dueIn = () => {
    const gap = every();
    return gap === null || polling ? Infinity : polledAt + gap * backoff * stretch - performance.now();
  };
  async function poll() {
    if (polling) return;
    polling = true;
    polledAt = performance.now();
    stretch = 1 + JITTER * (2 * Math.random() - 1);
    const ok = await request();
    backoff = ok ? 1 : Math.min(MAX_BACKOFF, backoff * 2);
    polling = false;
    wake();
  }
  /** Puts the next poll off until `ms` from now. */
  const postpone = (ms) => {
    polledAt = performance.now() + ms - (every() ?? 0);
  };
  return { dueIn, poll, postpone };
}

const state = poller(
  () => stateEvery(s, time.now(), visible()),
  async () => {
    const answer = await api.getState(round, product);
    if (answer.data?.state) dispatch({ type: 'sale', answer: answer.data });
    return Boolean(answer.data);
  },
);

/** Whether the edge knows other times than the page was published with. */
const isBehind = () => s.sale.said !== null && (s.sale.opens !== Number(page.opens) || s.sale.ends !== Number(page.ends));

let published = null;
/** The page itself: an edit changes its title, its price and whatever else it was published with. */
const offer = poller(
  () => offerEvery(s, time.now(), visible(), isBehind()),
  async () => {
    const { data } = await api.getPage(location.pathname);
    if (!data) return false;
    if (data !== published) {
      const isOther = (await import('./offer.js').catch(() => null))?.follow(data) ?? null;
      if (isOther === null) return false;
      published = data;
      fillIn();
      view.published();
      if (isOther) tell('offer.changed', t('offer.changed.do'), '#panel');
    }
    return !isBehind();
  },
);
offer.postpone(OFFER_MS);

/** Shows a message in the corner, whose words stand under `key`. */
async function tell(key, text, href, tone = 'good', stays = undefined) {
  const { toast } = await import('./toast.js');
  toast(tone, t(key), text, { href, text: t('toast.see') }, stays);
}

const result = poller(
  () => resultEvery(s, time.now(), visible()),
  async () => {
    const user = s.user;
    const answer = await api.getResult(round, product);
    // Somebody else logged in meanwhile: this is not their purchase.
    if (user !== s.user) return true;
    if (answer.data?.status) dispatch({ type: 'result', answer: answer.data, now: time.now() });
    else if (answer.code === 'login_required') account.expired();
    else dispatch({ type: 'unanswered' });
    return Boolean(answer.data);
  },
);

const path = poller(
  () => (time.now() !== null && wantsPath(s, time.now(), jitter) ? PATH_RETRY_MS : null),
  async () => {
    const answer = await fetchPath();
    if (answer.code === 'login_required') account.expired();
    else if (['sold_out', 'ended', 'paused', 'withdrawn'].includes(answer.code)) dispatch({ type: 'sale', answer: { state: answer.code } });
    else if (['blocked', 'captcha_required', 'not_found'].includes(answer.code)) dispatch({ type: 'warned', code: answer.code });
    return Boolean(answer.data) || answer.code === 'too_early';
  },
);

const order = poller(
  () => (wantsOrder(s) ? ORDER_RETRY_MS : null),
  async () => {
    const answer = await api.getOrder(s.outcome.order);
    if (answer.data?.order) dispatch({ type: 'order', answer: answer.data });
    return Boolean(answer.data);
  },
);

/** What is left is shown while it sells, and never wanted enough to be repeated in a hurry. */
const stock = poller(
  () => (visible() && s.online && time.now() !== null && saleAt(s, time.now()) === 'open' ? LEFT_EVERY_MS : null),
  async () => {
    left = await readLeft();
    return left !== null;
  },
);

/** Everything that is polled. */
const pollers = [state, offer, result, path, order, stock];

async function fetchPath() {
  const answer = await api.getPath(round, product);
  if (answer.data?.path) dispatch({ type: 'path', answer: answer.data });
  return answer;
}

function pay() {
  location.assign(`/order.html?order=${encodeURIComponent(s.outcome.order)}`);
}

async function buy(quantity) {
  const saved = load(stored);
  if (saved?.grab && saved.user === s.user) {
    // Another tab is at it already; this one follows the same purchase.
    dispatch({ type: 'restored', saved });
    return;
  }
  // Bought on another device meanwhile: then there is no puzzle to solve.
  if (captcha.isWanted()) result.poll();
  const pass = await captcha.pass();
  // Closed, or sold out while the puzzle was being solved.
  if (pass === null || buttonAt(s, time.now()).act !== 'buy') return;
  const key = s.notice?.key ?? freshKey();
  dispatch({ type: 'click', now: time.now(), key, quantity });
  const answer = await send(key, quantity, pass);
  captcha.used(answer);
  const now = time.now();
  if (answer.lost) dispatch({ type: 'lost', now });
  else if (!answer.code) dispatch({ type: 'accepted', request: answer.data.request, now });
  else dispatch({ type: 'refused', code: answer.code, retryMs: answer.retryMs, now });

  if (answer.code === 'login_required') account.expired();
  else if (answer.code === 'duplicate') result.poll();
  else if (!answer.code) result.postpone(answer.lost ? RESULT_EVERY_MS : FIRST_RESULT_MS);
}

async function send(key, quantity, pass) {
  let renewed = false;
  let hasAnother = false;
  let early = 0;
  for (;;) {
    if (!s.path || s.path.expires <= time.now()) {
      const answer = await fetchPath();
      // Nothing was sent yet, so nothing can have been bought.
      if (!answer.data?.path) return { code: answer.code ?? 'unavailable', retryMs: answer.retryMs ?? 0 };
    }
    const more = { 'Accept-Language': lang(), ...(pass && { 'X-Seckill-Captcha': pass }) };
    const answer = await api.buy(s.path.path, key, quantity, more);
    const step = nextStep(answer, renewed, early);
    if (answer.code === 'captcha_required' && !hasAnother) {
      // Nothing was bought: the pass was too old, or the shop wants one only now.
      hasAnother = true;
      pass = await captcha.another();
      if (pass === null) return answer;
    } else if (step === 'renew') {
      renewed = true;
      dispatch({ type: 'path_dropped' });
    } else if (step === 'again') {
      early += 1;
      await new Promise((done) => setTimeout(done, EARLY_RETRY_MS));
    } else {
      return answer;
    }
  }
}

let timer = 0;
let queued = false;

/** Draws, and polls what is due, once the running task is over. */
function wake() {
  if (queued) return;
  queued = true;
  queueMicrotask(beat);
}

function beat() {
  queued = false;
  clearTimeout(timer);
  const now = time.now();
  view.draw(s, now, time);
  view.drawLeft(shareOf(left, `${round}-${product}`, now));
  if (!hasMore && now !== null && DONE.includes(sceneAt(s, now))) {
    hasMore = true;
    import('./more.js').then(({ showMore }) => showMore(document.querySelector('#others'), location.pathname, now)).catch(() => {});
  }
  if (now !== null) {
    for (const one of pollers) if (one.dueIn() <= 0) one.poll();
  }
  timer = setTimeout(beat, untilNext(now));
}

/** Ms until something on the page changes or a poll is due. The opening itself is such a change. */
function untilNext(now) {
  if (now === null) return 1_000;
  const end = saleAt(s, now) === 'scheduled' ? s.sale.opens : s.sale.ends;
  const left = Math.max(0, end - now);
  const step = left <= 60_000 ? 100 : 1_000;
  const rest = buttonAt(s, now).wait > 0 || s.grab || payLeft(s, now) !== null ? 200 : Infinity;
  const next = Math.min(left % step || step, rest, ...pollers.map((one) => one.dueIn()));
  return Math.max(1, Math.ceil(next));
}

async function share() {
  const url = location.href.split('#')[0];
  const title = document.querySelector('h1').textContent;
  try {
    if (navigator.share) return await navigator.share({ title, url });
  } catch (error) {
    // Closed by the shopper, who wanted nothing of it after all.
    if (error.name === 'AbortError') return undefined;
  }
  if (await copied(url)) return tell('share.copied', '', url);
  return tell('share.copy', url, url, 'warn', BY_HAND_MS);
}

async function remind() {
  const { openReminder } = await import('./remind-view.js');
  const title = document.querySelector('h1').textContent;
  openReminder({ round, title, from: s.sale.opens, to: s.sale.ends, url: location.pathname }, time.now(), wake);
}

/** Back from sleep, the back/forward cache or a dead network: what was known may be old. */
function refresh() {
  time.resample();
  state.poll();
  if (s.user && sceneAt(s, time.now()) !== 'sending') result.poll();
}

window.addEventListener('pageshow', (event) => event.persisted && refresh());
document.addEventListener('visibilitychange', () => visible() && refresh());
onReach((online) => {
  dispatch({ type: 'online', online });
  if (!online) return;
  account.check();
  refresh();
});
// Another tab bought it, or tries to: this one follows the same purchase.
onSavedElsewhere(stored, (saved) => {
  if (s.grab?.phase === 'sending') return;
  dispatch({ type: 'restored', saved });
  result.poll();
});
onSavedElsewhere(BASKET, () => s.grab?.phase !== 'sending' && s.user && result.poll());
onLang(wake);
state.poll();
// From here on the page responds to a click; the tests measure when that is.
document.documentElement.dataset.ready = String(Math.round(performance.now()));
import('./watch.js').then(({ watchPurchases }) => {
  watch = watchPurchases(() => s.user, () => time.now(), `${round}-${product}`);
  keepInBasket();
});
