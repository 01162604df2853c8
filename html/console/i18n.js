// The languages of the console. Each page brings its own words along by `addWords`, in
// Chinese and English; another language is one file with the words of all pages. What the
// server says in English is translated by its code.

import { known, LANGUAGES } from './languages.js';
import { en, zh } from './words.js';

const WORDS = { 'zh-CN': { ...zh }, en: { ...en } };
const STORED = 'seckill:console:lang';

let current = 'en';

export const lang = () => current;

export function addWords({ zh: chinese, en: english }) {
  Object.assign(WORDS['zh-CN'], chinese);
  Object.assign(WORDS.en, english);
}

/** The words for `key`, {names} or {0}, {1} filled in; the key itself if there are none. */
export function t(key, values = {}) {
  return find(key, values) ?? key;
}

/**
 * The same, null if there are none. `{n|day|days}` is the word for one or for more;
 * languages with other forms name them, `{n|one=…|few=…|other=…}`, as Intl.PluralRules does.
 */
export function find(key, values = {}) {
  return (WORDS[current][key] ?? (current === 'zh-CN' ? undefined : WORDS.en[key]))
    ?.replace(/\{(\w+)\|([^{}]*)\}/g, (_, name, forms) => form(forms.split('|'), values[name]))
    .replace(/\{(\w+)\}/g, (_, name) => isolated(values[name] ?? '')) ?? null;
}

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/** A name that runs from right to left does not take along what stands beside it in a sentence. */
export const isolated = (value) => (typeof value === 'string' && RIGHT_TO_LEFT.test(value) ? `\u2068${value}\u2069` : value);

function form(forms, value) {
  if (!forms[0].includes('=')) return String(value) === '1' ? forms[0] : forms[1];
  const named = Object.fromEntries(forms.map((it) => it.split('=')));
  return named[new Intl.PluralRules(current).select(Number(String(value).replace(/[^\d.]/g, '')))] ?? named.other ?? '';
}

/** What the server said, in the reader's language as far as the code is known. */
export function said(error) {
  const key = `error.${error.code}${error.missing ? `.${error.missing}` : ''}`;
  // English words for some codes are those of single sign-on, which brings back no sentence.
  return current !== 'en' && WORDS[current][key] ? find(key, error.values ?? {}) : error.message;
}

/** What does not follow yet of something that was done: its cause is in a sentence of the reader's language. */
export const unfinished = (is) => (current === 'en' ? null : find(`problem.${is.problem_code}`, { cause: is.problem_cause })) ?? is.problem;

const listeners = new Set();
export const onLang = (show) => listeners.add(show);

function stored() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

/** Chooses a language, whose words may have to be fetched first; without them it is English. */
async function choose(tag) {
  try {
    WORDS[tag] ??= (await LANGUAGES[tag].load()).words;
    current = tag;
  } catch {
    current = 'en';
  }
  fillWords();
}

/** Fills in all words and wires the choice of the language. */
export async function speak() {
  const chosen = known(new URLSearchParams(location.search).get('lang')) ?? known(stored()) ?? known(navigator.language) ?? 'en';
  const select = document.querySelector('#lang');
  select.replaceChildren(...Object.entries(LANGUAGES).map(([tag, { name }]) => {
    const option = new Option(name, tag, false, tag === chosen);
    option.lang = tag;
    return option;
  }));
  select.addEventListener('change', async () => {
    await choose(select.value);
    try {
      localStorage.setItem(STORED, current);
    } catch {
      // Without storage, the choice is made again next time.
    }
    for (const show of listeners) show();
  });
  await choose(chosen);
}

function fillWords() {
  document.documentElement.lang = current;
  document.documentElement.dir = LANGUAGES[current].dir ?? 'ltr';
  document.title = t('title');
  for (const node of document.querySelectorAll('[data-t]')) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll('[data-t-label]')) node.setAttribute('aria-label', t(node.dataset.tLabel));
}

const zone = { timeZone: 'Asia/Shanghai' };

/** Sets the shop's time zone, as the server names it. */
export function useZone(name) {
  zone.timeZone = name;
}
export const shopZone = () => zone.timeZone;

// To make a formatter costs a hundred times what formatting does, and a board of two
// hundred products formats a thousand numbers.
const formatters = new Map();

function made(kind, options = {}) {
  const key = JSON.stringify([kind, current, options]);
  if (!formatters.has(key)) formatters.set(key, new Intl[kind](current, options));
  return formatters.get(key);
}

/**
 * A moment in the shop's time zone. One that is not a whole minute is shown with its
 * seconds: 23:39:58 is not 23:39.
 */
export function moment(ms, more = ms % 60_000 >= 1_000 ? {} : { second: undefined }) {
  if (ms === null || ms === undefined) return '–';
  return made('DateTimeFormat', {
    ...zone, year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23', ...more,
  }).format(new Date(ms));
}

const day = (ms) => made('DateTimeFormat', { ...zone, year: 'numeric', month: '2-digit', day: '2-digit' }).format(new Date(ms));

/** From when to when; the end has its day where that is another one. */
export function span(from, to) {
  const dayless = { year: undefined, month: undefined, day: undefined, ...(to % 60_000 >= 1_000 ? {} : { second: undefined }) };
  return `${moment(from)} – ${day(from) === day(to) ? moment(to, dayless) : moment(to)}`;
}

export const number = (value) => made('NumberFormat').format(value);

/** How the shop's currency is written: what stands before an amount, and its decimal digits. */
export const currency = { sign: '¥', digits: 2 };

export function useCurrency(is) {
  Object.assign(currency, is);
}

/** An amount, given in the currency's smallest unit; the shop's, if no other one is named. */
export function money(minor, { sign, digits } = currency) {
  return `${sign}${made('NumberFormat', { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(minor / 10 ** digits)}`;
}
