// The audit log: who did what, and when.

import { api } from './api.js';
import { el, fill } from './dom.js';
import { find, moment, t } from './i18n.js';
import './rounds/words.js';

const ACTIONS = ['round.create', 'round.edit', 'round.copy', 'round.delete', 'round.submit', 'round.withdraw', 'round.approve', 'round.reject', 'round.publish', 'sale.pause', 'sale.resume', 'sale.end', 'sale.withdraw', 'round.import',
  'ban.add', 'ban.lift', 'finding.confirm', 'finding.dismiss', 'letter.redrive', 'stock.adjust', 'simulation.begin', 'simulation.end'];

export async function show(root) {
  const wanted = { who: '', target: '', action: '' };
  let next = null;
  let typing = 0;
  const rows = el('tbody');
  const none = el('p.empty', { hidden: true }, t('audit.empty'));
  const older = el('button.button', { type: 'button', hidden: true, onclick: () => read(next) }, t('audit.older'));
  async function read(before = null) {
    const query = new URLSearchParams({ ...wanted, ...(before ? { before } : {}) });
    const log = await api.get(`/audit?${query}`);
    if (!before) fill(rows);
    rows.append(...log.entries.map(row));
    next = log.next;
    older.hidden = next === null;
    none.hidden = rows.children.length > 0;
  }
  const soon = () => {
    clearTimeout(typing);
    typing = setTimeout(() => read(), 250);
  };
  const filter = (name) => el('input', {
    type: 'search', placeholder: t(`audit.filter.${name}`), 'aria-label': t(`audit.filter.${name}`),
    oninput: (event) => {
      wanted[name] = event.target.value.trim();
      soon();
    },
  });
  const actions = el('select', {
    'aria-label': t('audit.did'),
    onchange: (event) => {
      wanted.action = event.target.value;
      read();
    },
  }, el('option', { value: '' }, t('audit.all')), ACTIONS.map((action) => el('option', { value: action }, t(`did.${action}`))));
  fill(root, el('div.head', {}, el('h1', {}, t('audit.title'))),
    el('div.filters', {}, filter('who'), filter('target'), actions),
    el('div.card', {}, el('table.table', {}, el('thead', {}, el('tr', {}, ['when', 'who', 'did', 'target', 'detail'].map((name) => el('th', { scope: 'col' }, t(`audit.${name}`))))), rows), none, older));
  await read();
  return () => clearTimeout(typing);
}

function row(entry) {
  const target = entry.action.startsWith('round.') && entry.action !== 'round.delete'
    ? el('a', { href: `#/rounds/${encodeURIComponent(entry.target)}` }, entry.target) : entry.target;
  return el('tr', {},
    el('td.when', { 'data-label': t('audit.when') }, moment(entry.at_ms, {})),
    el('td', { 'data-label': t('audit.who') }, el('span', {}, el('b', {}, entry.who), ' ', el('span.soft.small', {}, t(`via.${entry.via}`)))),
    el('td', { 'data-label': t('audit.did') }, find(`did.${entry.action}`) ?? entry.action),
    el('td', { 'data-label': t('audit.target') }, target),
    el('td.detail', {}, detail(entry.detail)));
}

function detail(of) {
  if (Array.isArray(of?.changes)) {
    return el('ul', {}, of.changes.slice(0, 12).map((it) => el('li', {}, el('b', {}, named(it.field)), ': ', el('s', {}, shown(it.field, it.from)), ' → ', shown(it.field, it.to))));
  }
  return Object.entries(of ?? {}).map(([name, value]) => `${named(name)}: ${shown(name, value)}`).join(' · ');
}

/** `p1.amount` and `name` as the editor calls them; what it has no word for stays. */
function named(field) {
  const [last, ...before] = field.split('.').reverse();
  return [...before.reverse(), find(`field.${last}`) ?? last].join('.');
}

function shown(name, value) {
  if (typeof value === 'number' && name.endsWith('_ms')) return moment(value, {});
  if (typeof value === 'number' && name.endsWith('_cents')) return (value / 100).toFixed(2);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
