// What operators read of an order's history and in the audit log: words, no codes.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { targetOf } from '../../../html/console/audit.js';
import { t } from '../../../html/console/i18n.js';
import { marked } from '../../../html/console/marks.js';
import { told } from '../../../html/console/order-events.js';
import { named, shown } from '../../../html/console/rounds/changes.js';
import { speaks } from './speaks.mjs';

after(() => speaks('en'));

const CNY = { sign: '¥', digits: 2 };
const events = [
  { what: 'purchase', detail: '1796023348332-0 purchase user=carl request=r locked=1', facts: { quantity: 1, reason: null } },
  { what: 'placed', detail: 'to be paid by 2026-11-30T07:32:28.333Z', facts: { pay_by_ms: Date.UTC(2026, 10, 30, 7, 32) } },
  { what: 'payment', detail: 'p1, 499.00 CNY, refund_due (cancelled)', facts: { payment: 'p1', amount: { cents: 49_900, currency: CNY }, state: 'refund_due', reason: 'cancelled' } },
  { what: 'payment', detail: 'p1, 499.00 CNY, received', facts: { payment: 'p1', amount: { cents: 49_900, currency: CNY }, state: 'received', reason: null } },
  { what: 'payment', detail: 'p1, 499.00 CNY, paid, 99.00 CNY of it refunded', facts: { payment: 'p1', amount: { cents: 49_900, currency: CNY }, refunded: { cents: 9_900, currency: CNY }, state: 'paid', reason: null } },
  { what: 'refund', detail: 'p1, 499.00 CNY, refused (no balance)', facts: { payment: 'p1', amount: { cents: 49_900, currency: CNY }, state: 'refused', reason: 'no balance' } },
  { what: 'refund', detail: '买家要求', facts: {} },
  { what: 'release', detail: '1796023348332-1 release user=carl reason=unpaid', facts: { quantity: 2, reason: 'unpaid' } },
  { what: 'notification', detail: 'ordered by email: dead after 3 attempts (no route)', facts: { kind: 'ordered', channel: 'email', state: 'dead', attempts: 3, reason: 'no route' } },
  { what: 'note', detail: '买家来电 refund_due', facts: {} },
];

test('an order’s history is told in the reader’s language, times on the shop’s clock', async () => {
  await speaks('zh');
  assert.deepEqual(events.map(told), [
    '1 件', '须在 2026/11/30 15:32 前支付', '¥499.00，待退款（订单已取消），支付号 p1', '¥499.00，收到支付通知，支付号 p1', '¥499.00，已支付，其中 ¥99.00 已退款，支付号 p1', '¥499.00，被支付渠道拒绝（no balance），支付号 p1', '买家要求', '2 件（超时未支付）', '已下单，电子邮件，已放弃（已尝试 3 次）（no route）', '买家来电 refund_due',
  ]);
  await speaks('en');
  assert.deepEqual(events.map(told), [
    '1 item', 'to be paid before 11/30/2026, 15:32', '¥499.00, refund due (The order was cancelled), payment p1', '¥499.00, notice received, payment p1', '¥499.00, paid, ¥99.00 of it refunded, payment p1', '¥499.00, refused by the provider (no balance), payment p1', '买家要求', '2 items (not paid in time)', 'order placed, e-mail, given up (3 attempts) (no route)', '买家来电 refund_due',
  ]);
});

test('the audit log says states, roles and subjects in words', async () => {
  await speaks('zh');
  assert.equal(`${named('before')}: ${shown('before', 'paid')}`, '之前: 已支付');
  assert.equal(`${named('by')}: ${shown('by', 'password')}`, '登录方式: 密码');
  assert.equal(shown('wickedness', ['hammer', 'blind']), '连点, 从不看页面');
  assert.equal(targetOf({ action: 'ban.add', target: 'user:x%20y' }), '账号 x y');
  assert.equal(targetOf({ action: 'ban.lift', target: 'address:203.0.113.0/24' }), '地址 203.0.113.0/24');
  assert.equal(targetOf({ action: 'finding.confirm', target: 'user bot-1' }), '账号 bot-1');
  assert.equal(targetOf({ action: 'ban.add', target: 'user:100%' }), '账号 100%');
  assert.equal(targetOf({ action: 'round.edit', target: 'user' }), 'user');
});

test('what happened during a sale is told in words, bans by whom they are of', async () => {
  const marks = [['sale.pause', 'a::1'], ['round.approve', 'many'], ['ban.add', 'address:203.0.113.7/32'], ['stock.adjust', 'a::1'], ['simulation.begin', 'a::1'], ['system.start', '0.1.0'], ['round.opens', 'Noon'], ['round.price_cut', 'a::1']];
  const said = () => marks.map(([kind, subject]) => marked({ kind, subject }).join(' '));
  await speaks('en');
  assert.deepEqual(said(), ['paused a sale a::1', 'approved a round many', 'banned address 203.0.113.7/32', 'adjusted an amount a::1', 'began a simulation a::1', 'started, version 0.1.0', 'opened: Noon', 'lowered the price of a::1']);
  await speaks('zh');
  assert.deepEqual(said(), ['暂停销售 a::1', '批准 many', '封禁 地址 203.0.113.7/32', '调整数量 a::1', '开始模拟抢购 a::1', '启动，版本 0.1.0', '开抢 Noon', '降价 a::1']);
});

test('a name that runs from right to left keeps to itself in a sentence', async () => {
  await speaks('en');
  assert.equal(t('target.user', { name: 'ليلى' }), 'account \u2068ليلى\u2069');
  assert.equal(t('target.user', { name: 'li' }), 'account li');
});
