// What happened to an order, event by event, in the reader's language. The server says
// each in English and as values.

import { addWords, find, moment, money, number, t } from './i18n.js';
import './refunds.js';

addWords({
  zh: {
    'order.reason.cancelled': '买家取消', 'order.reason.unpaid': '超时未支付', 'order.reason.withdrawn': '场次下架', 'order.reason.operator': '运营取消', 'order.reason.refunded': '已退款', 'order.reason.backlog': '排队太久', 'order.reason.refused': '被拒绝',
    'told.items': '{n} 件', 'told.why': '（{why}）', 'told.placed': '须在 {when} 前支付',
    'told.payment': '{amount}，{state}{why}，支付号 {payment}', 'told.part': '，其中 {part} 已退款', 'told.payment.received': '收到支付通知', 'told.payment.failed': '未成功', 'told.payment.paid': '已支付', 'told.payment.refund_due': '待退款', 'told.payment.refunded': '已退款',
    'told.refund.asked': '已发起', 'told.refund.pending': '支付渠道处理中', 'told.refund.done': '已退回', 'told.refund.refused': '被支付渠道拒绝',
    'told.notification': '{kind}，{channel}，{state}{why}', 'told.tries': '{state}（已尝试 {n} 次）',
    'told.kind.ordered': '已下单', 'told.kind.paid': '已支付', 'told.kind.cancelled': '已取消', 'told.kind.failed': '未成功', 'told.kind.refund_due': '将退款',
    'told.channel.webhook': 'webhook', 'told.channel.email': '电子邮件',
    'told.state.waiting': '等待发送', 'told.state.sent': '已发送', 'told.state.skipped': '没有收件人', 'told.state.dead': '已放弃',
  },
  en: {
    'order.reason.cancelled': 'cancelled by the buyer', 'order.reason.unpaid': 'not paid in time', 'order.reason.withdrawn': 'the round was withdrawn', 'order.reason.operator': 'cancelled by an operator', 'order.reason.refunded': 'refunded', 'order.reason.backlog': 'waited too long in the queue', 'order.reason.refused': 'refused',
    'told.items': '{n} {n|item|items}', 'told.why': ' ({why})', 'told.placed': 'to be paid before {when}',
    'told.payment': '{amount}, {state}{why}, payment {payment}', 'told.part': ', {part} of it refunded', 'told.payment.received': 'notice received', 'told.payment.failed': 'failed', 'told.payment.paid': 'paid', 'told.payment.refund_due': 'refund due', 'told.payment.refunded': 'refunded',
    'told.refund.asked': 'requested', 'told.refund.pending': 'accepted by the provider', 'told.refund.done': 'money returned', 'told.refund.refused': 'refused by the provider',
    'told.notification': '{kind}, {channel}, {state}{why}', 'told.tries': '{state} ({n} {n|attempt|attempts})',
    'told.kind.ordered': 'order placed', 'told.kind.paid': 'paid', 'told.kind.cancelled': 'cancelled', 'told.kind.failed': 'failed', 'told.kind.refund_due': 'refund due',
    'told.channel.webhook': 'webhook', 'told.channel.email': 'e-mail',
    'told.state.waiting': 'waiting', 'told.state.sent': 'sent', 'told.state.skipped': 'no recipient', 'told.state.dead': 'given up',
  },
});

/** A code's words; the code itself if there are none. */
const word = (kind, code) => find(`${kind}.${code}`) ?? code;
const why = (kind, code) => (code ? t('told.why', { why: kind ? word(kind, code) : code }) : '');

/** More of an event than its name; somebody's own text stays as it is. */
export function told({ what, detail, facts = {} }) {
  if (what === 'placed' && facts.pay_by_ms) return t('told.placed', { when: moment(facts.pay_by_ms) });
  if (facts.amount) {
    const amount = ({ cents, currency }) => money(cents, currency);
    const is = word(`told.${what}`, facts.state);
    return t('told.payment', {
      payment: facts.payment, amount: amount(facts.amount), why: why('refund', facts.reason),
      state: facts.refunded ? is + t('told.part', { part: amount(facts.refunded) }) : is,
    });
  }
  if (what === 'notification' && facts.kind) {
    const state = word('told.state', facts.state);
    return t('told.notification', {
      kind: word('told.kind', facts.kind), channel: word('told.channel', facts.channel), why: why(null, facts.reason),
      // One that was sent at once says no more than that.
      state: facts.attempts > 1 || facts.state === 'dead' ? t('told.tries', { state, n: number(facts.attempts) }) : state,
    });
  }
  if (facts.quantity) return t('told.items', { n: number(facts.quantity) }) + why('order.reason', facts.reason);
  return detail;
}
