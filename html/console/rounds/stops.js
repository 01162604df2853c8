// The stop switch: a round, or one product of it, is paused, resumed, ended or withdrawn.

import { api } from '../api.js';
import { ask, el, once, toast } from '../dom.js';
import { t, unfinished } from '../i18n.js';
import './words.js';

/** What may still be done with a product, by how it was stopped (`null`: it was not). */
const STEPS = { null: ['pause', 'end', 'withdraw'], paused: ['resume', 'end', 'withdraw'], ended: ['withdraw'], withdrawn: [] };

/** Nothing leads back from these. */
const FOR_GOOD = new Set(['end', 'withdraw']);

/** What becomes of the orders of what is withdrawn: the choices, and which one is made. */
function ordersOf(me) {
  const choices = ['none', 'unpaid', ...(me.role === 'supervisor' ? ['all'] : [])];
  const node = el('fieldset.choices', {}, el('legend.label', {}, t('ask.cancel')), choices.map((name) =>
    el('label.choice', {}, el('input', { type: 'radio', name: 'cancel', value: name, checked: name === 'none' }), el('span', {}, t(`act.cancel.${name}`)))));
  return { node, chosen: () => node.querySelector(':checked').value };
}

/**
 * Asks for the reason and carries out the step at every edge; the round as it is then, or
 * null if nothing was done. Without a `product` it is the whole round.
 */
export async function stopSale({ round, product = null, name }, step, me) {
  const orders = step === 'withdraw' ? ordersOf(me) : null;
  const what = product === null ? 'ask.stop' : 'ask.stop.product';
  const reason = await ask({ title: t(`${what}.${step}`, { name }), text: t(step === 'withdraw' ? `${what}.withdraw.text` : `ask.stop.${step}.text`), shows: orders?.node, yes: t(`act.stop.${step}`), no: t('cancel'), reason: t('ask.stop.why'), danger: step !== 'resume' });
  if (!reason) return null;
  const of = product === null ? '' : `/products/${encodeURIComponent(product)}`;
  const is = await api.post(`/rounds/${encodeURIComponent(round)}${of}/${step}`, { reason, cancel: orders?.chosen() ?? 'none' });
  toast(is.problem ? unfinished(is) : t(`act.stop.${step}.done`), is.problem ? 'bad' : 'good');
  return is;
}

/** A button for one step of what `of()` says; `done` is called once it was carried out. */
export function stopButton(of, step, me, done = () => {}) {
  const button = el('button.button.is-small', { type: 'button', class: FOR_GOOD.has(step) ? 'is-danger' : '', 'data-act': `stop.${step}` }, t(`act.stop.${step}`));
  button.addEventListener('click', once(button, async () => {
    if (await stopSale(of(), step, me)) await done();
  }));
  return button;
}

/** A button for each step that is left of a product that was stopped so (`null`: it was not). */
export const stopButtons = (of, stopped, me, done) => STEPS[stopped].map((step) => stopButton(() => of, step, me, done));
