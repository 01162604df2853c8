// What waits for a supervisor, each round with all that has to be checked. Days of a
// series that sell the very same are shown, and decided, together.

import { api } from '../api.js';
import { el, fill, once, refill, toast } from '../dom.js';
import { moment, money, number, said, span as spanOf, t } from '../i18n.js';
import { whenOpened } from '../lists.js';
import { approve, isOwn, reject } from './actions.js';
import { changeList } from './changes.js';
import { names, thumbnails } from './picture.js';
import { proposalCard, waiting } from './proposals.js';
import { allRounds, approveAll, rejectAll, span } from './series.js';
import './words.js';

/** Products that a card shows at first; all of them are one click away. */
const FIRST_PRODUCTS = 20;

export async function show(root, { me }) {
  const list = el('div');
  let seen = new Map();
  let shown = '';

  /** A round that was read is read again only when somebody changed it. */
  async function whole({ id, version }) {
    const before = seen.get(id);
    return before?.version === version ? before : api.get(`/rounds/${encodeURIComponent(id)}`);
  }

  async function read() {
    const rounds = [];
    for (const it of await allRounds({ state: 'submitted' })) rounds.push(await whole(it));
    seen = new Map(rounds.map((it) => [it.id, it]));
    const { proposals } = await waiting();
    // Drawn only when something changed: the focus, and what is read, stay where they are.
    const now = JSON.stringify([rounds, proposals]);
    if (now === shown) return list;
    shown = now;
    if (!rounds.length && !proposals.length) return fill(list, el('div.card.empty', {}, el('h2', {}, t('approvals.empty')), el('p', {}, t('approvals.empty.do'))));
    return refill(list, proposals.map((it) => proposalCard(it, me, act)), together(rounds, me).map((days) => card(days, me, act)));
  }

  const act = once(list, async (work) => {
    try {
      await work();
    } catch (error) {
      toast(said(error), 'bad');
    }
    await read();
  });

  fill(root, el('div.head', {}, el('h1', {}, t('approvals.title'))), list);
  await read();
  const again = setInterval(() => {
    // What somebody has opened to read stays as it is.
    if (!document.hidden && !document.querySelector('dialog[open], .waiting details[open], .waiting.is-whole')) read().catch(() => {});
  }, 10_000);
  return () => clearInterval(again);
}

/** What is taken off, as shoppers read it. */
function off({ price_cents: price, list_price_cents: list }) {
  const percent = list > price ? Math.floor(((list - price) * 100) / list) : 0;
  return percent ? el('div.soft.small', {}, t('approvals.off', { percent })) : null;
}

const timeOfDay = (ms) => moment(ms, { year: undefined, month: undefined, day: undefined });

/** Rounds in groups that are checked once: the same products, name, hours and editors, on several days. */
export function together(rounds, me) {
  const groups = new Map();
  for (const round of rounds) {
    const goods = round.products.map(({ page, ...it }) => it);
    const same = [round.series, round.name, timeOfDay(round.starts_ms), round.ends_ms - round.starts_ms, isOwn(round, me), round.submitted_by, goods];
    const key = round.series ? JSON.stringify(same) : round.id;
    groups.set(key, [...(groups.get(key) ?? []), round]);
  }
  return [...groups.values()];
}

