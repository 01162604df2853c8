import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as basket from '../../../html/static/assets/basket.js';
import { advice, payClock, refunds, standing, tooLate, isPayUrl, ways, wordOf } from '../../../html/static/assets/order-words.js';
import { phrase } from '../../../html/static/assets/phrase.js';
import { en as common } from '../../../html/static/assets/words.js';
import { en } from '../../../html/static/assets/words-orders.js';

const NOW = 1_000_000;
const ORDER = { status: 'created', pay_by_ms: NOW + 600_000, reason: null, payments: [] };
const has = (key) => key in en;

test('a purchase is polled often until it is an order, and less often until it is paid', () => {
  const entry = (status, more) => ({ status, at: NOW, ...more });
  assert.equal(basket.every(entry('processing'), NOW), 1_000);
  assert.equal(basket.every(entry('processing'), NOW + basket.PENDING_MS + 1), null);
  assert.equal(basket.every(entry('ordered', { payBy: NOW + 1 }), NOW), 10_000);
  assert.equal(basket.every(entry('ordered', { payBy: NOW }), NOW), 2_000);
  for (const settled of ['paid', 'cancelled', 'failed', 'none']) assert.equal(basket.every(entry(settled), NOW), null);
});

test('a shopper is notified of what is new, and once', () => {
  assert.equal(basket.news('processing', 'ordered'), 'ordered');
  assert.equal(basket.news('ordered', 'ordered'), null);
  assert.equal(basket.news('ordered', 'cancelled'), 'cancelled');
  assert.equal(basket.news('processing', 'failed'), 'failed');
  assert.equal(basket.news('processing', 'succeeded'), null);
});

test('what waits to be paid is counted, for its buyer alone, and old purchases are forgotten', () => {
  basket.note('ann', '1-153', { status: 'ordered' }, NOW);
  basket.note('ann', '1-154', { status: 'paid' }, NOW);
  assert.equal(basket.unpaid(basket.read('ann')), 1);
  assert.deepEqual(basket.read('bob'), {});
  basket.note('ann', '1-155', { status: 'processing' }, NOW + basket.KEPT_MS + 1);
  assert.deepEqual(Object.keys(basket.read('ann')), ['1-155']);
});

test('past its time an unpaid order is neither payable nor yet cancelled', () => {
  assert.equal(standing(ORDER, NOW), 'created');
  assert.equal(standing(ORDER, ORDER.pay_by_ms), 'late');
  assert.equal(standing({ ...ORDER, status: 'paid' }, ORDER.pay_by_ms), 'paid');
  assert.equal(payClock(ORDER, NOW + 1), '10:00');
  assert.equal(payClock(ORDER, ORDER.pay_by_ms + 5_000), '0:00');
});

test('two days to pay are not called thousands of minutes', () => {
  const t = (key, values) => phrase(common[key], values, 'en');
  const clock = (seconds) => payClock({ ...ORDER, pay_by_ms: NOW + seconds * 1_000 }, NOW, t);
  assert.deepEqual([59, 3_599, 3_600, 86_399].map(clock), ['0:59', '59:59', '1:00:00', '23:59:59']);
  assert.deepEqual([86_400, 2 * 86_400 - 2, 30 * 86_400].map(clock), ['1 day 0:00:00', '1 day 23:59:58', '30 days 0:00:00']);
});

test('what costs nothing is completed, not paid', () => {
  const free = { ...ORDER, total_cents: 0 };
  for (const order of [free, { ...free, status: 'paid' }, { ...free, status: 'cancelled', reason: 'unpaid' }]) {
    for (const now of [NOW, ORDER.pay_by_ms]) assert.doesNotMatch(en[advice(order, now, has)], /pay (before|in)|payment/i);
    assert.doesNotMatch(en[wordOf(`status.${order.status}`, order, has)], /pa(id|yment)/i);
  }
  assert.equal(advice({ ...free, status: 'cancelled', reason: 'operator' }, NOW, has), 'order.cancelled.operator');
  assert.equal(wordOf('status.paid', { ...ORDER, total_cents: 1 }, has), 'status.paid');
});

test('only who let the time run out is told that they were too late to pay', () => {
  const cancelled = (reason) => tooLate({ ...ORDER, status: 'cancelled', reason }, has);
  assert.equal(cancelled('unpaid'), 'order.late.pay');
  for (const reason of ['operator', 'withdrawn', 'cancelled', 'refunded', null]) assert.equal(cancelled(reason), null, reason);
  // The order could not be read since.
  assert.equal(tooLate(ORDER, has), 'order.unknown');
});

test('every state of an order has its own advice', () => {
  assert.equal(advice(ORDER, NOW, has), 'order.created.do');
  assert.equal(advice({ ...ORDER, can_pay_here: false }, NOW, has), 'order.elsewhere.do');
  assert.equal(advice({ ...ORDER, status: 'cancelled', reason: 'unpaid' }, NOW, has), 'order.cancelled.unpaid');
  assert.equal(advice({ ...ORDER, status: 'cancelled', reason: 'strange' }, NOW, has), 'order.cancelled.do');
});

test('an order is paid here, at its providers, or in some other place', () => {
  const elsewhere = { ...ORDER, can_pay_here: false };
  assert.deepEqual(ways(ORDER), ['here']);
  assert.deepEqual(ways({ ...elsewhere, pay_with: ['alipay', 'wechat'] }), ['alipay', 'wechat']);
  assert.deepEqual(ways(elsewhere), []);
  assert.equal(advice({ ...elsewhere, pay_with: ['stripe'] }, NOW, has), 'order.created.do');
  for (const good of ['https://pay.example/1', 'weixin://wxpay/1']) assert.ok(isPayUrl(good), good);
  for (const bad of ['javascript:alert(1)', '//evil.example', 'data:text/html,x', '', null, ' https://x']) assert.ok(!isPayUrl(bad), bad);
});

test('a refund is shown with its amount', () => {
  const payments = [
    { status: 'paid', amount_cents: 99_900 },
    { status: 'refund_due', reason: 'already_paid', amount_cents: 99_900 },
    { status: 'refunded', reason: 'cancelled', amount_cents: 5 },
  ];
  assert.deepEqual(refunds({ ...ORDER, payments }, has), [
    ['refund.already_paid', { amount: '¥999.00' }],
    ['refund.done', { amount: '¥0.05' }],
  ]);
  const foreign = [{ status: 'refund_due', reason: 'wrong_currency', amount_cents: 1_500, currency: 'KWD' }];
  const [[, { amount }]] = refunds({ ...ORDER, currency: 'CNY', payments: foreign }, has);
  assert.equal(amount, 'KWD\u00a01.500');
});

test('whose paid order the shop cancelled is not told that they paid too late', () => {
  const payments = [{ status: 'refund_due', reason: 'cancelled', amount_cents: 99_900 }];
  const said = (reason) => refunds({ ...ORDER, status: 'cancelled', reason, payments }, has)[0][0];
  for (const reason of ['operator', 'withdrawn']) assert.equal(said(reason), 'refund.by_the_shop');
  for (const reason of ['unpaid', 'cancelled']) assert.equal(said(reason), 'refund.cancelled');
});

test('a purchase is saved when something of it changed, and not for a later look', () => {
  basket.note('li', '1-153', { status: 'ordered', order: '7' }, 1_000);
  basket.note('li', '1-153', { status: 'ordered', order: '7' }, 2_000);
  assert.equal(basket.read('li')['1-153'].at, 1_000);
  basket.note('li', '1-153', { status: 'paid', order: '7' }, 3_000);
  assert.equal(basket.read('li')['1-153'].at, 3_000);
});
