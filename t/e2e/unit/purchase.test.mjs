import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as cadence from '../../../html/static/assets/cadence.js';
import {
  buttonAt, initial, LOCK_MS, nextStep, NONE_MS, noticeAt, OVERDUE_MS, PLACED_MS, payLeft, reduce, sceneAt, toSave,
} from '../../../html/static/assets/purchase.js';

const OPENS = 1_000_000;
const ENDS = OPENS + 600_000;
const NOW = OPENS + 1_000;

const after = (s, ...events) => events.reduce(reduce, s);
const loggedIn = (user = 'ann') =>
  after(initial({ opens: OPENS, ends: ENDS }), { type: 'session', user }, { type: 'result', answer: { status: 'none' }, now: OPENS });
const clicked = (s = loggedIn(), now = NOW) => reduce(s, { type: 'click', now, key: 'k1', quantity: 1 });
const result = (s, status, now, more = {}) => reduce(s, { type: 'result', answer: { status, ...more }, now });

test('the button is grey until the very millisecond of the opening', () => {
  const s = loggedIn();
  assert.equal(buttonAt(s, OPENS - 1).act, null);
  assert.equal(sceneAt(s, OPENS - 1), 'soon');
  assert.equal(sceneAt(s, OPENS - 60_001), 'scheduled');
  assert.equal(buttonAt(s, OPENS).act, 'buy');
  assert.equal(buttonAt(s, null).act, null);
});

test('the edge may move the opening, and its "open" is believed at once', () => {
  const moved = reduce(loggedIn(), { type: 'sale', answer: { state: 'scheduled', opens_ms: OPENS + 5_000, ends_ms: ENDS } });
  assert.equal(buttonAt(moved, NOW).act, null);
  const open = reduce(loggedIn(), { type: 'sale', answer: { state: 'open', opens_ms: OPENS, ends_ms: ENDS } });
  assert.equal(buttonAt(open, OPENS - 20).act, 'buy');
});

test('one click rests the button for 30 s, also after a reload', () => {
  let s = clicked();
  assert.equal(sceneAt(s, NOW), 'sending');
  s = reduce(s, { type: 'refused', code: 'busy', now: NOW + 50, retryMs: 2_000 });
  assert.deepEqual(buttonAt(s, NOW + 50), { scene: 'open', act: null, wait: 30 });
  const again = reduce(loggedIn(), { type: 'restored', saved: JSON.parse(JSON.stringify(toSave(s))) });
  assert.equal(buttonAt(again, NOW + LOCK_MS - 1).act, null);
  assert.equal(buttonAt(again, NOW + LOCK_MS).act, 'buy');
});

test('a Retry-After longer than the rest is honoured', () => {
  const s = reduce(clicked(), { type: 'refused', code: 'busy', now: NOW, retryMs: 45_000 });
  assert.equal(buttonAt(s, NOW + LOCK_MS).act, null);
  assert.equal(buttonAt(s, NOW + 45_000).act, 'buy');
});

test('busy and sold out are two different things to read', () => {
  const busy = reduce(clicked(), { type: 'refused', code: 'busy', now: NOW });
  assert.equal(sceneAt(busy, NOW), 'open');
  assert.equal(noticeAt(busy, 'open').code, 'busy');
  const gone = reduce(clicked(), { type: 'refused', code: 'sold_out', now: NOW });
  assert.equal(sceneAt(gone, NOW), 'sold_out');
  assert.equal(noticeAt(gone, 'sold_out'), null);
});

test('a refusal that no click can change takes the button away, until the edge takes it back', () => {
  for (const code of ['blocked', 'not_found']) {
    // Refused at the click, or as soon as the page asks for a path.
    const held = reduce(loggedIn(), { type: 'path', answer: { path: `/buy/1/153/${ENDS}/n/k.d`, opens_ms: OPENS } });
    for (const s of [reduce(clicked(held), { type: 'refused', code, now: NOW }), reduce(loggedIn(), { type: 'warned', code })]) {
      const later = NOW + LOCK_MS + 1;
      assert.deepEqual(buttonAt(s, later), { scene: 'open', act: null, wait: 0, lasting: code });
      assert.equal(cadence.wantsPath(s, later, 0), true, 'it keeps asking');
      const back = reduce(s, { type: 'path', answer: { path: `/buy/1/153/${ENDS}/n/k.d`, opens_ms: OPENS } });
      assert.equal(buttonAt(back, later).act, 'buy');
    }
  }
});

