// Which language is shown, and its words.

import { known, LANGUAGES } from './languages.js';
import { phrase } from './phrase.js';
import { en, zh } from './words.js';
import { load, save } from './store.js';

const WORDS = { 'zh-CN': { ...zh }, en: { ...en } };
const STORED = 'seckill:lang';

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
  const text = WORDS[current][key] ?? WORDS.en[key];
  return text === undefined ? null : phrase(text, values, current);
}

const listeners = [];

/** Calls `show` now and whenever the language changes. */
export function onLang(show) {
  listeners.push(show);
  show();
}

/** Chooses a language, whose words may have to be fetched first; without them it is English. */
async function choose(tag) {
  const { load: fetchWords } = LANGUAGES[tag];
  try {
    if (!WORDS[tag]) WORDS[tag] = (await fetchWords()).words;
    current = tag;
  } catch {
    current = 'en';
  }
  fill();
}

/** Speaks the shopper's language, and wires the choice in the header. */
export function speak() {
  const query = new URLSearchParams(location.search).get('lang');
  const chosen = chooseLang(query, load(STORED), navigator.language);
  if (known(query)) save(STORED, chosen);
  const select = document.querySelector('#lang');
  select.replaceChildren(...Object.entries(LANGUAGES).map(([tag, { name }]) => {
    const option = new Option(name, tag, false, tag === chosen);
    option.lang = tag;
    return option;
  }));
  select.addEventListener('change', async () => {
    await choose(select.value);
    save(STORED, current);
    for (const show of listeners) show();
  });
  if (WORDS[chosen]) {
    current = chosen;
    fill();
    return null;
  }
  return choose(chosen);
}

function fill() {
  const root = document.documentElement;
  root.lang = current;
  root.dir = LANGUAGES[current].dir ?? 'ltr';
  fillIn();
  root.dataset.spoken = '';
}

/** Fills every [data-t] with its words, also those that came later. */
export function fillIn() {
  for (const node of document.querySelectorAll('[data-t]')) {
    node.textContent = t(node.dataset.t, node.dataset);
  }
  for (const node of document.querySelectorAll('[data-t-label]')) {
    node.setAttribute('aria-label', t(node.dataset.tLabel, node.dataset));
  }
  for (const node of document.querySelectorAll('[data-t-hint]')) {
    node.setAttribute('placeholder', t(node.dataset.tHint, node.dataset));
  }
}
