// The pictures of a product: chosen or dropped, cut, sent at once, shown small. The
// first one stands for the product where there is room for one.

import { api } from '../api.js';
import { el, fill } from '../dom.js';
import { lang, t } from '../i18n.js';
import { cut } from './cut.js';

const KINDS = 'image/png,image/jpeg,image/webp';
/** The narrow rendition that the shop keeps of every wider picture. */
const NARROW = 480;
/** As many as the shop shows. */
const MOST = 5;

/** The pictures that a product's field names. */
export const names = (value) => (value ?? '').split(',').filter(Boolean);

/** Where the smallest rendition of a picture is, given its name: `hash-960x720`. */
export function thumbnail(name) {
  const [, hash, width] = /^([0-9a-f]{16})-(\d+)x\d+$/.exec(name) ?? [];
  return hash ? `/pictures/${hash}-${Math.min(Number(width), NARROW)}.jpg` : null;
}

/** Small pictures of a product, with their words for those who do not see them. */
export const thumbnails = (value, title, alts = []) => names(value).map((name, at) =>
  el('img.thumb', { src: thumbnail(name), alt: alts[at] || (at ? `${title} ${at + 1}` : title), loading: 'lazy' }));

/** Why an upload was refused, in the reader's language. */
function sentence(error) {
  const known = ['too_large', 'no_picture'].includes(error.code) && lang() !== 'en';
  return known ? t(`picture.${error.code}`) : error.message;
}

/**
 * The field's element and its control; `change(names, alts)` is called with other pictures
 * or texts. `name` is the field's name in the API.
 */
export function pictureField({ name: fieldName, value, alts, disabled, change }) {
  let all = names(value);
  const texts = new Map(all.map((name, at) => [name, alts?.[at] ?? '']));
  const shown = el('div.picture-shown');
  const said = el('p.mistake', { role: 'status' });
  const input = el('input', { type: 'file', accept: KINDS, multiple: true, onchange: () => take([...input.files]) });
  const node = el('div.picture', {
    ondragover: (event) => event.preventDefault(),
    ondrop: (event) => {
      event.preventDefault();
      if (!input.disabled) take([...event.dataTransfer.files]);
    },
  }, shown, input, said);

  function show() {
    const tool = (words, sign, act, n) => el('button.button.is-small', { type: 'button', title: t(words), 'aria-label': `${t(words)} ${n}`, onclick: act }, sign);
    fill(shown, all.length ? all.map((name, at) => el('figure', {},
      el('img', { src: thumbnail(name), alt: t('picture.n', { n: at + 1 }) }),
      disabled ? null : el('figcaption.row', {},
        at ? tool('picture.first', '★', () => put([name, ...all.filter((it) => it !== name)]), at + 1) : el('span.soft.small', {}, t('picture.main')),
        tool('picture.remove', '×', () => put(all.filter((it) => it !== name)), at + 1)),
      alt(name, at))) : el('span.soft.small', {}, t('picture.none')));
    input.disabled = disabled || all.length >= MOST;
  }

  /** What the picture shows, in words. */
  function alt(name, at) {
    const id = `${fieldName}_alt.${at}`;
    return el('div.picture-alt', {}, el('label.small', { for: id }, t('picture.alt', { n: at + 1 })),
      el('input', { id, value: texts.get(name) ?? '', maxlength: 400, dir: 'auto', autocomplete: 'off', disabled, 'data-field': id, 'aria-describedby': `${id}-m`,
        oninput: (event) => {
          texts.set(name, event.target.value);
          tell();
        } }),
      el('p.mistake', { id: `${id}-m`, 'data-mistake': id }));
  }

  const tell = () => change(all.join(','), all.map((name) => texts.get(name) ?? ''));

  function put(next) {
    input.value = '';
    all = next;
    show();
    tell();
  }

  async function take(files) {
    said.textContent = '';
    for (const file of files.slice(0, MOST - all.length)) {
      const part = await cut(file);
      if (part === null) continue;
      input.disabled = true;
      node.setAttribute('aria-busy', 'true');
      try {
        const { picture } = await api.post(`/pictures${part}`, file);
        put([...all.filter((it) => it !== picture), picture]);
      } catch (error) {
        said.textContent = sentence(error);
      } finally {
        node.removeAttribute('aria-busy');
      }
    }
    input.value = '';
    show();
  }

  show();
  return { node, input };
}
