// The editor of a round. What is typed is kept in the tab at once, checked by the
// server while one types, and shown in the page that shoppers will get.

import { api, mistakeText } from '../api.js';
import { el, fill, refill, toast } from '../dom.js';
import { moment, said, shopZone, t, unfinished } from '../i18n.js';
import { actions, isOwn } from './actions.js';
import { clash } from './clash.js';
import { propose, waiting } from './proposals.js';
import { emptyProduct, forget, fresh, fromRound, keep, kept, toForm } from './draft.js';
import { field, showMistakes } from './fields.js';
import { preview } from './preview.js';
import { productCards } from './products.js';
import { chip } from './state.js';

export async function editor(root, { id, me }) {
  const isNew = id === null;
  let round = isNew ? null : await api.get(`/rounds/${encodeURIComponent(id)}`);
  let saved = isNew ? fresh() : fromRound(round);
  const before = kept(id);
  const restored = before !== null && JSON.stringify(before) !== JSON.stringify(saved);
  let draft = restored ? before : structuredClone(saved);
  if (!restored) forget(id);
  const touched = new Set();
  let tried = false;
  let busy = false;
  let timer = 0;
  let looked = 0;
  let checking = null;
  let barShown = '';

  const head = el('div.head');
  const notes = el('div.notes');
  const form = el('form', { novalidate: true, onsubmit: (event) => event.preventDefault() });
  const bar = el('div.bar');
  const look = preview();
  const isDirty = () => JSON.stringify(draft) !== JSON.stringify(saved);

  function changed(name) {
    touched.add(name);
    keep(id, draft);
    showBar();
    clearTimeout(timer);
    timer = setTimeout(check, 400);
  }

  async function check() {
    const asked = toForm(draft, isNew);
    look.show(asked, looked);
    if (round && ['submitted', 'ended', 'withdrawn'].includes(round.state)) return;
    checking?.abort();
    checking = new AbortController();
    try {
      await api.post('/rounds/check', isNew ? asked : { ...asked, id }, { signal: checking.signal });
      mark([]);
    } catch (error) {
      if (error.code === 'mistakes') mark(error.mistakes);
      // Everything else is shown when it matters, at saving.
    }
  }

  /** Before the first attempt to save, only fields that were touched show mistakes. */
  function mark(mistakes) {
    const shown = mistakes.filter((it) => tried || [...touched].some((name) => it.field === name || it.field.startsWith(`${name}.`)));
    showMistakes(form, shown, mistakeText);
    bar.dataset.mistakes = String(shown.length);
    showBar(shown.length);
  }

  async function act(work) {
    if (busy) return null;
    busy = true;
    // What an earlier check finds does not take away what this is refused for.
    clearTimeout(timer);
    checking?.abort();
    root.classList.add('is-busy');
    try {
      return await work();
    } catch (error) {
      if (error.code === 'mistakes') {
        tried = true;
        mark(error.mistakes);
        form.querySelector('[aria-invalid=true]')?.focus();
        toast(t('note.mistakes', { n: error.mistakes.length }), 'bad');
      } else if (error.code === 'second_person') {
        await proposed(error);
      } else if (error.body?.current && ['changed_meanwhile', 'waits_for_approval', 'already_approved', 'already_rejected'].includes(error.code)) {
        await collided(error);
      } else {
        toast(said(error), 'bad');
      }
      return null;
    } finally {
      busy = false;
      root.classList.remove('is-busy');
    }
  }

  /** What two people approved is changed by two: the edit is proposed. */
  async function proposed(error) {
    const titles = Object.fromEntries(round.products.map((it) => [it.id, it.title]));
    try {
      if (await propose(error, { round: id, form: toForm(draft, false) }, titles)) take(round);
    } catch (refusal) {
      toast(said(refusal), 'bad');
    }
  }

  async function collided(error) {
    const theirs = error.body.current;
    if (error.code !== 'changed_meanwhile') {
      toast(said(error), 'bad');
      take(theirs, { keepDraft: isDirty() });
      return;
    }
    const choice = await clash(said(error), fromRound(theirs), draft);
    if (choice === 'theirs') take(theirs);
    if (choice === 'mine') {
      draft.version = theirs.version;
      keep(id, draft);
      busy = false;
      await act(save);
    }
  }

  /** Shows the round as the server has it. */
  function take(is, { keepDraft = false } = {}) {
    round = is;
    saved = fromRound(is);
    if (!keepDraft) {
      draft = structuredClone(saved);
      forget(id);
    }
    tried = false;
    touched.clear();
    showAll();
  }

  async function save() {
    tried = true;
    if (isNew) {
      const made = await api.post('/rounds', toForm(draft, true));
      forget(null);
      toast(made.length === 1 ? t('act.saved') : t('series.saved', { n: made.length }));
      location.hash = made.length === 1 ? `#/rounds/${encodeURIComponent(made[0].id)}` : '#/rounds';
      return made[0];
    }
    const is = await api.put(`/rounds/${encodeURIComponent(id)}`, toForm(draft, false));
    take(is);
    toast(is.problem ? unfinished(is) : t('act.saved'), is.problem ? 'bad' : 'good');
    return is;
  }

  function showHead() {
    fill(head, el('a.button.is-plain', { href: '#/rounds' }, '← ', t('round.back')),
      el('h1', {}, isNew ? t('round.new') : t('round.edit', { id }), ' ', round ? chip(round.state) : null));
  }

  function showNotes() {
    const values = round && { who: round.decided_by ?? round.submitted_by ?? '', when: moment(round.decided_ms ?? round.submitted_ms), reason: round.reason };
    const note = (key, tone) => el('p.note', { 'data-tone': tone }, t(key, values ?? {}));
    fill(notes,
      restored && isDirty() ? el('p.note', { 'data-tone': 'warn' }, t('note.restored')) : null,
      round?.problem ? el('p.note', { 'data-tone': 'bad' }, unfinished(round)) : null,
      round?.state === 'rejected' ? note('note.rejected', 'bad') : null,
      round?.state === 'submitted' ? note('note.submitted', 'info') : null,
      round?.state === 'submitted' && me.role === 'supervisor' && isOwn(round, me) ? note('note.own', 'warn') : null,
      ['paused', 'withdrawn'].includes(round?.state) ? note(`note.${round.state}`, 'warn') : null,
      ['approved', 'published', 'running', 'paused'].includes(round?.state) ? note('note.approved', 'info') : null,
      round?.state === 'ended' ? note('note.ended', 'info') : null);
    if (['approved', 'published', 'running', 'paused'].includes(round?.state)) showWaiting();
  }

  /** Changes of this round that wait for a second person. */
  async function showWaiting() {
    const { total } = await waiting(id).catch(() => ({ total: 0 }));
    notes.querySelector('[data-waiting]')?.remove();
    if (total) notes.append(el('p.note', { 'data-tone': 'warn', 'data-waiting': total }, el('a', { href: '#/approvals' }, t('proposal.wait', { n: total }))));
  }

  function showForm() {
    const state = round?.state ?? 'draft';
    const isLocked = ['submitted', 'ended', 'withdrawn'].includes(state);
    const isFixed = ['approved', 'published', 'running', 'paused'].includes(state);
    const text = (name, more = {}) => field({
      name, label: t(`round.${more.words ?? name}`), hint: more.hint ? t(more.hint, { zone: shopZone() }) : null, wide: more.wide,
      input: el('input', { value: draft[more.of ?? name], disabled: isLocked || more.disabled, ...more.input,
        oninput: (event) => {
          draft[more.of ?? name] = event.target.value;
          changed(name);
        } }),
    });
    const time = { type: 'datetime-local', step: 1 };
    fill(form,
      el('section.card', {}, el('h2', {}, t('round.basics')), round?.series ? el('p.soft.small', {}, t('round.series', { series: round.series })) : null,
        el('div.fields', {},
          text('name', { hint: 'round.name.hint', wide: isNew ? 'w8' : 'w12', input: { maxlength: 200, autocomplete: 'off', dir: 'auto' } }),
          isNew ? text('id', { hint: 'round.id.hint', wide: 'w4', input: { maxlength: 40, autocomplete: 'off', spellcheck: 'false' } }) : null,
          text('starts_ms', { words: 'starts', of: 'starts', hint: 'round.zone', input: time, disabled: state === 'running' }),
          text('ends_ms', { words: 'ends', of: 'ends', input: time }),
          isNew ? text('days', { hint: 'round.days.hint', wide: 'w12', input: { inputmode: 'numeric', class: 'is-short' } }) : null)),
      productCards({
        draft, isLocked, isFixed, changed, looked: () => looked,
        look: (at) => {
          looked = at;
          look.show(toForm(draft, isNew), at);
        },
        add: (product = emptyProduct(), at = draft.products.length) => draft.products.splice(at, 0, product),
      }));
  }

  function showBar(mistakes = Number(bar.dataset.mistakes ?? 0)) {
    const dirty = isDirty();
    // Not at every key: a button that is being pressed stays the same one.
    const now = JSON.stringify([mistakes, dirty, round]);
    if (now === barShown) return;
    barShown = now;
    refill(bar,
      el('span.soft.small.grow', {}, mistakes ? el('b.bad', {}, t('note.mistakes', { n: mistakes })) : dirty ? t('note.unsaved') : ''),
      dirty && !isNew ? el('button.button', { type: 'button', onclick: () => take(round) }, t('act.discard')) : null,
      actions({ round, me, dirty, isNew, act, save, take, leave: () => forget(id) }));
  }

  function showAll() {
    showHead();
    showNotes();
    showForm();
    showBar(0);
    check();
  }

  const keys = (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === 's') {
      event.preventDefault();
      if (isDirty() || isNew) act(save);
    }
  };
  document.addEventListener('keydown', keys);
  fill(root, head, notes, el('div.split', {}, el('div', {}, form, bar), look.box));
  showAll();
  return () => {
    document.removeEventListener('keydown', keys);
    clearTimeout(timer);
    checking?.abort();
  };
}

