// Labelled fields with a hint and room for a mistake.

import { el } from '../dom.js';

let count = 0;

/**
 * `name` is the field's name in the API's mistakes, such as `products.0.title`;
 * `body` is what stands in the field if that is more than its `input`.
 */
export function field({ name, label, hint, input, body = input, wide = '' }) {
  count += 1;
  const id = input.id || `f${count}`;
  input.id = id;
  input.dataset.field = name;
  input.setAttribute('aria-describedby', `${id}-m ${id}-h`);
  return el(`div.field${wide ? `.${wide}` : ''}`, {}, el('label', { for: id }, label), body,
    el('p.mistake', { id: `${id}-m`, 'data-mistake': name }), hint ? el('p.hint', { id: `${id}-h` }, hint) : null);
}

/** Puts each mistake at its field; what has none there goes to the nearest that has. */
export function showMistakes(form, mistakes, textOf) {
  for (const node of form.querySelectorAll('[data-field]')) node.setAttribute('aria-invalid', 'false');
  for (const node of form.querySelectorAll('[data-mistake]')) node.textContent = '';
  for (const mistake of mistakes) {
    const at = (name) => form.querySelector(`[data-mistake="${CSS.escape(name)}"]`);
    const room = at(mistake.field) ?? at(mistake.field.split('.')[0]) ?? at('products');
    if (!room) continue;
    room.textContent = room.textContent ? `${room.textContent} ${textOf(mistake)}` : textOf(mistake);
    form.querySelector(`[data-field="${CSS.escape(mistake.field)}"]`)?.setAttribute('aria-invalid', 'true');
  }
}
