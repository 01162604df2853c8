// The field of a product's picture: chosen or dropped, sent at once, shown small.

import { api } from '../api.js';
import { el, fill } from '../dom.js';
import { lang, t } from '../i18n.js';

const KINDS = 'image/png,image/jpeg,image/webp';
/** The narrow rendition that the shop keeps of every wider picture. */
const NARROW = 480;

/** Where the smallest rendition of a picture is, given its name: `hash-960x720`. */
export function thumbnail(name) {
  const [, hash, width] = /^([0-9a-f]{16})-(\d+)x\d+$/.exec(name) ?? [];
  return hash ? `/pictures/${hash}-${Math.min(Number(width), NARROW)}.jpg` : null;
}

/** Why an upload was refused, in the reader's language. */
function sentence(error) {
  const known = ['too_large', 'no_picture'].includes(error.code) && lang() !== 'en';
  return known ? t(`picture.${error.code}`) : error.message;
}

/** The field's element and its control; `change(name)` is called with another picture. */
export function pictureField({ value, disabled, change }) {
  const shown = el('div.picture-shown');
  const said = el('p.mistake', { role: 'status' });
  const input = el('input', { type: 'file', accept: KINDS, disabled, onchange: () => take(input.files[0]) });
  const node = el('div.picture', {
    ondragover: (event) => event.preventDefault(),
    ondrop: (event) => {
      event.preventDefault();
      if (!input.disabled) take(event.dataTransfer.files[0]);
    },
  }, shown, input, said);

  function show(name) {
    const source = thumbnail(name);
    const remove = el('button.button.is-small', { type: 'button', onclick: () => put('') }, t('picture.remove'));
    fill(shown, source ? el('img', { src: source, alt: '' }) : el('span.soft.small', {}, t('picture.none')), source && !disabled ? remove : null);
  }

  function put(name) {
    input.value = '';
    show(name);
    change(name);
  }

  async function take(file) {
    if (!file) return;
    said.textContent = '';
    input.disabled = true;
    node.setAttribute('aria-busy', 'true');
    try {
      put((await api.post('/pictures', file)).picture);
    } catch (error) {
      input.value = '';
      said.textContent = sentence(error);
    } finally {
      input.disabled = disabled;
      node.removeAttribute('aria-busy');
    }
  }

  show(value);
  return { node, input };
}
