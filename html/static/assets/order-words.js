// How an order is described, on the list and on its own page. Pure.

import { money, remaining } from './format.js';

/** 'created', 'late' (unpaid and past its time, not yet reported as cancelled), 'paid' or 'cancelled'. */
export function standing(order, now) {
  return order.status === 'created' && now >= order.pay_by_ms ? 'late' : order.status;
}

/** How long the order can still be paid; null when it need not be. */
export const payClock = (order, now, t) => (order.status === 'created' ? remaining(order.pay_by_ms - now, t) : null);

/** `key`, or the key of its form for an order that costs nothing, where there is one. */
export const wordOf = (key, order, has) => (order.total_cents === 0 && has(`${key}.free`) ? `${key}.free` : key);

/** The key of the sentence that says what to do next; `has(key)` says whether there is such a sentence. */
export function advice(order, now, has) {
  const where = standing(order, now);
  if (where === 'created') return wordOf(ways(order).length ? 'order.created.do' : 'order.elsewhere.do', order, has);
  const because = `order.${where}.${order.reason}`;
  return wordOf(has(because) ? because : `order.${where}.do`, order, has);
}

/**
 * What a click that met a cancelled order is told besides why it was cancelled: a key, or
 * null. Only who let the time run out was too late.
 */
export function tooLate(order, has) {
  if (order?.status !== 'cancelled') return 'order.unknown';
  return order.reason === 'unpaid' ? wordOf('order.late.pay', order, has) : null;
}

/**
 * The ways to pay an order, as the names of its providers; 'here' is the shop's own page, in
 * the demo and for what costs nothing. Empty if the buyer pays in some other place.
 */
export function ways(order) {
  if (order.can_pay_here !== false) return ['here'];
  return order.pay_with ?? [];
}

/** An address that a button may lead to: a provider's page, or one that opens its app. */
export const isPayUrl = (url) => /^(https?|weixin|alipays?):\/\//.test(url ?? '');

/** What was paid; money of another currency than the order's has that one's letters. */
function amountOf({ amount_cents: minor, currency }, order) {
  if (!currency || currency === (order.currency ?? currency)) return money(minor);
  const foreign = new Intl.NumberFormat('en', { style: 'currency', currency, currencyDisplay: 'code' });
  return foreign.format(minor / 10 ** foreign.resolvedOptions().maximumFractionDigits);
}

/** Whoever cancels for one of these reasons may cancel an order that is paid. */
const BY_THE_SHOP = ['operator', 'withdrawn'];

/** The sentences about refunds: keys with their values. */
export function refunds(order, has) {
  return (order.payments ?? [])
    .filter((it) => ['refund_due', 'refunded'].includes(it.status))
    .map((it) => {
      // Only what the shop did not cancel was surely cancelled before it was paid.
      const why = it.reason === 'cancelled' && BY_THE_SHOP.includes(order.reason) ? 'by_the_shop' : it.reason;
      const because = it.status === 'refunded' ? 'refund.done' : `refund.${why}`;
      return [has(because) ? because : 'refund.due', { amount: amountOf(it, order) }];
    });
}

/** The address of the product's page. */
export const pageOf = (order) => `/product/${encodeURIComponent(order.round)}-${encodeURIComponent(order.product)}.html`;
export const orderUrl = (order) => `/order.html?order=${encodeURIComponent(order.order)}`;
