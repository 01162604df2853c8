// One product's stock, segment by segment, and changing how much there is.

import { ApiError, api, mistakeText } from './api.js';
import { ask, el, fill, submits, toast } from './dom.js';
import { addWords, number, said, t } from './i18n.js';
import { readWhole, wholeIn } from './numbers.js';
import { propose } from './rounds/proposals.js';
import { chip } from './rounds/state.js';
import { stopButtons } from './rounds/stops.js';

addWords({
  zh: {
    'stock.title': '库存',
    'stock.back': '返回实时看板',
    'stock.total': '总数',
    'stock.sale': '可售',
    'stock.locked': '待支付',
    'stock.saled': '已支付',
    'stock.moving': '调拨中',
    'stock.outbox': '待处理事件',
    'stock.permits': '许可',
    'stock.of': '{n} / {limit}',
    'stock.segment': '分段',
    'stock.master': '所在 Redis',
    'stock.all': '合计',
    'stock.missing': '有分段读不到：{reason}',
    'stock.stop': '停售', 'stock.stop.do': '所有入口一秒内停售，页面会说明。同场其他商品不受影响。', 'stock.adjust': '调整总数',
    'stock.adjust.do': '填写新的总数（不是差额）。不能低于已卖出的 {sold} 件。调少立即生效；调多须由另一位主管批准。两者都记入审计日志。',
    'stock.amount': '新的总数',
    'stock.more': '可售增加 {n} 件，变为 {sale} 件。',
    'stock.less': '可售减少 {n} 件，变为 {sale} 件。',
    'stock.same': '与现在相同。',
    'stock.ask': '把 {title} 的总数从 {from} 改为 {to}？',
    'stock.set': '调整',
    'stock.done': '已从 {from} 件调整为 {to} 件',
    'mistake.amount_range': '{0} 不是可用的总数；请填 1 到 1000000000。',
    'mistake.below_sold': '不能调整为 {0} 件：已卖出 {1} 件（已支付 {2}，待支付 {3}）；请填 {1} 或更多。',
  },
  en: {
    'stock.title': 'Stock',
    'stock.back': 'Back to the live board',
    'stock.total': 'Total',
    'stock.sale': 'For sale',
    'stock.locked': 'Awaiting payment',
    'stock.saled': 'Paid',
    'stock.moving': 'In transit',
    'stock.outbox': 'Events to handle',
    'stock.permits': 'Permits',
    'stock.of': '{n} of {limit}',
    'stock.segment': 'Segment',
    'stock.master': 'Redis',
    'stock.all': 'All',
    'stock.missing': 'Part of the stock cannot be read: {reason}',
    'stock.stop': 'Stop selling it', 'stock.stop.do': 'Every edge refuses within a second, and the pages say so. The other products of its round sell on.', 'stock.adjust': 'Adjust the amount',
    'stock.adjust.do': 'Enter the new total, not a difference. It cannot be less than the {sold} that are sold. Fewer takes effect at once; more waits for another supervisor. Both are recorded in the audit log.',
    'stock.amount': 'New total',
    'stock.more': '{n} more for sale, {sale} then.',
    'stock.less': '{n} fewer for sale, {sale} then.',
    'stock.same': 'The same as now.',
    'stock.ask': 'Change the amount of {title} from {from} to {to}?',
    'stock.set': 'Adjust',
    'stock.done': '{to} items instead of {from}',
  },
});

/** As many as the server takes. */
const MOST = 1_000_000_000;
const AMOUNTS = ['sale', 'locked', 'saled', 'in_transit', 'outbox'];
const LABELS = { in_transit: 'moving' };

/** Names a change, so that it is made once however often it is sent. */
function requestId() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

function table(levels) {
  const head = (name) => el('th', { scope: 'col', class: 'num' }, t(`stock.${LABELS[name] ?? name}`));
  const cell = (name, n) => el('td.num', { 'data-label': t(`stock.${LABELS[name] ?? name}`) }, number(n));
  const sums = { ...levels, outbox: levels.segments.reduce((sum, it) => sum + it.outbox, 0) };
  return el('table.table', {},
    el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, t('stock.segment')), AMOUNTS.map(head), el('th', { scope: 'col' }, t('stock.master')))),
    el('tbody', {}, levels.segments.map((it) => el('tr', {}, el('td', {}, String(it.segment).padStart(2, '0')), AMOUNTS.map((name) => cell(name, it[name])), el('td', { 'data-label': t('stock.master') }, el('span', {}, it.master)))),
      levels.segments.length > 1 ? el('tr', {}, el('td', {}, el('b', {}, t('stock.all'))), AMOUNTS.map((name) => cell(name, sums[name])), el('td')) : null));
}

