// Fields before and after, as people read them: in the audit log, beside a round that
// waits for its approval, and in a change that is proposed.

import { el } from '../dom.js';
import { find, moment, money, number } from '../i18n.js';
import { thumbnails } from './picture.js';
import '../audit-words.js';

/** `p1.amount` and `name` as the editor calls them; what it has no word for stays. */
export function named(field, titles = {}) {
  const [last, ...before] = field.split('.').reverse();
  const product = before.reverse().join('.');
  const word = find(`field.${last}`);
  if (word === null && !product && titles[field]) return titles[field];
  return [titles[product] ?? product, word ?? last].filter(Boolean).join(' · ');
}

/** A value as people read it. */
export function shown(field, value) {
  const name = field.split('.').at(-1);
  if (value === null || value === undefined || value === '') return '–';
  if (name === 'wickedness') return value.map((vice) => find(`vice.${vice}`) ?? vice).join(', ') || '–';
  if (Array.isArray(value)) return value.map((it) => shown(field, it)).join(' → ');
  if (typeof value === 'object') return Object.entries(value).map(([key, it]) => `${named(key)}: ${shown(key, it)}`).join(' · ');
  if (typeof value === 'number' && name.endsWith('_ms')) return moment(value, {});
  if (typeof value === 'number' && name.endsWith('_cents')) return money(value);
  if (typeof value === 'number') return number(value);
  return find(`value.${name}.${value}`) ?? String(value);
}

function side(field, value) {
  if (field.endsWith('.picture') && value) return el('span.goods', {}, thumbnails(value, ''), el('span.soft.small', {}, value));
  return el('span.told', { dir: 'auto' }, shown(field, value));
}

/** A list of changes: the field, what it was, what it is to be. */
export function changeList(changes, titles = {}) {
  return el('ul.changes', {}, changes.map((it) => el('li', { 'data-change': it.field },
    el('b', { dir: 'auto' }, named(it.field, titles)), ': ', el('s', {}, side(it.field, it.from)), ' → ', el('ins', {}, side(it.field, it.to)))));
}
