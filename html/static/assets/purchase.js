// What a purchase page knows and what follows from it. Pure: times come in as
// milliseconds of the edge's clock, nothing here reads a clock or a page.
//
// `reduce` applies an event to the state; `saleAt`, `sceneAt` and `buttonAt` say what
// the shopper sees; `cadence.js` says what to request next.

import { isOfAnother } from './basket.js';

/** After a click the button rests this long, whatever the response. */
export const LOCK_MS = 30_000;
/** "none" for this long after sending means that the purchase never arrived. */
export const NONE_MS = 30_000;
/** After this long without a result the page stops saying "in progress". */
export const OVERDUE_MS = 180_000;
/** An order is placed within this time, unless the queue is behind. */
export const PLACED_MS = 5_000;
/** The hidden path is handed out from this long before the opening. */
export const PATH_WINDOW_MS = 60_000;

/** Refusals that another click cannot change: the button stays off until the edge takes them back. */
const LASTING = ['blocked', 'not_found'];

export function initial({ opens, ends }) {
  return {
    sale: { said: null, opens, ends },
    user: undefined, // undefined: not known yet; null: not logged in; '': the shop would not say
    owner: null, // the last one logged in here, whose purchase `grab` and `outcome` are
    checked: false, // whether the shop was queried for an earlier purchase of this user
    online: true,
    path: null, // { path, expires }
    grab: null, // a purchase whose outcome is not known
    outcome: null, // { status, order, reason } as the back end reported it
    notice: null, // { code }: the last thing that the shopper has to know
    lockUntil: 0,
  };
}

export function reduce(s, event) {
  switch (event.type) {
    case 'session':
      return session(s, event.user);
    case 'restored':
      return restored(s, event.saved);
    case 'sale':
      return sale(s, event.answer);
    case 'path':
      return { ...s, path: readPath(event.answer.path), sale: moved(s.sale, event.answer), notice: LASTING.includes(s.notice?.code) ? null : s.notice };
    case 'path_dropped':
      return { ...s, path: null };
    case 'click':
      return click(s, event);
    case 'accepted':
      return { ...s, grab: s.grab && { ...s.grab, phase: 'processing', answered: true, request: event.request } };
    case 'lost':
      return { ...s, grab: s.grab && { ...s.grab, phase: 'lost' } };
    case 'refused':
      return refused(s, event);
    case 'result':
      return reported({ ...s, checked: true }, event.answer, event.now);
    case 'order':
      return ordered(s, event.answer);
    case 'unanswered':
      return { ...s, checked: true };
    case 'warned':
      return { ...s, notice: { code: event.code } };
    case 'online':
      return { ...s, online: event.online };
    default:
      throw new Error(`unknown event ${event.type}`);
  }
}

function session(s, user) {
  if (user === s.user) return s;
  const next = { ...s, user, checked: false, path: null };
  if (!user || user === s.owner) return next;
  // Purchases and orders belong to one buyer; another buyer starts clean.
  return { ...next, owner: user, grab: null, outcome: null, notice: null, lockUntil: 0 };
}

function restored(s, saved) {
  if (!saved || !s.user || saved.user !== s.user) return s;
  // Whether a purchase in flight reached the shop before the reload is unknown.
  const grab = saved.grab && { ...saved.grab, phase: saved.grab.phase === 'sending' ? 'lost' : saved.grab.phase };
  return { ...s, grab: grab ?? null, lockUntil: saved.lockUntil ?? 0 };
}

function moved(sale, answer) {
  return { ...sale, opens: answer.opens_ms ?? sale.opens, ends: answer.ends_ms ?? sale.ends };
}

function sale(s, answer) {
  return { ...s, sale: { ...moved(s.sale, answer), said: answer.state } };
}

function readPath(path) {
  return { path, expires: Number(path.split('/')[4]) };
}

function click(s, { now, key, quantity }) {
  const before = s.outcome;
  const grab = { key, quantity, since: now, phase: 'sending', answered: false, noneSince: null, before };
  return { ...s, grab, outcome: null, notice: null, lockUntil: now + LOCK_MS };
}

function refused(s, { code, now, retryMs = 0 }) {
  const next = { ...s, grab: null, outcome: s.grab?.before ?? s.outcome, notice: { code } };
  switch (code) {
    case 'sold_out':
    case 'ended':
    case 'paused':
    case 'withdrawn':
      return { ...next, notice: null, sale: { ...s.sale, said: code } };
    case 'login_required':
      // Nobody was logged in, so nothing was tried and there is nothing to wait for.
      return { ...next, user: null, path: null, lockUntil: 0 };
    case 'captcha_required':
      // The shopper closed the puzzle and may open it again at once.
      return { ...next, lockUntil: 0 };
    case 'expired':
    case 'bad_signature':
      return { ...next, path: null };
    case 'blocked':
    case 'not_found':
      // The page keeps requesting a path; that it gets one shows that the ban is over.
      return { ...next, path: null, lockUntil: Math.max(s.lockUntil, now + retryMs) };
    default:
      return { ...next, lockUntil: Math.max(s.lockUntil, now + retryMs) };
  }
}