export async function show(root, { params: [round = '', product = ''], me }) {
  const path = `/stock/${encodeURIComponent(round)}/${encodeURIComponent(product)}`;
  let request = requestId();

  async function read() {
    const levels = await api.get(path);
    const { sale, locked, saled, in_transit: moving } = levels;
    const [sold, whole] = [locked + saled, sale + locked + saled + moving];
    const facts = [['total', number(whole)], ['sale', number(sale)], ['locked', number(locked)], ['saled', number(saled)], ['permits', t('stock.of', { n: number(levels.permits), limit: number(levels.limit) })]];
    fill(root,
      el('div.head', {}, el('h1', {}, el('bdi', {}, levels.title), ' ', el('span.soft.small', {}, `${round}::${product}`), levels.stop ? [' ', chip(levels.stop)] : null), el('a.button', { href: '#/board' }, t('stock.back'))),
      levels.missing.length ? el('p.banner', { role: 'alert' }, t('stock.missing', { reason: levels.missing[0] })) : null,
      el('section.card', {}, el('dl.facts', {}, facts.map(([name, what]) => el('div', { 'data-fact': name }, el('dt', {}, t(`stock.${name}`)), el('dd.num', {}, what)))), table(levels)),
      stopping(levels),
      adjusting(levels, { sold, whole }));
  }

  /** What is over, or withdrawn, cannot be stopped any more. */
  function stopping({ title, stop }) {
    const buttons = stopButtons({ round, product, name: title }, stop ?? null, me, read);
    return buttons.length === 0 ? null : el('section.card', {}, el('h2', {}, t('stock.stop')), el('p.soft', {}, t('stock.stop.do')), el('div.row', {}, buttons));
  }

  function adjusting(levels, { sold, whole }) {
    const note = el('p.mistake', { id: 'amount-mistake', role: 'alert' });
    const effect = el('p.hint', { id: 'amount-effect', 'aria-live': 'polite' });
    const amount = el('input', { id: 'amount', type: 'number', min: 1, max: MOST, step: 1, value: whole, required: true, inputmode: 'numeric', 'aria-describedby': 'amount-effect amount-mistake' });
    const button = el('button.button.is-main', { type: 'submit' }, t('stock.set'));
    const preview = () => {
      const to = wholeIn(amount.value, 1, MOST);
      const change = to - whole;
      const words = { n: number(Math.abs(change)), sale: number(levels.sale + change) };
      note.textContent = '';
      // Nothing is said of what cannot be.
      const can = to !== null && levels.sale + change >= 0;
      effect.textContent = !can ? '' : change === 0 ? t('stock.same') : t(change > 0 ? 'stock.more' : 'stock.less', words);
    };
    amount.addEventListener('input', preview);
    preview();
    const form = el('form.card', { novalidate: true }, el('h2', {}, t('stock.adjust')),
      el('p.soft', {}, t('stock.adjust.do', { sold: number(sold) })),
      el('div.fields', {}, el('div', { class: 'w4' }, el('label', { for: 'amount' }, t('stock.amount')), amount, effect, note)),
      el('div.row.is-end', {}, button));
    /** More than there is: a second person decides. */
    async function proposed(error, to) {
      try {
        if (await propose(error, { round, product, amount: to }, { [product]: levels.title })) await read();
      } catch (refusal) {
        if (!(refusal instanceof ApiError)) throw refusal;
        note.textContent = refusal.mistakes.length ? mistakeText(refusal.mistakes[0]) : said(refusal);
      }
    }
    submits(form, async () => {
      const to = readWhole(amount, note);
      if (to === null) return;
      const words = { title: levels.title, from: number(whole), to: number(to) };
      if (to < whole && !(await ask({ title: t('stock.ask', words), text: effect.textContent, yes: t('stock.set'), no: t('cancel') }))) return;
      try {
        const adjusted = await api.post(path, { amount: to, request });
        request = requestId();
        await read();
        toast(t('stock.done', { from: number(adjusted.from), to: number(adjusted.to) }));
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.code === 'second_person') {
          await proposed(error, to);
          return;
        }
        note.textContent = error.mistakes.length ? mistakeText(error.mistakes[0]) : said(error);
        amount.focus();
      }
    });
    return form;
  }
  await read();
}
