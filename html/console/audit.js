// The audit log: who did what, and when.

import { api, filters } from './api.js';
import { download } from './download.js';
import { el, fill } from './dom.js';
import { addWords, find, moment, t } from './i18n.js';
import { listIn } from './lists.js';
import { changeList, named, shown } from './rounds/changes.js';
import * as suspects from './findings/words.js';
import './audit-words.js';
import { epoch } from './rounds/draft.js';

// What simulated shoppers do has its words there.
addWords(suspects);

/** The actions that can be filtered by. */
const ACTIONS = ['round.create', 'round.edit', 'round.copy', 'round.delete', 'round.submit', 'round.withdraw', 'round.approve', 'round.reject', 'round.publish', 'sale.pause', 'sale.resume', 'sale.end', 'sale.withdraw', 'round.import', 'proposal.make', 'proposal.approve', 'proposal.reject', 'proposal.withdraw', 'proposal.outdate', 'proposal.fail',
  'round.retire', 'stock.adjust', 'stock.rebuild', 'inventory.choose', 'ban.add', 'ban.lift', 'finding.confirm', 'finding.dismiss', 'letter.redrive', 'letter.giveup', 'order.cancel', 'order.refund', 'order.resend', 'order.note', 'order.export', 'payment.refund', 'payment.reconcile', 'notice.retry', 'feed.replay', 'announcement.say', 'announcement.end', 'account.create', 'account.role', 'account.disable', 'account.enable', 'account.reset', 'account.password', 'account.remove', 'account.factor_on', 'account.factor_off', 'session.begin', 'session.end', 'session.revoke', 'account.link', 'account.unlink', 'audit.export', 'retention.remove', 'simulation.begin', 'simulation.end', 'system.start'];

/** Changes that one entry shows at first. */
const MOST_CHANGES = 12;

export async function show(root) {
  const wanted = { who: '', target: '', action: '' };
  const times = { from_ms: null, until_ms: null };
  let next = null;
  let typing = 0;
  const rows = el('tbody');
  const none = el('p.empty', { hidden: true }, t('audit.empty'));
  const older = el('button.button', { type: 'button', hidden: true, onclick: () => read(next) }, t('audit.older'));
  const heads = ['when', 'who', 'did', 'target', 'detail'];
  const table = el('table.table', {}, el('thead', {}, el('tr', {}, heads.map((name) => el('th', { scope: 'col' }, t(`audit.${name}`))))), rows);
  const box = el('div.card');
  const reads = listIn(box);
  function read(before = null) {
    const wanted = query(before ? { before } : {});
    return reads(() => api.get(`/audit?${wanted}`), (log) => {
      if (!before) fill(rows);
      rows.append(...log.entries.map(row));
      next = log.next;
      older.hidden = next === null;
      none.hidden = rows.children.length > 0;
      fill(box, table, none, older);
    }, before !== null);
  }
  /** The filters as the address has them. */
  function query(more = {}) {
    const set = Object.entries(times).filter(([, ms]) => ms !== null);
    return filters({ ...wanted, ...Object.fromEntries(set), ...more });
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
  const time = (name) => el('input', {
    type: 'datetime-local', step: 1, 'aria-label': t(`audit.filter.${name}`), 'data-filter': name,
    onchange: (event) => {
      times[`${name}_ms`] = event.target.value ? epoch(event.target.value) : null;
      soon();
    },
  });
  const save = el('button.button', { type: 'button', 'data-act': 'export', onclick: () => download(`/audit/export?${query()}`, 'audit.csv') }, t('audit.export'));
  const actions = el('select', {
    'aria-label': t('audit.did'),
    onchange: (event) => {
      wanted.action = event.target.value;
      read();
    },
  }, el('option', { value: '' }, t('audit.all')), ACTIONS.map((action) => el('option', { value: action }, t(`did.${action}`))));
  fill(root, el('div.head', {}, el('h1', {}, t('audit.title'))),
    el('div.filters', {}, filter('who'), filter('target'), actions, labelled('from', time('from')), labelled('until', time('until')), save),
    box);
  await read();
  return () => clearTimeout(typing);
}

const labelled = (name, input) => el('label.soft.small', {}, t(`audit.filter.${name}`), ' ', input);

/** Whom or what an entry is about, as people name it: bans and suspects have their kind before the name. */
export function targetOf({ action, target }) {
  const [kind] = action.split('.');
  const [, of, name] = /^(user|address)[: ](.+)$/s.exec(target) ?? [];
  if (of && ['ban', 'finding', 'session'].includes(kind)) return t(`target.${of}`, { name: of === 'user' ? decoded(name) : name });
  if (['letter', 'order', 'notice', 'stock'].includes(kind) || action === 'session.revoke') return find(`target.${target}`) ?? target;
  return target;
}

/** Names of accounts are stored as parts of an address are, `x%20y`. */
function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function row(entry) {
  const isRound = ['round', 'proposal'].includes(entry.action.split('.')[0]) && entry.action !== 'round.delete';
  const target = isRound
    ? el('a', { href: `#/rounds/${encodeURIComponent(entry.target)}` }, entry.target) : el('bdi', {}, targetOf(entry));
  return el('tr', {},
    el('td.when', { 'data-label': t('audit.when') }, moment(entry.at_ms, {})),
    el('td', { 'data-label': t('audit.who') }, el('span', {}, el('b', { dir: 'auto' }, entry.who), ' ', el('span.soft.small', {}, t(`via.${entry.via}`)))),
    el('td', { 'data-label': t('audit.did') }, find(`did.${entry.action}`) ?? entry.action),
    el('td', { 'data-label': t('audit.target') }, target),
    el('td.detail', {}, detail(entry.detail)));
}

function detail(of) {
  const { changes, ...rest } = of ?? {};
  // Each on its own, so that one that runs from right to left does not reorder the others.
  const facts = Object.entries(rest).map(([name, value], at) => [at ? ' · ' : '', `${named(name)}: `, el('bdi', {}, shown(name, value))]);
  if (!Array.isArray(changes)) return facts;
  return [changeList(changes.slice(0, MOST_CHANGES)), changes.length > MOST_CHANGES ? el('details', {}, el('summary', {}, `+ ${changes.length - MOST_CHANGES}`), changeList(changes.slice(MOST_CHANGES))) : null, facts];
}
