// The days of a series in one action. Each day is a round of its own, with a version
// and an approval of its own, so that the action goes from day to day; a day that
// refuses stops none of the others, and is listed with its reason.

import { api, filters } from '../api.js';
import { ask, el, fill, stays, toast } from '../dom.js';
import { moment, said, t, unfinished } from '../i18n.js';
import { kept } from './draft.js';
import './words.js';

const path = (round, what) => `/rounds/${encodeURIComponent(round.id)}/${what}`;

/** Every matching round, from all pages of the list; earliest first. */
export async function allRounds(query) {
  const rounds = [];
  for (let page = 1; ; page += 1) {
    const answer = await api.get(`/rounds?${filters({ ...query, page })}`);
    rounds.push(...answer.rounds);
    if (!answer.rounds.length || rounds.length >= answer.total) return rounds.sort((a, b) => a.starts_ms - b.starts_ms);
  }
}

/** Asks, then submits every draft of the series. What was rejected needs somebody to look at it first. */
export async function submitSeries(series) {
  const days = await allRounds({ series });
  const unsaved = days.filter((it) => it.state === 'draft' && kept(it.id) !== null);
  const drafts = days.filter((it) => it.state === 'draft' && kept(it.id) === null);
  const left = [
    days.some((it) => it.state === 'rejected') ? t('series.left.rejected', { n: days.filter((it) => it.state === 'rejected').length }) : '',
    unsaved.length ? t('series.left.unsaved', { n: unsaved.length }) : '',
  ].filter(Boolean).join(' ');
  if (!drafts.length) return toast([t('series.none'), left].filter(Boolean).join(' '), 'bad');
  const yes = await ask({
    title: t('ask.submit_series', { series, n: drafts.length }), text: [span(drafts), left].filter(Boolean).join(' '),
    yes: t('act.submit_series'), no: t('cancel'),
  });
  if (!yes) return null;
  return eachDay(drafts, t('series.submitting'), (round) => api.post(path(round, 'submit'), { version: round.version }));
}

/** Asks, then approves these days as they were seen. */
export async function approveAll(days) {
  const [{ name }] = days;
  const yes = await ask({
    title: t('ask.approve_series', { name, n: days.length }), text: `${span(days)} ${t('ask.approve.text')}`,
    yes: t('act.approve_series', { n: days.length }), no: t('cancel'),
  });
  if (!yes) return null;
  return eachDay(days, t('series.approving'), (round) => api.post(path(round, 'approve'), { version: round.version }));
}

export async function rejectAll(days) {
  const [{ name }] = days;
  const reason = await ask({
    title: t('ask.reject_series', { name, n: days.length }), yes: t('act.reject'), no: t('cancel'), reason: t('ask.reject.why'), danger: true,
  });
  if (!reason) return null;
  return eachDay(days, t('series.rejecting'), (round) => api.post(path(round, 'reject'), { version: round.version, reason }));
}

/** From the first day to the last. */
export function span(days) {
  const [from, to] = [days[0], days[days.length - 1]].map((it) => moment(it.starts_ms));
  return days.length === 1 ? from : t('series.span', { from, to });
}

/** Does it day by day with a progress bar, and lists each day that refused. */
async function eachDay(days, title, work) {
  const bar = el('progress', { max: days.length, value: 0, 'aria-label': title });
  const text = el('p.soft', { role: 'status' });
  const list = el('ul.mistakes');
  const foot = el('div.row.is-end');
  const heading = el('h2', {}, title);
  const box = el('dialog.dialog', { class: 'is-wide' }, heading, bar, text, list, foot);
  // Half a series is a state like any other, but nobody should leave it by accident.
  stays(box);
  document.body.append(box);
  box.showModal();
  let refused = 0;
  for (const [at, round] of days.entries()) {
    text.textContent = t('series.progress', { n: at + 1, of: days.length, id: round.id });
    try {
      const is = await work(round);
      if (is.problem) throw new Error(unfinished(is));
    } catch (error) {
      refused += 1;
      list.append(el('li', {}, el('b', {}, round.id), ' ', error.code ? said(error) : error.message));
    }
    bar.value = at + 1;
  }
  const done = t('series.done', { n: days.length - refused, of: days.length });
  if (!refused) {
    box.close();
    box.remove();
    return toast(done);
  }
  heading.textContent = done;
  text.textContent = t('series.refused');
  const closing = new Promise((resolve) => box.addEventListener('close', resolve, { once: true }));
  fill(foot, el('button.button.is-main', { type: 'button', autofocus: true, onclick: () => box.close() }, t('close')));
  foot.firstElementChild.focus();
  await closing;
  return box.remove();
}