function reported(s, answer, now) {
  const stale = s.grab && (s.grab.answered ? isOfAnother(s.grab.request, answer) : isEarlier(answer, s.grab.before));
  const status = stale ? 'none' : answer.status;
  switch (status) {
    case 'ordered':
    case 'paid':
      return { ...s, grab: null, notice: null, outcome: { ...known(s, answer), ...pick(answer) } };
    case 'failed':
    case 'cancelled':
      return { ...s, grab: null, outcome: pick(answer), notice: { code: status, reason: answer.reason } };
    case 'succeeded':
      // Placing orders is behind, and this one has its number: opening it places it.
      if (answer.order && s.grab && now - s.grab.since >= PLACED_MS) {
        const outcome = { status: 'ordered', order: answer.order, reason: null };
        return { ...s, grab: null, notice: null, outcome: { ...known(s, answer), ...outcome } };
      }
      return pending(s, 'reserved', now);
    case 'processing':
      return pending(s, 'processing', now);
    case 'unknown':
      // The shop cannot tell at the moment. It says something only of a click: whoever made
      // none is not waiting for anything, and an order that was seen stays.
      return s.grab ? pending(s, 'lost', now) : s;
    default:
      return none(s, now);
  }
}

// After an order was cancelled and a new click was lost in transit, the shop
// still reports the old order; that says nothing about the new purchase.
function isEarlier(answer, before) {
  return Boolean(before) && before.status === answer.status && before.order === answer.order;
}

// What the order itself says: until when to pay, and how much.
function ordered(s, answer) {
  if (s.outcome?.order !== answer.order) return s;
  return { ...s, outcome: { ...s.outcome, payBy: answer.pay_by_ms, cents: answer.total_cents } };
}

function known(s, answer) {
  const same = s.outcome?.order && s.outcome.order === answer.order;
  return same ? { payBy: s.outcome.payBy, cents: s.outcome.cents } : {};
}

function pick({ status, order, reason }) {
  return { status, order: order ?? null, reason: reason ?? null };
}

function pending(s, phase, now) {
  // A result may arrive before the edge's clock is known: then the wait counts from the next one.
  const grab = s.grab ?? { key: null, quantity: 1, since: null, answered: true, before: null };
  return { ...s, outcome: null, notice: null, grab: { ...grab, since: grab.since ?? now, phase, noneSince: null } };
}

function none(s, now) {
  if (!s.grab || s.grab.phase === 'sending') return s;
  const noneSince = s.grab.noneSince ?? now;
  if (now - noneSince <= NONE_MS) return { ...s, grab: { ...s.grab, noneSince } };
  // The key stays with the notice: should the first request still arrive,
  // the repetition is the same request and cannot buy twice.
  return { ...s, grab: null, notice: { code: 'not_through', key: s.grab.key } };
}

/** The sale's state, by the edge's clock and the edge's last response. */
export function saleAt(s, now) {
  const { said, opens, ends } = s.sale;
  if (said === 'withdrawn') return 'withdrawn';
  if (said === 'ended' || now >= ends) return 'ended';
  if (said === 'paused') return 'paused';
  if (now < opens && said !== 'open' && said !== 'sold_out') return 'scheduled';
  return said === 'sold_out' ? 'sold_out' : 'open';
}

/** The scene, which is the one thing that the page says. `now` is null while the edge's clock is unknown. */
export function sceneAt(s, now) {
  if (s.outcome?.status === 'ordered' || s.outcome?.status === 'paid') return s.outcome.status;
  if (now === null) return 'connecting';
  if (s.grab) {
    if (s.grab.phase === 'sending') return 'sending';
    return s.grab.since !== null && now - s.grab.since > OVERDUE_MS ? 'overdue' : s.grab.phase;
  }
  const where = saleAt(s, now);
  if (where === 'open' && (s.user === undefined || (s.user && !s.checked))) return 'connecting';
  if (where === 'scheduled' && s.sale.opens - now <= PATH_WINDOW_MS) return 'soon';
  return where;
}

/** What the shopper has to know besides the scene, or null. */
export function noticeAt(s, scene) {
  if (['ordered', 'paid', 'sending'].includes(scene)) return null;
  if (['failed', 'cancelled'].includes(s.notice?.code) && ['sold_out', 'ended', 'paused', 'withdrawn'].includes(scene) && s.online) return s.notice;
  if (!s.online) return { code: 'offline' };
  if (s.grab && s.user === null) return { code: 'login_again' };
  return ['soon', 'scheduled', 'open', 'connecting'].includes(scene) ? s.notice : null;
}

/** Milliseconds left to pay; null when the order is paid, or its deadline not known. */
export function payLeft(s, now) {
  if (s.outcome?.status !== 'ordered' || !s.outcome.payBy || now === null) return null;
  return Math.max(0, s.outcome.payBy - now);
}

/** The button: `act` is what a click does, null while it is grey; `wait` seconds of rest. */
export function buttonAt(s, now) {
  const scene = sceneAt(s, now);
  if (scene === 'ordered' && s.outcome.order) return { scene, act: 'pay', wait: 0 };
  if (scene !== 'open') return { scene, act: null, wait: 0 };
  if (s.user && LASTING.includes(s.notice?.code)) return { scene, act: null, wait: 0, lasting: s.notice.code };
  if (s.user === null) return { scene, act: 'login', wait: 0 };
  const wait = Math.max(0, Math.ceil((s.lockUntil - now) / 1000));
  return { scene, act: wait === 0 && s.online ? 'buy' : null, wait };
}

/**
 * What to do with the response to a purchase: 'accepted', 'lost', 'refused', or
 * silently 'renew' the path (once) or go 'again' with the same one. The last is
 * for a click in the few milliseconds by which two clocks may differ: it should
 * not cost the shopper the 30 s rest.
 */
export function nextStep(answer, renewed, early) {
  if (answer.lost) return 'lost';
  if (!answer.code) return 'accepted';
  if (['expired', 'bad_signature'].includes(answer.code) && !renewed) return 'renew';
  return answer.code === 'too_early' && early < 3 ? 'again' : 'refused';
}

/** The part of the state that has to survive a reload. */
export function toSave(s) {
  return { user: s.owner, grab: s.grab, lockUntil: s.lockUntil };
}
