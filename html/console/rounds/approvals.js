// What waits for a supervisor, each round with all that he has to look at.

import { api } from '../api.js';
import { el, fill, toast } from '../dom.js';
import { moment, money, number, said, t } from '../i18n.js';
import { approve, isOwn, reject } from './actions.js';
import './words.js';

const MOST_PRODUCTS = 20;

export async function show(root, { me }) {
  const list = el('div');
  async function read() {
    const { rounds } = await api.get('/rounds?state=submitted');
    const whole = await Promise.all(rounds.map(({ id }) => api.get(`/rounds/${encodeURIComponent(id)}`)));
    if (!whole.length) return fill(list, el('div.card.empty', {}, el('h2', {}, t('approvals.empty')), el('p', {}, t('approvals.empty.do'))));
    return fill(list, whole.reverse().map((round) => card(round, me, read)));
  }
  fill(root, el('div.head', {}, el('h1', {}, t('approvals.title'))), list);
  await read();
  const again = setInterval(() => {
    if (!document.hidden && !document.querySelector('dialog[open]')) read().catch(() => {});
  }, 10_000);
  return () => clearInterval(again);
}

function card(round, me, read) {
  const act = (work) => async () => {
    try {
      await work(round);
    } catch (error) {
      toast(said(error), 'bad');
    }
    await read();
  };
  const decides = me.role === 'supervisor' && !isOwn(round, me);
  const tools = decides
    ? [el('button.button', { type: 'button', onclick: act(reject) }, t('act.reject')), el('button.button.is-main', { type: 'button', onclick: act(approve) }, t('act.approve'))]
    : [el('p.soft', {}, t(me.role === 'supervisor' ? 'note.own' : 'error.supervisor_only'))];
  const line = (it) => el('tr', {},
    el('td', {}, el('b', {}, it.title), el('div.soft.small', {}, it.id)),
    el('td.num', { 'data-label': t('product.price') }, money(it.price_cents)),
    el('td.num', { 'data-label': t('product.list') }, money(it.list_price_cents)),
    el('td.num', { 'data-label': t('product.amount') }, number(it.amount)),
    el('td.num', { 'data-label': t('product.cap') }, number(it.per_buyer)));
  return el('article.card.waiting', { 'data-round': round.id },
    el('div.head', {}, el('h2', {}, el('a', { href: `#/rounds/${encodeURIComponent(round.id)}` }, round.name), ' ', el('span.soft.small', {}, round.id)), tools),
    el('p', {}, moment(round.starts_ms), ' – ', moment(round.ends_ms)),
    el('p.soft.small', {}, t('approvals.by', { who: round.submitted_by ?? '', when: moment(round.submitted_ms) })),
    el('table.table', {}, el('thead', {}, el('tr', {}, ['title', 'price', 'list', 'amount', 'cap'].map((name, at) => el('th', { class: at ? 'num' : '' }, t(`product.${name}`))))),
      el('tbody', {}, round.products.slice(0, MOST_PRODUCTS).map(line))),
    round.products.length > MOST_PRODUCTS ? el('p.soft', {}, t('product.range', { from: 1, to: MOST_PRODUCTS, n: round.products.length })) : null);
}
