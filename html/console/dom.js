// Building elements. Text is always set as text: nothing that an operator or a
// shopper wrote is ever read as HTML.

/** `el('p.soft', { onclick }, 'text', child)`; null and false children are left out. */
export function el(what, given = {}, ...children) {
  const [tag, ...classes] = what.split('.');
  const node = document.createElement(tag || 'div');
  if (classes.length) node.className = classes.join(' ');
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'value' || name === 'checked') node[name] = value;
    else if (name === 'class') node.className = `${node.className} ${value}`.trim();
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Puts these in place of what `node` holds. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** What a focused element is, for finding it again among new ones. */
function nameOf(node) {
  const of = node.closest('article, [data-round], [data-proposal], [data-at]');
  return JSON.stringify([of && { ...of.dataset }, of?.getAttribute('aria-label'), node.tagName, { ...node.dataset }, node.getAttribute('href'), node.getAttribute('aria-label'), (node.closest('label') ?? node).textContent.replace(/\d[\d,.]*/g, '')]);
}

/** As `fill`, for what is drawn again while somebody is in it: the focus stays where it was. */
export function refill(node, ...children) {
  const at = node.contains(document.activeElement) && document.activeElement !== node ? document.activeElement : null;
  const name = at && nameOf(at);
  fill(node, ...children);
  if (name) [...node.querySelectorAll(at.tagName)].find((it) => nameOf(it) === name)?.focus({ preventScroll: true });
  return node;
}

/** Says `text` in `node`; what it says already is not touched. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

let hide = 0;

/** A short message at the bottom of the screen, announced to screen readers. */
export function toast(text, tone = 'good') {
  const node = document.querySelector('#toast');
  node.textContent = text;
  node.dataset.tone = tone;
  node.classList.add('is-on');
  clearTimeout(hide);
  hide = setTimeout(() => node.classList.remove('is-on'), 5000);
}

/**
 * `work`, unless it is still being done: the second of two clicks, or of two Enters, does
 * nothing. `node` looks busy meanwhile.
 */
export function once(node, work) {
  let busy = false;
  return async (...given) => {
    if (busy) return undefined;
    busy = true;
    node.classList.add('is-busy');
    try {
      return await work(...given);
    } finally {
      busy = false;
      node.classList.remove('is-busy');
    }
  };
}

/** Has `form` do `work` when it is submitted, and not again while that lasts. */
export function submits(form, work) {
  const submit = once(form, work);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
}

/** Has `box` stay when Escape is pressed; newer browsers let no handler stop a second Escape, but this attribute does. */
export function stays(box) {
  box.setAttribute('closedby', 'none');
  box.addEventListener('cancel', (event) => event.preventDefault());
}

/**
 * Asks yes or no in a dialog of our own; with `reason`, for a text too; `shows` is what it is about.
 * False for no and for Escape alike: a question whose no does something belongs into `shows`, as a choice.
 */
export function ask({ title, text, shows, yes, no, danger = false, reason = null }) {
  return new Promise((resolve) => {
    const field = reason && el('textarea', { rows: 3, maxlength: 500, 'aria-label': reason, placeholder: reason });
    const confirm = el('button.button', { type: 'submit', class: danger ? 'is-danger' : 'is-main' }, yes);
    const form = el('form', { method: 'dialog' },
      el('h2', {}, title), text && el('p.soft', {}, text), shows, field,
      el('div.row.is-end', {}, el('button.button', { type: 'button', onclick: () => box.close('') }, no), confirm));
    const box = el('dialog.dialog', {}, form);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (field && !field.value.trim()) return field.focus();
      return box.close('yes');
    });
    box.addEventListener('close', () => {
      const answer = box.returnValue === 'yes';
      box.remove();
      resolve(answer && field ? field.value.trim() : answer);
    });
    document.body.append(box);
    box.returnValue = '';
    box.showModal();
    (field ?? confirm).focus();
  });
}
