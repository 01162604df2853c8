// The two languages of the shop and which of them is shown.

import { en, zh } from './words.js';
import { load, save } from './store.js';

const WORDS = { 'zh-CN': { ...zh }, en: { ...en } };
const STORED = 'seckill:lang';

export function known(tag) {
  if (typeof tag !== 'string') return null;
  if (/^zh\b/i.test(tag)) return 'zh-CN';
  return /^en\b/i.test(tag) ? 'en' : null;
}

/** The first choice that is a language we speak: link, earlier choice, browser. */
export function chooseLang(query, stored, browser) {
  return known(query) ?? known(stored) ?? known(browser) ?? 'en';
}

/** Adds words that only a part of the shop needs, before it uses them. */
export function learn(more) {
  Object.assign(WORDS['zh-CN'], more.zh);
  Object.assign(WORDS.en, more.en);
}

let current = 'en';

export const lang = () => current;

/** The words for `key`, its {names} filled in; null when there are none. */
export function t(key, values = {}) {
  return WORDS[current][key]?.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '') ?? null;
}

const listeners = [];

/** Calls `show` now and whenever the language changes. */
export function onLang(show) {
  listeners.push(show);
  show();
}

/** Fills every [data-t] with its words and wires the switch in the header. */
export function speak() {
  const query = new URLSearchParams(location.search).get('lang');
  current = chooseLang(query, load(STORED), navigator.language);
  if (known(query)) save(STORED, current);
  fill();
  document.querySelector('#lang').addEventListener('click', () => {
    current = current === 'en' ? 'zh-CN' : 'en';
    save(STORED, current);
    fill();
    for (const show of listeners) show();
  });
}

function fill() {
  const root = document.documentElement;
  root.lang = current;
  for (const node of document.querySelectorAll('[data-t]')) {
    node.textContent = t(node.dataset.t, node.dataset);
  }
  for (const node of document.querySelectorAll('[data-t-label]')) {
    node.setAttribute('aria-label', t(node.dataset.tLabel, node.dataset));
  }
  for (const node of document.querySelectorAll('[data-t-hint]')) {
    node.setAttribute('placeholder', t(node.dataset.tHint, node.dataset));
  }
  root.dataset.spoken = '';
}
