// Orders: finding them, and one with everything that happened to it, what its buyer
// filled in, and what can be done about it.

import { api, filters } from './api.js';
import { download } from './download.js';
import { ask, el, fill, once, toast } from './dom.js';
import { addWords, find, lang, moment, money, number, said, t } from './i18n.js';
import { listIn } from './lists.js';
import { told } from './order-events.js';

addWords({
  zh: {
    'orders.title': '订单', 'orders.find': '查找', 'orders.by': '条件', 'orders.text': '内容', 'orders.by.order': '订单号', 'orders.by.user': '买家', 'orders.by.payment': '支付号', 'orders.by.round': '场次编号', 'orders.by.product': '商品编号',
    'orders.state': '状态', 'orders.any': '全部', 'orders.order': '订单号', 'orders.user': '买家', 'orders.item': '商品', 'orders.total': '金额', 'orders.created': '下单时间', 'orders.more': '更多', 'orders.export': '导出 CSV',
    'orders.no_number': '订单号是一串数字。', 'orders.none': '没有符合条件的订单', 'orders.none.do': '换个条件再试。', 'orders.empty': '还没有订单', 'orders.empty.do': '买家下单后会出现在这里。',
    'order.state.created': '待支付', 'order.state.paid': '已支付', 'order.state.cancelled': '已取消', 'order.state.failed': '未成功',
    'order.back': '全部订单', 'order.title': '订单', 'order.facts': '订单', 'order.reason': '原因', 'order.round': '场次', 'order.product': '商品', 'order.quantity': '数量', 'order.price': '单价', 'order.pay_by': '支付截止', 'order.request': '请求编号',
    'order.details': '买家填写的信息', 'order.details.none': '没有填写。', 'order.history': '经过',
    'order.what.purchase': '抢到', 'order.what.placed': '下单', 'order.what.confirm': '库存售出', 'order.what.release': '库存放回', 'order.what.return': '库存退回', 'order.what.payment': '收款', 'order.what.notification': '通知', 'order.what.note': '备注', 'order.what.cancel': '取消', 'order.what.refund': '退款', 'order.what.resend': '重发通知',
    'order.do.cancel': '取消订单', 'order.do.refund': '退款', 'order.do.resend': '重发通知', 'order.do.note': '添加备注', 'order.ask.cancel': '取消这个订单？', 'order.ask.refund': '退还这个订单的款项？', 'order.ask.note': '给这个订单添加备注', 'order.ask.why': '理由，记入审计日志', 'order.ask.text': '备注内容', 'order.done': '已完成',
    'error.order_state': '订单现在的状态不允许这样做，没有做任何更改。', 'error.no_notification': '没有可以重发的通知。',
  },
  en: {
    'orders.title': 'Orders', 'orders.find': 'Find', 'orders.by': 'Find by', 'orders.text': 'Text', 'orders.by.order': 'Order number', 'orders.by.user': 'Buyer', 'orders.by.payment': 'Payment', 'orders.by.round': 'Round id', 'orders.by.product': 'Product id',
    'orders.state': 'State', 'orders.any': 'All', 'orders.order': 'Order', 'orders.user': 'Buyer', 'orders.item': 'Product', 'orders.total': 'Total', 'orders.created': 'Placed', 'orders.more': 'More', 'orders.export': 'Export CSV',
    'orders.no_number': 'An order number is digits only.', 'orders.none': 'No order matches', 'orders.none.do': 'Try something else.', 'orders.empty': 'No orders yet', 'orders.empty.do': 'They appear here once buyers have placed them.',
    'order.state.created': 'Awaiting payment', 'order.state.paid': 'Paid', 'order.state.cancelled': 'Cancelled', 'order.state.failed': 'Failed',
    'order.back': 'All orders', 'order.title': 'Order', 'order.facts': 'Order', 'order.reason': 'Reason', 'order.round': 'Round', 'order.product': 'Product', 'order.quantity': 'Quantity', 'order.price': 'Price', 'order.pay_by': 'Pay before', 'order.request': 'Request id',
    'order.details': 'What the buyer filled in', 'order.details.none': 'Nothing.', 'order.history': 'What happened',
    'order.what.purchase': 'Bought', 'order.what.placed': 'Placed', 'order.what.confirm': 'Stock sold', 'order.what.release': 'Stock released', 'order.what.return': 'Stock returned', 'order.what.payment': 'Payment', 'order.what.notification': 'Notification', 'order.what.note': 'Note', 'order.what.cancel': 'Cancelled', 'order.what.refund': 'Refund', 'order.what.resend': 'Notified again',
    'order.do.cancel': 'Cancel', 'order.do.refund': 'Refund', 'order.do.resend': 'Notify again', 'order.do.note': 'Add a note', 'order.ask.cancel': 'Cancel this order?', 'order.ask.refund': 'Refund this order?', 'order.ask.note': 'Add a note to this order', 'order.ask.why': 'Why, for the audit log', 'order.ask.text': 'The note', 'order.done': 'Done',
  },
});