test('what another tab bought or tries is followed here', () => {
  const other = clicked();
  const s = reduce(loggedIn(), { type: 'restored', saved: JSON.parse(JSON.stringify(toSave(other))) });
  assert.equal(buttonAt(s, NOW + 10).act, null);
  assert.equal(cadence.resultEvery(s, NOW + 10, true), 1_000);
  assert.equal(sceneAt(result(s, 'ordered', NOW + 900, { order: '7' }), NOW + 900), 'ordered');
});

test('sold out reopens when pieces come back', () => {
  let s = reduce(loggedIn(), { type: 'sale', answer: { state: 'sold_out' } });
  assert.equal(sceneAt(s, NOW), 'sold_out');
  // With the quarter of a second after which an edge knows, at most a second.
  assert.ok(cadence.stateEvery(s, NOW, true) * (1 + cadence.JITTER) <= 750);
  s = reduce(s, { type: 'sale', answer: { state: 'open' } });
  assert.equal(buttonAt(s, NOW).act, 'buy');
});

test('a lost response is never called a failure, and is the same request after a reload', () => {
  const s = reduce(clicked(), { type: 'lost', now: NOW + 12_000 });
  assert.equal(sceneAt(s, NOW + 12_000), 'lost');
  const again = reduce(loggedIn(), { type: 'restored', saved: toSave(s) });
  assert.equal(sceneAt(again, NOW + 13_000), 'lost');
  assert.equal(again.grab.key, 'k1');
  assert.equal(cadence.resultEvery(again, NOW + 13_000, true), 1_000);
});

test('a reload in the middle of sending counts as not confirmed', () => {
  const again = reduce(loggedIn(), { type: 'restored', saved: toSave(clicked()) });
  assert.equal(sceneAt(again, NOW + 1_000), 'lost');
});

test('while the shop cannot tell, who has clicked nothing may click, and who has an order keeps it', () => {
  const s = result(loggedIn(), 'unknown', NOW);
  assert.equal(sceneAt(s, NOW), 'open');
  assert.equal(buttonAt(s, NOW).act, 'buy');
  // Nothing "did not go through" afterwards.
  const later = result(result(s, 'none', NOW + 1_000), 'none', NOW + 2_000 + NONE_MS);
  assert.equal(noticeAt(later, 'open'), null);
  const ordered = result(result(clicked(), 'ordered', NOW + 500, { order: '7' }), 'unknown', NOW + 1_000);
  assert.equal(sceneAt(ordered, NOW + 1_000), 'ordered');
  assert.equal(sceneAt(result(clicked(), 'unknown', NOW + 1_000), NOW + 1_000), 'lost');
});

test('"none" for 30 s after sending means it did not go through; the same request may be tried again', () => {
  let s = result(reduce(clicked(), { type: 'lost', now: NOW }), 'none', NOW + 1_000);
  s = result(s, 'none', NOW + 1_000 + NONE_MS);
  assert.equal(sceneAt(s, NOW + 31_000), 'lost');
  s = result(s, 'none', NOW + 1_001 + NONE_MS);
  assert.deepEqual(s.notice, { code: 'not_through', key: 'k1' });
  assert.equal(buttonAt(s, NOW + 32_000).act, 'buy');
});

test('"processing" in between starts the 30 s anew', () => {
  let s = result(reduce(clicked(), { type: 'accepted', now: NOW }), 'none', NOW);
  s = result(s, 'processing', NOW + 20_000);
  s = result(s, 'none', NOW + 40_000);
  assert.equal(sceneAt(s, NOW + 40_000), 'processing');
});

test('after three minutes the page says that it does not know, and keeps polling', () => {
  const s = result(reduce(clicked(), { type: 'accepted', now: NOW }), 'processing', NOW + OVERDUE_MS);
  assert.equal(sceneAt(s, NOW + OVERDUE_MS), 'processing');
  assert.equal(sceneAt(s, NOW + OVERDUE_MS + 1), 'overdue');
  assert.equal(cadence.resultEvery(s, NOW + OVERDUE_MS + 1, true), 5_000);
});

