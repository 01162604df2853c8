// What can be done with a round, by its state and by who is logged in.

import { api } from '../api.js';
import { ask, el, toast } from '../dom.js';
import { t, unfinished } from '../i18n.js';
import { submitSeries } from './series.js';
import { stopSale } from './stops.js';

/** Whether a round went through this person's hands, so that another has to approve it. */
export const isOwn = (round, me) => [round.created_by, round.edited_by, round.submitted_by].includes(me.name);

const post = (round, step, body = { version: round.version }) => api.post(`/rounds/${encodeURIComponent(round.id)}/${step}`, body);

/** Asks for confirmation, approves, shows the result; returns the round as it is then. */
export async function approve(round) {
  if (!(await ask({ title: t('ask.approve', round), text: t('ask.approve.text'), yes: t('act.approve'), no: t('cancel') }))) return null;
  const is = await post(round, 'approve');
  toast(is.problem ? unfinished(is) : t('act.approved'), is.problem ? 'bad' : 'good');
  return is;
}

export async function reject(round) {
  const reason = await ask({ title: t('ask.reject', round), yes: t('act.reject'), no: t('cancel'), reason: t('ask.reject.why'), danger: true });
  if (!reason) return null;
  const is = await post(round, 'reject', { version: round.version, reason });
  toast(t('act.rejected'));
  return is;
}

/** The buttons of the editor. */
export function actions({ round, me, dirty, isNew, act, save, take, leave }) {
  const button = (words, work, tone = '') => el('button.button', { type: 'button', class: tone, 'data-act': words, onclick: () => act(work) }, t(`act.${words}`));
  const step = (words, done, then = take) => button(words, async () => {
    then(await post(round, words));
    toast(t(`act.${done}`));
  });
  if (isNew) return [button('save', save, 'is-main')];
  const copy = button('copy', async () => {
    const is = await post(round, 'copy', {});
    toast(t('act.copied'));
    location.hash = `#/rounds/${encodeURIComponent(is.id)}`;
  });
  const isDraft = round.state === 'draft' || round.state === 'rejected';
  const remove = button('delete', async () => {
    if (!(await ask({ title: t('ask.delete', round), text: t('ask.delete.text'), yes: t('act.delete'), no: t('cancel'), danger: true }))) return;
    await api.del(`/rounds/${encodeURIComponent(round.id)}?version=${round.version}`);
    leave();
    toast(t('act.deleted'));
    location.hash = '#/rounds';
  });
  const submit = button('submit', async () => {
    // A rejected round is a draft again once it is saved, changed or not.
    const is = dirty || round.state === 'rejected' ? await save() : round;
    take(await post(is, 'submit'));
    toast(t('act.submitted'));
  }, dirty ? '' : 'is-main');
  const saving = button('save', save, 'is-main');
  const submitAll = round.series && !dirty ? button('submit_series', async () => {
    await submitSeries(round.series);
    take(await api.get(`/rounds/${encodeURIComponent(round.id)}`));
  }) : null;
  const stop = (step) => button(`stop.${step}`, async () => {
    const is = await stopSale({ round: round.id, name: round.name }, step, me);
    if (is) take(is);
  }, step === 'resume' ? 'is-main' : 'is-danger');
  switch (round.state) {
    case 'draft':
    case 'rejected': return [remove, copy, submitAll, submit, dirty ? saving : null];
    case 'submitted': {
      const decides = me.role === 'supervisor' && !isOwn(round, me);
      const decide = (words, work, tone) => button(words, async () => {
        const is = await work(round);
        if (is) take(is);
      }, tone);
      return [copy, step('withdraw', 'withdrawn'), decides ? decide('reject', reject) : null, decides ? decide('approve', approve, 'is-main') : null];
    }
    case 'ended': return [copy, stop('withdraw')];
    case 'withdrawn': return [copy];
    default: return [copy, round.state === 'paused' ? stop('resume') : stop('pause'), round.state === 'published' ? null : stop('end'), stop('withdraw'), button('publish', async () => {
      const is = await post(round, 'publish', {});
      take(is);
      toast(is.problem ? unfinished(is) : t('act.published'), is.problem ? 'bad' : 'good');
    }), dirty ? saving : null, isDraft ? remove : null];
  }
}
