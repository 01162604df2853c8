// Refunds due: payments that arrived and pay no order.

import { api } from './api.js';
import { el, fill } from './dom.js';
import { addWords, find, moment, money, number, t } from './i18n.js';

addWords({
  zh: {
    'refunds.title': '待退款',
    'refunds.do': '收到了款项却没有可付的订单。请经支付渠道退回；渠道通知退款后即从此处消失。',
    'refunds.total': '共 {n} 笔，{sum}',
    'refunds.payment': '支付号',
    'refunds.order': '订单号',
    'refunds.amount': '金额',
    'refunds.reason': '原因',
    'refunds.since': '收到',
    'refunds.none': '没有待退款',
    'refunds.none.do': '收到的每笔款项都付了一个订单。',
    'refund.cancelled': '订单已取消',
    'refund.already_paid': '订单已由另一笔付清',
    'refund.wrong_amount': '金额不符',
    'refund.unknown_order': '没有这个订单',
    'refund.wrong_currency': '币种不符',
    'refund.partly_refunded': '记录之前已部分退款',
  },
  en: {
    'refunds.title': 'Refunds due',
    'refunds.do': 'Payments that arrived and pay no order. Refund them through the payment provider; they leave this list when the provider confirms the refund.',
    'refunds.total': '{n}, {sum} in all',
    'refunds.payment': 'Payment',
    'refunds.order': 'Order',
    'refunds.amount': 'Amount',
    'refunds.reason': 'Reason',
    'refunds.since': 'Received',
    'refunds.none': 'No refunds are due',
    'refunds.none.do': 'Every payment that arrived has paid an order.',
    'refund.cancelled': 'The order was cancelled',
    'refund.already_paid': 'The order was paid by another payment',
    'refund.wrong_amount': 'The amount is wrong',
    'refund.unknown_order': 'There is no such order',
    'refund.wrong_currency': 'The currency is wrong',
    'refund.partly_refunded': 'A part was refunded before it was on record',
  },
});

export async function show(root) {
  const { refunds, all, totals } = await api.get('/refunds');
  const amount = ({ cents, currency }) => money(cents, currency);
  const cell = (label, what) => el('td', { 'data-label': t(label) }, el('span', {}, what));
  const row = (it) => el('tr', { 'data-payment': it.payment },
    cell('refunds.payment', it.payment), cell('refunds.order', it.order ? el('a', { href: `#/orders/${encodeURIComponent(it.order)}` }, it.order) : '–'),
    el('td.num', { 'data-label': t('refunds.amount') }, amount(it.amount)),
    cell('refunds.reason', find(`refund.${it.reason}`) ?? it.reason ?? '–'), cell('refunds.since', moment(it.received_ms)));
  const heads = ['payment', 'order', 'amount', 'reason', 'since'];
  fill(root, el('div.head', {}, el('h1', {}, t('refunds.title')), all ? el('span.chip.num', {}, t('refunds.total', { n: number(all), sum: totals.map(amount).join(' + ') })) : null),
    el('p.soft.lead', {}, t('refunds.do')),
    el('section.card', {}, refunds.length
      ? el('table.table', {},
        el('thead', {}, el('tr', {}, heads.map((name) => el('th', { scope: 'col', class: name === 'amount' ? 'num' : null }, t(`refunds.${name}`))))),
        el('tbody', {}, refunds.map(row)))
      : el('div.empty', {}, el('h2', {}, t('refunds.none')), el('p', {}, t('refunds.none.do')))));
}
