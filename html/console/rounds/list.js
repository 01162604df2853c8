// All rounds; a round's id in the address opens the editor instead.

import { api, filters, mistakeText } from '../api.js';
import { download } from '../download.js';
import { el, fill, refill, toast } from '../dom.js';
import { moment, number, said, span, t } from '../i18n.js';
import { listIn } from '../lists.js';
import { editor } from './editor.js';
import { STATES, chip } from './state.js';

export async function show(root, { params: [id], me }) {
  if (id) return editor(root, { id: id === 'new' ? null : id, me });
  return list(root);
}

// Kept while the console is open, so that coming back from a round finds the same list.
const filter = { state: '', q: '' };

async function list(root) {
  let page = 1;
  let typing = 0;
  const rows = el('tbody');
  const total = el('p.soft.small');
  const body = el('div.card.list');
  const reads = listIn(body);
  const more = el('button.button', { type: 'button', onclick: () => read(page + 1) }, t('rounds.more'));
  const search = el('input', {
    type: 'search', value: filter.q, placeholder: t('rounds.search'), 'aria-label': t('rounds.search'),
    oninput: (event) => {
      filter.q = event.target.value.trim();
      clearTimeout(typing);
      typing = setTimeout(() => read(1), 250);
    },
  });
  const states = el('div.states', { role: 'group', 'aria-label': t('rounds.state') });
  const showStates = () => refill(states, ['', ...STATES].map((state) =>
    el('button.button.is-small', {
      type: 'button', 'aria-pressed': String(filter.state === state),
      onclick: () => {
        filter.state = state;
        showStates();
        read(1);
      },
    }, t(`state.${state || 'all'}`))));

  function read(which) {
    const query = filters({ ...filter, page: which });
    return reads(() => api.get(`/rounds?${query}`), (answer) => show(answer, which), which > 1);
  }

  function show(answer, which) {
    page = which;
    if (page === 1) fill(rows);
    rows.append(...answer.rounds.map(row));
    total.textContent = t('rounds.total', { n: number(answer.total) });
    more.hidden = rows.children.length >= answer.total;
    if (answer.total === 0) {
      const any = filter.q || filter.state ? 'rounds.none' : 'rounds.empty';
      fill(body, el('div.empty', {}, el('h2', {}, t(any)), el('p', {}, t(`${any}.do`))));
    } else {
      fill(body, el('table.table', {}, el('thead', {}, el('tr', {}, ['name', 'when', 'what', 'state', 'by'].map((name) => el('th', { scope: 'col' }, t(`rounds.${name}`))))), rows), more);
    }
  }

  showStates();
  fill(root,
    el('div.head', {}, el('h1', {}, t('rounds.title')), fileTools(() => read(1)),
      el('a.button.is-main', { href: '#/rounds/new' }, t('rounds.new'))),
    el('div.filters', {}, states, search), total, body);
  await read(1);
  return () => clearTimeout(typing);
}

function row(round) {
  return el('tr', { 'data-round': round.id },
    el('td', {}, el('a.name', { href: `#/rounds/${encodeURIComponent(round.id)}`, dir: 'auto' }, round.name), el('div.soft.small', {}, round.id, round.series ? ` · ${t('round.series', { series: round.series })}` : '')),
    el('td', { 'data-label': t('rounds.when') }, el('span', {}, span(round.starts_ms, round.ends_ms))),
    el('td', { 'data-label': t('rounds.what') }, t('rounds.products', { n: number(round.product_count), items: number(round.items) })),
    el('td', { 'data-label': t('rounds.state') }, el('span', {}, chip(round.state),
      ['running', 'ended'].includes(round.state) ? [' ', el('a.small', { href: `#/report/${encodeURIComponent(round.id)}` }, t('rounds.report'))] : null)),
    el('td', { 'data-label': t('rounds.by') }, el('span', {}, round.edited_by || '–', el('div.soft.small', {}, moment(round.edited_ms)))));
}

function fileTools(again) {
  const input = el('input.unseen', {
    type: 'file', accept: '.toml,.json', tabindex: -1, 'aria-hidden': 'true',
    onchange: async () => {
      const [file] = input.files;
      input.value = '';
      if (!file) return;
      const type = file.name.toLowerCase().endsWith('.json') ? 'application/json' : 'application/toml';
      try {
        // Its bytes: the server finds out what they are, and refuses what is no text.
        const imported = await api.post('/rounds/import', file, { headers: { 'Content-Type': type } });
        toast(t('rounds.imported', { n: imported.length }));
        await again();
      } catch (error) {
        failed(error);
      }
    },
  });
  return el('div.row', {}, input,
    el('button.button', { type: 'button', onclick: () => input.click() }, t('rounds.import')),
    el('button.button', { type: 'button', 'data-act': 'export', onclick: () => download('/rounds/export', 'sale.toml') }, t('rounds.export')));
}

function failed(error) {
  const mistakes = (error.mistakes ?? []).slice(0, 50);
  const box = el('dialog.dialog.is-wide', {}, el('h2', {}, t('rounds.import.failed')),
    mistakes.length ? el('ul.mistakes', {}, mistakes.map((mistake) => el('li', {}, mistakeText(mistake)))) : el('p', {}, said(error)),
    el('div.row.is-end', {}, el('button.button.is-main', { type: 'button', onclick: () => box.close() }, t('close'))));
  box.addEventListener('close', () => box.remove());
  document.body.append(box);
  box.showModal();
}
