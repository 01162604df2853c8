// The report of a round: what it sold and how it went, for people who were not there.
// The browser prints it, and saves it as PDF.

import { api } from './api.js';
import { el, fill } from './dom.js';
import { addWords, moment, money, number, span, t } from './i18n.js';
import { markLine } from './marks.js';
import { percentDown } from './numbers.js';
import { chip } from './rounds/state.js';

addWords({
  zh: {
    'report.title': '场次报告', 'report.print': '打印或存为 PDF', 'report.made': '生成于 {when}', 'report.running': '场次尚未结束，数字仍会变化。',
    'report.revenue': '已支付金额', 'report.items': '已支付件数', 'report.sold': '售出比例', 'report.orders': '订单数', 'report.saved': '为顾客节省', 'report.requests': '抢购请求', 'report.peak': '最高每秒请求',
    'report.product': '商品', 'report.price': '秒杀价', 'report.amount': '上架', 'report.paid': '已支付', 'report.unpaid': '待支付', 'report.cancelled': '已取消', 'report.failed': '未能下单', 'report.out': '售罄用时', 'report.cents': '金额',
    'report.marks': '期间发生的事', 'report.none': '没有记录', 'report.total': '合计', 'report.crowd': '每支付 1 件，有 {n} 次抢购请求。', 'report.requests.shared': '同期全站抢购请求', 'report.peak.shared': '全站最高每秒请求', 'report.s': '{n} 秒', 'report.min': '{n} 分钟', 'report.open': '报告',
    'report.removed': '订单已于 {when} 按保留期限移除；以下数字是移除前统计的。', 'report.lost': '订单已于 {when} 由较早的版本按保留期限移除，未留下统计；以下数字不反映售出情况，请查看导出的文件。',
  },
  en: {
    'report.title': 'Report of the sale', 'report.print': 'Print or save as PDF', 'report.made': 'Made {when}', 'report.running': 'The sale is not over; these numbers still change.',
    'report.revenue': 'Paid', 'report.items': 'Items paid', 'report.sold': 'Sold', 'report.orders': 'Orders', 'report.saved': 'Saved by buyers', 'report.requests': 'Purchase requests', 'report.peak': 'Peak requests / s',
    'report.product': 'Product', 'report.price': 'Price', 'report.amount': 'Offered', 'report.paid': 'Paid', 'report.unpaid': 'Awaiting payment', 'report.cancelled': 'Cancelled', 'report.failed': 'Order failed', 'report.out': 'Sold out after', 'report.cents': 'Revenue',
    'report.marks': 'What happened meanwhile', 'report.none': 'Nothing was recorded', 'report.total': 'Total', 'report.crowd': 'For each item paid there were {n} purchase requests.', 'report.requests.shared': 'Requests at the shop meanwhile', 'report.peak.shared': 'Peak requests / s at the shop', 'report.s': '{n} s', 'report.min': '{n} min', 'report.open': 'Report',
    'report.removed': 'The orders were removed on {when}, as old as the settings say; what they sold was counted before.', 'report.lost': 'The orders were removed on {when} by an earlier version, which counted nothing: the numbers below do not say what was sold. The exported file does.',
  },
});

/** The sums of a report, and for each product how long it took to sell out, in ms; null if it did not. Pure. */
export function sums({ starts_ms: starts, products }) {
  const sum = (of) => products.reduce((total, it) => total + of(it), 0);
  const offered = sum((it) => it.amount);
  const taken = (it) => it.paid_items + it.unpaid_items;
  return {
    offered,
    orders: sum((it) => it.orders),
    paid: sum((it) => it.paid_items),
    unpaid: sum((it) => it.unpaid_items),
    cancelled: sum((it) => it.cancelled_items),
    failed: sum((it) => it.failed_items),
    cents: sum((it) => it.paid_cents),
    saved: sum((it) => Math.max(0, it.list_price_cents * it.paid_items - it.paid_cents)),
    sold: offered > 0 ? sum(taken) / offered : 0,
    out: Object.fromEntries(products.map((it) => [it.id, taken(it) >= it.amount && it.last_ms !== null ? Math.max(0, it.last_ms - starts) : null])),
  };
}