test('a result that arrives before the clock is known is not three minutes old', () => {
  let s = result(loggedIn(), 'processing', null);
  assert.equal(sceneAt(s, null), 'connecting');
  assert.equal(sceneAt(s, NOW), 'processing');
  s = result(s, 'processing', NOW + 1_000);
  assert.equal(sceneAt(s, NOW + 1_000 + OVERDUE_MS), 'processing');
  assert.equal(sceneAt(s, NOW + 1_001 + OVERDUE_MS), 'overdue');
});

test('an order is shown whatever the sale does meanwhile', () => {
  const s = result(reduce(clicked(), { type: 'accepted', now: NOW }), 'ordered', NOW + 900, { order: '7301' });
  assert.equal(sceneAt(s, ENDS + 1), 'ordered');
  assert.equal(s.outcome.order, '7301');
  assert.equal(toSave(s).grab, null);
});

test('an order has a payment clock as soon as it is known until when it is to be paid', () => {
  let s = result(reduce(clicked(), { type: 'accepted', now: NOW }), 'ordered', NOW + 900, { order: '7301' });
  assert.equal(payLeft(s, NOW), null);
  assert.equal(cadence.wantsOrder(s), true);
  s = reduce(s, { type: 'order', answer: { order: '9', pay_by_ms: 1, total_cents: 1 } });
  assert.equal(payLeft(s, NOW), null, "another order's deadline");
  s = reduce(s, { type: 'order', answer: { order: '7301', pay_by_ms: NOW + 600_000, total_cents: 99_900 } });
  assert.equal(payLeft(s, NOW + 1_000), 599_000);
  assert.equal(cadence.wantsOrder(s), false);
  assert.deepEqual(buttonAt(s, NOW), { scene: 'ordered', act: 'pay', wait: 0 });
  s = result(s, 'ordered', NOW + 16_000, { order: '7301' });
  assert.equal(payLeft(s, NOW + 600_001), 0);
  assert.equal(cadence.resultEvery(s, NOW + 600_001, true), 2_000, 'then the truth is near');
  s = result(s, 'paid', NOW + 600_002, { order: '7301' });
  assert.equal(payLeft(s, NOW), null);
});

test('a shopper without an order reads so, and whether they may try again, also when it is sold out', () => {
  const s = result(reduce(loggedIn(), { type: 'sale', answer: { state: 'sold_out' } }), 'cancelled', NOW, { order: '7', reason: 'unpaid' });
  assert.equal(noticeAt(s, 'sold_out').code, 'cancelled');
  assert.equal(noticeAt(s, 'ended').code, 'cancelled');
});

test('a cancelled order may be followed by a new purchase, and is not taken for it', () => {
  const cancelled = { status: 'cancelled', order: '7301', reason: null };
  let s = reduce(loggedIn(), { type: 'result', answer: cancelled, now: NOW });
  assert.equal(noticeAt(s, 'open').code, 'cancelled');
  s = reduce(clicked(s), { type: 'lost', now: NOW + 100 });
  s = reduce(s, { type: 'result', answer: cancelled, now: NOW + 1_000 });
  assert.equal(sceneAt(s, NOW + 1_000), 'lost');
});

test('a click without a login asks for one and costs no rest', () => {
  const s = reduce(clicked(), { type: 'refused', code: 'login_required', now: NOW });
  assert.equal(buttonAt(s, NOW).act, 'login');
  const back = after(s, { type: 'session', user: 'ann' }, { type: 'result', answer: { status: 'none' }, now: NOW });
  assert.equal(buttonAt(back, NOW).act, 'buy');
});

test('a login that ends in the middle keeps the purchase; another person starts clean', () => {
  const s = reduce(reduce(clicked(), { type: 'accepted', now: NOW }), { type: 'session', user: null });
  assert.equal(sceneAt(s, NOW), 'processing');
  assert.equal(noticeAt(s, 'processing').code, 'login_again');
  assert.equal(reduce(s, { type: 'session', user: 'ann' }).grab.key, 'k1');
  assert.equal(reduce(s, { type: 'session', user: 'bob' }).grab, null);
});