const BY = ['order', 'user', 'payment', 'round', 'product'];
const STATES = ['created', 'paid', 'cancelled', 'failed'];

const TONES = { created: 'warn', paid: 'good', failed: 'bad' };
const state = (it) => el('span.chip', { 'data-order-state': it.state, 'data-tone': TONES[it.state] }, t(`order.state.${it.state}`));
const linkTo = (order) => el('a.number', { href: `#/orders/${encodeURIComponent(order)}` }, order);

export async function show(root, { params, me }) {
  return params[0] ? one(root, params[0], me) : list(root);
}

async function list(root) {
  const by = el('select', { id: 'orders-by' }, BY.map((it) => el('option', { value: it }, t(`orders.by.${it}`))));
  const text = el('input', { id: 'orders-text', dir: 'auto', maxlength: 128, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' });
  const which = el('select', { id: 'orders-state' }, ['', ...STATES].map((it) => el('option', { value: it }, t(it ? `order.state.${it}` : 'orders.any'))));
  const note = el('p.mistake', { role: 'alert' });
  const box = el('section.card');
  const rows = el('tbody');
  const more = el('button.button', { type: 'button', hidden: true, onclick: () => read(more.dataset.next) }, t('orders.more'));
  const reads = listIn(box);
  // What the list shows; the fields may say something else that nobody has searched for yet.
  let wanted = {};

  const typed = () => ({ [by.value]: text.value.trim(), state: which.value });

  function row(it) {
    const cell = (label, ...what) => el('td', { 'data-label': t(`orders.${label}`) }, el('span', {}, what));
    return el('tr', { 'data-order': it.order },
      cell('order', linkTo(it.order)), cell('state', state(it)), cell('user', el('bdi', {}, it.user)),
      cell('item', `${it.round} · ${it.product}`, it.quantity > 1 ? ` × ${number(it.quantity)}` : ''),
      el('td.num', { 'data-label': t('orders.total') }, money(it.total_cents)), cell('created', moment(it.created_ms)));
  }

  function search() {
    // Asked for by its number, an order has one.
    const isWord = by.value === 'order' && !/^\d*$/.test(text.value.trim());
    note.textContent = isWord ? t('orders.no_number') : '';
    if (isWord) return undefined;
    wanted = typed();
    return read();
  }

  function read(before = '') {
    const query = filters({ ...wanted, before });
    return reads(() => api.get(`/orders?${query}`), (page) => show(page, before), before !== '');
  }

  function show(page, before) {
    if (!before) rows.replaceChildren();
    rows.append(...page.orders.map(row));
    more.hidden = !page.next;
    more.dataset.next = page.next ?? '';
    const is = `${filters(wanted)}` ? 'orders.none' : 'orders.empty';
    const heads = ['order', 'state', 'user', 'item', 'total', 'created'];
    fill(box, rows.childElementCount
      ? [el('table.table', {}, el('thead', {}, el('tr', {}, heads.map((name) => el('th', { scope: 'col', class: name === 'total' ? 'num' : null }, t(`orders.${name}`))))), rows), more]
      : el('div.empty', {}, el('h2', {}, t(is)), el('p', {}, t(`${is}.do`))));
  }

  const form = el('form.card.orders-find', { role: 'search' },
    el('div.fields', {},
      el('div.w3', {}, el('label', { for: 'orders-by' }, t('orders.by')), by),
      el('div.w4', {}, el('label', { for: 'orders-text' }, t('orders.text')), text),
      el('div.w3', {}, el('label', { for: 'orders-state' }, t('orders.state')), which),
      el('div.w2.is-low', {}, el('button.button.is-main', { type: 'submit' }, t('orders.find')))),
    note);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    search();
  });
  which.addEventListener('change', search);
  const out = el('button.button', { type: 'button', 'data-act': 'export', onclick: () => download(`/orders/export?${filters(typed())}`, 'orders.csv') }, t('orders.export'));
  fill(root, el('div.head', {}, el('h1', {}, t('orders.title')), el('div.row', {}, out)), form, box);
  await search();
}

