// Somebody else saved the same round first: both versions side by side, to choose.

import { el } from '../dom.js';
import { t } from '../i18n.js';

/** 'theirs', 'mine', or '' to think about it. */
export function clash(message, theirs, mine) {
  const rows = differences(theirs, mine).map(([name, now, yours]) => el('tr', {}, el('td', {}, name),
    el('td', { 'data-label': t('clash.now') }, el('bdi', {}, now)), el('td', { 'data-label': t('clash.yours') }, el('bdi', {}, yours))));
  return new Promise((resolve) => {
    const button = (answer, words, tone = '') => el('button.button', { type: 'button', class: tone, onclick: () => box.close(answer) }, t(words));
    const box = el('dialog.dialog.is-wide', {}, el('h2', {}, t('clash.title')), el('p.soft', {}, message),
      el('table.table', {}, el('thead', {}, el('tr', {}, ['field', 'now', 'yours'].map((name) => el('th', {}, t(`clash.${name}`))))), el('tbody', {}, rows)),
      el('div.row.is-end', {}, button('', 'cancel'), button('theirs', 'clash.theirs'), button('mine', 'clash.mine', 'is-main')));
    box.addEventListener('close', () => {
      box.remove();
      resolve(box.returnValue);
    });
    document.body.append(box);
    box.returnValue = '';
    box.showModal();
  });
}

/** The pictures' texts; empty ones at the end say nothing. */
const spoken = ({ alts }) => (alts ?? []).map((alt) => alt.trim() || '–').join(' · ').replace(/( · –|^–)+$/, '');

function differences(theirs, mine) {
  const found = [];
  const note = (name, now, yours) => {
    if (now !== yours) found.push([name, now, yours]);
  };
  note(t('round.name'), theirs.name, mine.name);
  for (const name of ['starts', 'ends']) note(t(`round.${name}`), theirs[name].replace('T', ' '), mine[name].replace('T', ' '));
  const ids = (round) => round.products.map((it) => it.id).join(', ');
  note(t('round.products'), ids(theirs), ids(mine));
  for (const product of mine.products) {
    const was = theirs.products.find((it) => it.id === product.id);
    if (!was) continue;
    for (const name of ['title', 'amount', 'price', 'list', 'cap', 'text', 'picture']) {
      note(`${product.id} · ${t(`product.${name}`)}`, was[name], product[name]);
    }
    note(`${product.id} · ${t('product.alts')}`, spoken(was), spoken(product));
  }
  return found.slice(0, 40);
}
