// The funnel: how many got how far, and why the others were refused.

import { el, fill, put } from '../dom.js';
import { find, lang, number, t } from '../i18n.js';
import { steps } from './patch.js';

const percent = (share) => new Intl.NumberFormat(lang(), { style: 'percent', maximumFractionDigits: share < 0.1 ? 2 : 0 }).format(share);

export function funnel() {
  const list = el('ol.funnel');
  const refused = el('ul.reasons');
  const ended = el('ul.reasons');
  const node = el('section.card', {}, el('h2', {}, t('board.funnel')), list,
    el('h3', {}, t('board.refused')), refused, ended, el('p.hint', {}, t('board.funnel.do')));
  const rows = new Map();

  function row(name) {
    if (rows.has(name)) return rows.get(name);
    const bar = el('i');
    const n = el('b.num');
    const of = el('span.soft.small.num');
    const made = { bar, n, of, node: el('li', { 'data-step': name }, el('span', {}, t(`board.step.${name}`)), el('span.funnel-bar', {}, bar), n, of) };
    rows.set(name, made);
    list.append(made.node);
    return made;
  }

  let shown = null;
  const chip = (text, n) => el('li.chip', {}, text, ' ', el('b.num', {}, number(n)));

  return {
    node,
    show(counts) {
      if (counts === shown) return;
      shown = counts;
      for (const { name, n, share, ofAbove } of steps(counts)) {
        const { bar, n: count, of } = row(name);
        bar.style.width = `${share * 100}%`;
        put(count, n === null ? '–' : number(n));
        put(of, ofAbove === null ? '' : t('board.above', { percent: percent(ofAbove) }));
      }
      const reasons = Object.entries(counts.refused).sort((a, b) => b[1] - a[1]);
      fill(refused, reasons.length ? reasons.map(([code, n]) => chip(find(`code.${code}`) ?? code, n)) : el('li.soft', {}, '–'));
      fill(ended, ['cancelled', 'failed'].filter((name) => counts[name]).map((name) => chip(t(`board.step.${name}`), counts[name])));
    },
  };
}
