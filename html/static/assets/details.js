// What an order needs from its buyer: the shop's form, and what was filled in. Loaded
// only for orders that have a form.

import { lang, t } from './i18n.js';
import { node } from './node.js';

/** The words of a label in the shopper's language, else in English, else in any. */
export function inWords(label, tag) {
  const words = label ?? {};
  return words[tag.split('-')[0]] ?? words.en ?? Object.values(words)[0] ?? null;
}

/** The key of the sentence about what is wrong with a text; null if nothing is. */
export function flaw(field, text) {
  const written = text.trim();
  if (!written) return field.required ? 'missing' : null;
  return field.kind !== 'select' && [...written].length > field.max_length ? 'too_long' : null;
}

/** The fields whose value is a text, as the buyer reads them. */
export function filled(form, details, tag) {
  return form.filter((it) => typeof details?.[it.name] === 'string').map((it) => {
    const option = it.options?.find(({ value }) => value === details[it.name]);
    return [inWords(it.label, tag), inWords(option?.label, tag) ?? details[it.name]];
  });
}

/**
 * The form of an order. `save(details)` returns null when they were kept, else
 * `{ field, reason }` of what was refused; `changed()` is called when the form closes.
 */
export function detailsForm({ form, save, changed }) {
  let known = null;
  let isOpen = null;
  let isDue = false;
  let drawn = '';
  const typed = new Map();
  const controls = new Map();
  const box = node('section', { class: 'details', id: 'details', 'aria-labelledby': 'details-title' });

  const value = (name) => typed.get(name) ?? (typeof known?.[name] === 'string' ? known[name] : '');

  function control(field) {
    const id = `details-${field.name}`;
    const shared = {
      id, name: field.name, class: 'details-input', autocomplete: field.autocomplete || 'off', dir: 'auto',
      'aria-describedby': `${id}-flaw`, 'aria-required': String(field.required),
    };
    let made;
    if (field.kind === 'select') {
      made = node('select', shared, new Option(t('details.choose'), ''), ...field.options.map((it) => new Option(inWords(it.label, lang()) ?? it.value, it.value)));
    } else if (field.kind === 'textarea') made = node('textarea', { ...shared, rows: '3', maxlength: field.max_length });
    else made = node('input', { ...shared, maxlength: field.max_length });
    made.value = value(field.name);
    made.addEventListener('input', () => {
      typed.set(field.name, made.value);
      if (made.getAttribute('aria-invalid') === 'true') say(field, flaw(field, made.value));
    });
    controls.set(field.name, made);
    return made;
  }

  function say(field, reason) {
    const input = controls.get(field.name);
    input.setAttribute('aria-invalid', String(reason !== null));
    const key = reason && (t(`details.${reason}`) === null ? 'details.refused' : `details.${reason}`);
    input.parentElement.querySelector('.details-flaw').textContent = key ? t(key, { n: field.max_length }) : '';
  }

  function row(field) {
    const id = `details-${field.name}`;
    return node('div', { class: 'details-row' },
      node('label', { for: id }, node('bdi', {}, inWords(field.label, lang())), field.required ? null : node('span', { class: 'details-optional' }, ` ${t('details.optional')}`)),
      control(field),
      node('p', { class: 'details-flaw', id: `${id}-flaw`, role: 'alert' }));
  }

  const open = () => isOpen ?? (known === null || isDue);

  function draw() {
    const sketch = JSON.stringify([lang(), known, open()]);
    if (sketch === drawn) return;
    drawn = sketch;
    const title = node('h2', { id: 'details-title' }, t('details.title'));
    if (!open()) {
      const edit = node('button', { id: 'details-edit', class: 'link', type: 'button' }, t('details.edit'));
      edit.addEventListener('click', () => {
        isOpen = true;
        draw();
        controls.get(form[0].name).focus();
      });
      box.replaceChildren(node('div', { class: 'details-head' }, title, edit), facts(form, known));
      return;
    }
    const made = node('form', { id: 'details-form', novalidate: '' }, ...form.map(row),
      node('button', { id: 'details-save', class: 'solid', type: 'submit' }, t('details.save')));
    made.addEventListener('submit', async (event) => {
      event.preventDefault();
      await submit();
    });
    box.replaceChildren(title, node('p', { class: 'details-why' }, t('details.why')), made);
  }

  /** Saves what was typed, unless nothing has to be; whether the order may be paid now. */
  async function submit() {
    if (!open()) return true;
    const flaws = form.map((field) => [field, flaw(field, value(field.name))]);
    for (const [field, reason] of flaws) say(field, reason);
    const first = flaws.find(([, reason]) => reason !== null);
    if (first) {
      controls.get(first[0].name).focus();
      return false;
    }
    const details = Object.fromEntries(form.map(({ name }) => [name, value(name).trim()]).filter(([, text]) => text));
    const refused = await save(details);
    if (refused === null) {
      isOpen = false;
      typed.clear();
      draw();
      changed();
      return true;
    }
    const field = form.find(({ name }) => name === refused.field);
    if (field) {
      say(field, refused.reason);
      controls.get(field.name).focus();
    }
    return false;
  }

  return {
    node: box,
    submit,
    /** Shows these details, of which something is `due` or not; what is being typed stays. */
    show(details, due) {
      known = details ?? null;
      isDue = due;
      draw();
    },
  };
}

/** What was filled in, as a list of facts. */
export function facts(form, details) {
  return node('dl', { class: 'facts' }, ...filled(form, details, lang()).map(([label, text]) =>
    node('div', {}, node('dt', { dir: 'auto' }, label), node('dd', { class: 'details-text', dir: 'auto' }, text))));
}