function card(days, me, act) {
  const [round] = days;
  const isMany = days.length > 1;
  const decides = me.role === 'supervisor' && !isOwn(round, me);
  const button = (words, tone, work) => el('button.button', { type: 'button', class: tone, onclick: () => act(work) }, words);
  const tools = decides
    ? [
      button(t(isMany ? 'act.reject_series' : 'act.reject', { n: days.length }), '', () => (isMany ? rejectAll(days) : reject(round))),
      button(t(isMany ? 'act.approve_series' : 'act.approve', { n: days.length }), 'is-main', () => (isMany ? approveAll(days) : approve(round))),
    ]
    : [el('p.soft', {}, t(me.role === 'supervisor' ? 'note.own' : 'error.supervisor_only'))];
  const line = (it) => el('tr', {},
    el('td', {}, el('div.goods', {}, pictures(it)), alts(it), el('b', { dir: 'auto' }, it.title), el('div.soft.small', {}, it.id),
      it.text ? el('details.small', {}, el('summary', {}, t('product.text')), el('p.told', { dir: 'auto' }, it.text)) : null),
    el('td.num', { 'data-label': t('product.price') }, money(it.price_cents)),
    el('td.num', { 'data-label': t('product.list') }, el('div', {}, money(it.list_price_cents), off(it))),
    el('td.num', { 'data-label': t('product.amount') }, number(it.amount)),
    el('td.num', { 'data-label': t('product.cap') }, number(it.per_buyer)));
  const rows = el('tbody', {}, round.products.slice(0, FIRST_PRODUCTS).map(line));
  const all = round.products.length > FIRST_PRODUCTS ? el('button.button', { type: 'button', 'data-act': 'basis.more', onclick: () => {
    rows.append(...round.products.slice(FIRST_PRODUCTS).map(line));
    all.closest('.waiting').classList.add('is-whole');
    all.remove();
  } }, t('basis.more', { n: number(round.products.length) })) : null;
  const link = (it, words) => el('a', { href: `#/rounds/${encodeURIComponent(it.id)}` }, words);
  const when = isMany
    ? [
      el('p', {}, el('b', {}, t('series.days', { n: days.length })), ' · ', span(days)),
      el('details', {}, el('summary', {}, t('series.each')), el('ul.days', {}, days.map((it) => el('li', {}, link(it, it.id), ' ', spanOf(it.starts_ms, it.ends_ms))))),
    ]
    : el('p', {}, spanOf(round.starts_ms, round.ends_ms));
  const title = isMany ? [el('bdi', {}, round.name), ' ', el('span.soft.small', {}, t('round.series', { series: round.series }))] : [link(round, el('bdi', {}, round.name)), ' ', el('span.soft.small', {}, round.id)];
  return el('article.card.waiting', { 'data-round': isMany ? null : round.id, 'data-series': isMany ? round.series : null },
    el('div.head', {}, el('h2', {}, title), el('div.row', {}, tools)),
    when,
    el('p.soft.small', {}, t('approvals.by', { who: round.submitted_by ?? '', when: moment(round.submitted_ms) })),
    el('table.table', {}, el('thead', {}, el('tr', {}, ['title', 'price', 'list', 'amount', 'cap'].map((name, at) => el('th', { class: at ? 'num' : '' }, t(`product.${name}`))))),
      rows),
    all,
    basis(round));
}

/** Small pictures, each a link to the large one. */
const pictures = (it) => thumbnails(it.picture, it.title, it.picture_alt).map((thumb, at) =>
  el('a', { href: `/pictures/${encodeURIComponent(names(it.picture)[at])}.jpg`, target: '_blank', rel: 'noopener' }, thumb));

/** What the pictures are said to show: it is published like the title. */
const alts = ({ picture_alt: all }) => (all.length
  ? el('p.alts.soft.small', {}, t('product.alts'), ': ', all.map((alt, at) => [at ? ' · ' : '', el('bdi', {}, alt || t('picture.alt.none'))]))
  : null);

/** What differs from the round that this one was made from, read when it is first opened. */
function basis(round) {
  const box = el('details.basis', { 'data-basis': round.id }, el('summary', {}, t('basis.title')));
  whenOpened(box, async () => {
    const is = await api.get(`/rounds/${encodeURIComponent(round.id)}/basis`);
    const what = is.kind ? el('p.soft', {}, t(`basis.${is.kind}`, is)) : el('p.soft', {}, t('basis.none'));
    const changes = !is.kind ? null : is.changes.length ? changeList(is.changes, is.titles) : el('p', {}, t('basis.same'));
    return [what, changes];
  });
  return box;
}