/** A field's label in the reader's language; its name without one. */
function labelOf(field, name) {
  const label = field?.label ?? {};
  return label[lang().split('-')[0]] ?? label.en ?? Object.values(label)[0] ?? name;
}

/** A value of the details: a text as it is, anything else of the shop's own as JSON. */
function detail(field, value) {
  const option = field?.options?.find((it) => it.value === value);
  if (option) return labelOf(option, value);
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2);
}

async function one(root, id, me) {
  const cards = el('div');
  const path = `/orders/${encodeURIComponent(id)}`;

  const act = once(cards, async (what) => {
    const isNote = what === 'note';
    const text = what === 'resend' ? '' : await ask({ title: t(`order.ask.${what}`), yes: t(`order.do.${what}`), no: t('cancel'), danger: !isNote, reason: t(isNote ? 'order.ask.text' : 'order.ask.why') });
    if (what !== 'resend' && !text) return;
    try {
      draw(await api.post(`${path}/${what}`, { text }));
      toast(t('order.done'));
    } catch (error) {
      toast(said(error), 'bad');
    }
  });

  function draw({ order, history, details, form }) {
    const fact = (label, ...what) => el('div', {}, el('dt', {}, t(label)), el('dd', { dir: 'auto' }, what));
    const tool = (what, is = true) => (is ? el('button.button', { type: 'button', 'data-act': `order.${what}`, onclick: () => act(what) }, t(`order.do.${what}`)) : null);
    const named = new Map(form.map((it) => [it.name, it]));
    const given = Object.entries(details ?? {});
    const inOrder = [...form.filter(({ name }) => name in (details ?? {})).map(({ name }) => [name, details[name]]), ...given.filter(([name]) => !named.has(name))];
    fill(cards,
      el('section.card', {},
        el('div.head', {}, el('h2', {}, state(order)), el('div.row', {}, tool('cancel', order.state === 'created'), tool('refund', order.state === 'paid' && me.role === 'supervisor'), tool('resend'), tool('note'))),
        el('dl.facts', {},
          order.reason ? fact('order.reason', find(`order.reason.${order.reason}`) ?? order.reason) : null,
          fact('orders.user', order.user), fact('order.round', el('a', { href: `#/rounds/${encodeURIComponent(order.round)}` }, order.round)), fact('order.product', order.product),
          fact('order.quantity', number(order.quantity)), fact('order.price', money(order.price_cents)), fact('orders.total', money(order.total_cents)),
          fact('orders.created', moment(order.created_ms, {})), fact('order.pay_by', moment(order.pay_by_ms, {})), fact('order.request', order.request))),
      el('section.card', { 'data-card': 'details' }, el('h2', {}, t('order.details')), inOrder.length
        ? el('dl.facts', {}, inOrder.map(([name, value]) => el('div', { 'data-detail': name }, el('dt', { dir: 'auto' }, labelOf(named.get(name), name)), el('dd.told', { dir: 'auto' }, detail(named.get(name), value)))))
        : el('p.soft', {}, t('order.details.none'))),
      el('section.card', {}, el('h2', {}, t('order.history')), el('ol.history', {}, history.map((it) => el('li', {},
        el('span.soft.small', {}, moment(it.at_ms, {})), el('b', {}, find(`order.what.${it.what}`) ?? it.what), el('span.told', { dir: 'auto' }, told(it), it.who ? [' — ', el('bdi', {}, it.who)] : null))))));
  }

  fill(root, el('div.head', {}, el('div', {}, el('a.small', { href: '#/orders' }, t('order.back')), el('h1', {}, t('order.title'), ' ', el('span.number', {}, id)))), cards);
  draw(await api.get(path));
}
