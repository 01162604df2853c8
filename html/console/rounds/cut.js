// Which part of a picture is shown: the whole, or a rectangle of a ratio that is moved
// along the longer side. Phones show products in 4:3, lists show squares.

import { el } from '../dom.js';
import { t } from '../i18n.js';

const RATIOS = { whole: null, '4:3': 4 / 3, '1:1': 1, '3:4': 3 / 4 };

/** The largest rectangle of this ratio, `at` (0 to 1) along what is left. Pure. */
export function rectangle(width, height, ratio, at) {
  if (ratio === null) return null;
  const w = Math.min(width, Math.round(height * ratio));
  const h = Math.min(height, Math.round(width / ratio));
  return { x: Math.round((width - w) * at), y: Math.round((height - h) * at), width: w, height: h };
}

/**
 * Asks for the part of `file` to show. Resolves to the query of the upload, which is
 * empty for the whole picture, or to null when the operator chose none. A file that the
 * browser cannot show is left for the server to judge.
 */
export async function cut(file) {
  const url = URL.createObjectURL(file);
  const image = el('img', { src: url, alt: '' });
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(url);
    return '';
  }
  const part = await ask(image);
  URL.revokeObjectURL(url);
  if (part === undefined) return null;
  return part ? `?${new URLSearchParams(part)}` : '';
}

function ask(image) {
  return new Promise((resolve) => {
    let ratio = 'whole';
    const { naturalWidth: width, naturalHeight: height } = image;
    const frame = el('i.cut-frame');
    const move = el('input', { type: 'range', min: 0, max: 100, value: 50, 'aria-label': t('picture.move'), oninput: () => draw() });
    const choices = el('div.row', { role: 'radiogroup', 'aria-label': t('picture.cut') }, Object.keys(RATIOS).map((name) =>
      el('label.sim-vice', {}, el('input', {
        type: 'radio', name: 'ratio', value: name, checked: name === ratio,
        onchange: () => {
          ratio = name;
          draw();
        },
      }), ' ', name === 'whole' ? t('picture.whole') : name)));
    const box = el('dialog.dialog', {}, el('form', {
      method: 'dialog',
      onsubmit: () => {
        box.returnValue = 'yes';
      },
    },
    el('h2', {}, t('picture.cut')), el('div.cut', {}, image, frame), choices, move,
    el('div.row.is-end', {}, el('button.button', { type: 'button', onclick: () => box.close('') }, t('cancel')),
      el('button.button.is-main', { type: 'submit', value: 'yes' }, t('picture.use')))));
    const chosen = () => rectangle(width, height, RATIOS[ratio], Number(move.value) / 100);
    function draw() {
      const part = chosen();
      move.disabled = !part || (part.width === width && part.height === height);
      frame.hidden = !part;
      if (!part) return;
      const percent = (n, of) => `${(100 * n) / of}%`;
      Object.assign(frame.style, { left: percent(part.x, width), top: percent(part.y, height), width: percent(part.width, width), height: percent(part.height, height) });
    }
    box.addEventListener('close', () => {
      box.remove();
      resolve(box.returnValue === 'yes' ? chosen() : undefined);
    });
    document.body.append(box);
    draw();
    box.returnValue = '';
    box.showModal();
  });
}
