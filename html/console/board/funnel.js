// The funnel: how many got how far, in requests at the gate and in items below it, and
// what left at each step and why.

import { el, fill, put } from '../dom.js';
import { find, lang, number, t } from '../i18n.js';
import { steps } from './patch.js';

const percent = (share) => new Intl.NumberFormat(lang(), { style: 'percent', maximumFractionDigits: share < 0.1 ? 2 : 0 }).format(share);
/** What leaves below the purchase, in items. */
const LEFT = ['unpaid', 'cancelled', 'failed'];

export function funnel() {
  const lists = { requests: el('ol.funnel'), items: el('ol.funnel') };
  const left = { requests: el('ul.reasons'), items: el('ul.reasons') };
  const part = (unit) => [el('h3', {}, t(`board.unit.${unit}`)), lists[unit], el('p.soft.small', {}, t(`board.left.${unit}`)), left[unit]];
  const node = el('section.card', {}, el('h2', {}, t('board.funnel')), part('requests'), part('items'), el('p.hint', {}, t('board.funnel.do')));
  const rows = new Map();

  function row(unit, name) {
    if (rows.has(name)) return rows.get(name);
    const bar = el('i');
    const n = el('b.num');
    const of = el('span.soft.small.num');
    const made = { bar, n, of, node: el('li', { 'data-step': name }, el('span', {}, t(`board.step.${name}`)), el('span.funnel-bar', {}, bar), n, of) };
    rows.set(name, made);
    lists[unit].append(made.node);
    return made;
  }

  let shown = null;
  const chip = (text, n) => el('li.chip', {}, text, ' ', el('b.num', {}, number(n)));

  return {
    node,
    show(counts) {
      if (counts === shown) return;
      shown = counts;
      for (const [unit, all] of Object.entries(steps(counts))) {
        for (const { name, n, share, ofAbove } of all) {
          const { bar, n: count, of } = row(unit, name);
          bar.style.width = `${share * 100}%`;
          put(count, n === null ? '–' : number(n));
          put(of, ofAbove === null ? '' : t('board.above', { percent: percent(ofAbove) }));
        }
      }
      const none = el('li.soft', {}, '–');
      const reasons = Object.entries(counts.refused).sort((a, b) => b[1] - a[1]);
      fill(left.requests, reasons.length ? reasons.map(([code, n]) => chip(find(`code.${code}`) ?? code, n)) : none);
      const gone = LEFT.filter((name) => counts[name]);
      fill(left.items, gone.length ? gone.map((name) => chip(t(`board.step.${name}`), counts[name])) : el('li.soft', {}, '–'));
    },
  };
}
