// A short message in the corner, read aloud, that leaves by itself.

const STAYS_MS = 12_000;

let corner = null;

function place() {
  if (!corner) {
    corner = document.createElement('div');
    corner.className = 'toasts';
    corner.setAttribute('role', 'status');
    corner.setAttribute('aria-live', 'polite');
    document.body.append(corner);
  }
  return corner;
}

/** Shows `title` and `text` with a link for `stays` ms; `tone` is 'good' or 'warn'. */
export function toast(tone, title, text, { href, text: linkText }, stays = STAYS_MS) {
  const box = document.createElement('div');
  box.className = 'toast';
  box.dataset.tone = tone;
  const words = document.createElement('p');
  const head = document.createElement('b');
  head.textContent = title;
  const about = document.createElement('span');
  about.dir = 'auto';
  about.textContent = text;
  words.append(head, document.createElement('br'), about);
  const link = document.createElement('a');
  link.href = href;
  link.textContent = linkText;
  box.append(words, link);
  place().append(box);
  setTimeout(() => box.remove(), stays);
}