/** How many purchase requests came for each item that was paid; null where that says nothing. Pure. */
export function crowd({ requests, requests_shared: isShared }, paid) {
  const each = requests === null || isShared || paid === 0 ? 0 : requests / paid;
  if (each < 2) return null;
  return each < 10 ? Math.round(each * 10) / 10 : Math.round(each);
}

/** Whether a round in this state sells no more. */
const isOver = (state) => ['ended', 'withdrawn'].includes(state);

const lasted = (ms) => (ms === null ? '–' : ms < 120_000 ? t('report.s', { n: number(Math.ceil(ms / 1_000)) }) : t('report.min', { n: number(Math.round(ms / 60_000)) }));

export async function show(root, { params: [id] }) {
  const report = await api.get(`/rounds/${encodeURIComponent(id)}/report`);
  const all = sums(report);
  const tile = (name, value) => el('div.card.tile', {}, el('span.tile-name', {}, t(`report.${name}`)), el('b.num', {}, value));
  const columns = ['price', 'amount', 'paid', 'unpaid', 'cancelled', 'failed', 'out', 'cents'];
  const cells = (values) => columns.map((name) => el('td.num', { 'data-label': t(`report.${name}`) }, values[name]));
  const row = (it) => el('tr', {}, el('td', {}, el('b', { dir: 'auto' }, it.title), el('div.soft.small', {}, it.id)), cells({
    price: money(it.price_cents), amount: number(it.amount), paid: number(it.paid_items), unpaid: number(it.unpaid_items),
    cancelled: number(it.cancelled_items), failed: number(it.failed_items), out: lasted(all.out[it.id]), cents: money(it.paid_cents),
  }));
  const requests = report.requests_shared ? '.shared' : '';
  const each = crowd(report, all.paid);
  fill(root,
    el('div.head', {}, el('div', {}, el('h1', {}, `${t('report.title')} · `, el('bdi', {}, report.name)), el('p.soft', {}, span(report.starts_ms, report.ends_ms), ' · ', t('report.made', { when: moment(report.at_ms) }), ' ', chip(report.state))),
      el('button.button.is-main', { type: 'button', onclick: () => window.print() }, t('report.print'))),
    isOver(report.state) ? null : el('p.note', { 'data-tone': 'warn' }, t('report.running')),
    report.orders_removed_ms === null ? null
      : el('p.note', { 'data-tone': report.figures_lost ? 'warn' : 'info' }, t(report.figures_lost ? 'report.lost' : 'report.removed', { when: moment(report.orders_removed_ms) })),
    el('div.tiles.report-tiles', {}, tile('revenue', money(all.cents)), tile('items', number(all.paid)), tile('sold', percentDown(all.sold)), tile('orders', number(all.orders)),
      tile('saved', money(all.saved)), tile(`requests${requests}`, report.requests === null ? '–' : number(report.requests)), tile(`peak${requests}`, report.peak_per_second === null ? '–' : number(report.peak_per_second))),
    each === null ? null : el('p', {}, t('report.crowd', { n: number(each) })),
    el('div.card', {}, el('table.table', {},
      el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, t('report.product')), columns.map((name) => el('th.num', { scope: 'col' }, t(`report.${name}`))))),
      el('tbody', {}, report.products.map(row)),
      el('tfoot', {}, el('tr', {}, el('th', { scope: 'row' }, t('report.total')), cells({
        price: '', amount: number(all.offered), paid: number(all.paid), unpaid: number(all.unpaid), cancelled: number(all.cancelled), failed: number(all.failed), out: '', cents: money(all.cents),
      }))))),
    el('div.card', {}, el('h2', {}, t('report.marks')),
      report.marks.length ? el('ul.marks', {}, report.marks.map(markLine)) : el('p.soft', {}, t('report.none'))));
}