test('what became of an earlier request is not taken for the one that was accepted since', () => {
  const accepted = reduce(clicked(), { type: 'accepted', request: 'r2', now: NOW });
  for (const [status, reason] of [['failed', 'sold_out'], ['cancelled', 'unpaid']]) {
    const s = result(accepted, status, NOW + 900, { reason, request: 'r1' });
    assert.equal(sceneAt(s, NOW + 900), 'processing', status);
    assert.equal(result(s, status, NOW + 1_900, { reason, request: 'r2' }).notice.code, status);
  }
  // Whoever has the item has it, by whichever request.
  assert.equal(result(accepted, 'ordered', NOW + 900, { order: '7301', request: 'r1' }).outcome.status, 'ordered');
});

test('the button does not open before an earlier purchase was looked up', () => {
  const s = reduce(initial({ opens: OPENS, ends: ENDS }), { type: 'session', user: 'ann' });
  assert.equal(sceneAt(s, NOW), 'connecting');
  assert.equal(buttonAt(reduce(s, { type: 'unanswered' }), NOW).act, 'buy');
});

test('a path is renewed silently once, a click a hair early is repeated, other refusals are shown', () => {
  assert.equal(nextStep({ status: 403, code: 'expired' }, false, 0), 'renew');
  assert.equal(nextStep({ status: 403, code: 'bad_signature' }, true, 0), 'refused');
  assert.equal(nextStep({ status: 425, code: 'too_early' }, false, 0), 'again');
  assert.equal(nextStep({ status: 425, code: 'too_early' }, false, 3), 'refused');
  assert.equal(nextStep({ status: 504, lost: true }, false, 0), 'lost');
  assert.equal(nextStep({ status: 202, data: {} }, false, 0), 'accepted');
});

test('the path is fetched in the last minute, spread over the crowd, and replaced before it expires', () => {
  const s = loggedIn();
  const minute = OPENS - 60_000;
  assert.equal(cadence.wantsPath(s, minute - 1, 0), false);
  assert.equal(cadence.wantsPath(s, minute + 2_999, 3_000), false);
  assert.equal(cadence.wantsPath(s, minute + 3_000, 3_000), true);
  assert.ok(cadence.PATH_JITTER_MS < 60_000);
  const held = reduce(s, { type: 'path', answer: { path: `/buy/1/153/${OPENS + 60_000}/n/k.d`, opens_ms: OPENS } });
  assert.equal(cadence.wantsPath(held, OPENS + 30_000, 0), false);
  assert.equal(cadence.wantsPath(held, OPENS + 30_001, 0), true);
});

test('nobody polls a state that cannot change what is seen', () => {
  const s = loggedIn();
  assert.equal(cadence.stateEvery(s, OPENS - 3_600_000, true), 30_000);
  assert.equal(cadence.stateEvery(s, OPENS - 3_000, true), 1_000);
  assert.equal(cadence.stateEvery(s, NOW, false), null);
  assert.equal(cadence.stateEvery(clicked(), NOW, true), null);
  assert.equal(cadence.stateEvery(s, ENDS, true), null);
});

test('a page that waits looks for edits, but not in the moments of the opening', () => {
  const s = loggedIn();
  assert.equal(cadence.offerEvery(s, OPENS - 3_600_000, true, false), cadence.OFFER_MS);
  assert.equal(cadence.offerEvery(s, OPENS - 5_000, true, false), null);
  assert.ok(cadence.offerEvery(s, OPENS - 3_600_000, true, true) <= 2_000);
  assert.equal(cadence.offerEvery(s, OPENS - 3_600_000, false, true), null);
  // What was clicked is bought at the price that was shown.
  assert.equal(cadence.offerEvery(clicked(), NOW, true, true), null);
});

test('an order that waits to be placed can be opened by its number after five seconds', () => {
  const waits = result(clicked(), 'succeeded', NOW + PLACED_MS - 1, { order: '81' });
  assert.equal(waits.outcome, null);
  assert.equal(waits.grab.phase, 'reserved');
  const shown = result(waits, 'succeeded', NOW + PLACED_MS, { order: '81' });
  assert.deepEqual(shown.outcome, { status: 'ordered', order: '81', reason: null });
  assert.equal(shown.grab, null);
  // Without a number there is nothing to open.
  assert.equal(result(waits, 'succeeded', NOW + PLACED_MS).grab.phase, 'reserved');
});
