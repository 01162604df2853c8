// The field of a product's picture.

import { el } from '../dom.js';

/** An element with the name of the picture; `change` is told of another one. */
export function pictureField({ id, value, disabled, change }) {
  return el('input', { id, value, disabled, maxlength: 100, spellcheck: 'false', autocomplete: 'off', oninput: (event) => change(event.target.value) });
}
