import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { read } from '../../../html/static/assets/api.js';
import { chooseLang } from '../../../html/static/assets/i18n.js';
import { LANGUAGES } from '../../../html/static/assets/languages.js';
import { phrase } from '../../../html/static/assets/phrase.js';
import { en as common, zh as commonZh } from '../../../html/static/assets/words.js';
import * as captcha from '../../../html/static/assets/words-captcha.js';
import * as orders from '../../../html/static/assets/words-orders.js';

const en = { ...common, ...captcha.en, ...orders.en };
const zh = { ...commonZh, ...captcha.zh, ...orders.zh };

const html = (path) => readFile(new URL(`../../../html/${path}`, import.meta.url), 'utf8');
const names = (text) => [...new Set([...text.matchAll(/\{(\w+)[}|]/g)].map((m) => m[1]))].sort();

test('both languages say the same things about the same values', () => {
  assert.deepEqual(Object.keys(en).sort(), Object.keys(zh).sort());
  for (const key of Object.keys(en)) assert.deepEqual(names(en[key]), names(zh[key]), key);
});

test('every other language is a file that says all of it, and a line in the list', async () => {
  const files = await readdir(new URL('../../../html/static/assets/lang/', import.meta.url));
  const listed = Object.entries(LANGUAGES).filter(([, it]) => it.load);
  assert.deepEqual(files.sort(), listed.map(([tag]) => `${tag}.js`).sort());
  for (const [tag, { load }] of listed) {
    const { words } = await load();
    assert.deepEqual(Object.keys(en).filter((key) => !(key in words)), [], `missing in ${tag}`);
    assert.deepEqual(Object.keys(words).filter((key) => !(key in en)), [], `unknown in ${tag}`);
    for (const key of Object.keys(en)) assert.deepEqual(names(words[key]), names(en[key]), `${tag}: ${key}`);
  }
});

test('a number chooses the form of its word', () => {
  assert.equal(phrase('{n} {n|item|items}', { n: 1 }, 'en'), '1 item');
  assert.equal(phrase('{n} {n|item|items}', { n: '1,000' }, 'en'), '1,000 items');
  assert.equal(phrase('{n|one=قطعة|two=قطعتان|few=@ قطع|other=@ قطعة}', { n: 5 }, 'ar'), '5 قطع');
  assert.equal(phrase('{n|one=قطعة|two=قطعتان|few=@ قطع|other=@ قطعة}', { n: 2 }, 'ar'), 'قطعتان');
});

test('no page uses a word that the tables of terms advise against', async () => {
  const folder = new URL('../../../docs/terms/', import.meta.url);
  const shop = { en: Object.values(en), 'zh-CN': Object.values(zh) };
  const pages = new URL('../../../html/console/', import.meta.url);
  const console_ = [];
  for (const file of await readdir(pages, { recursive: true })) {
    if (file.endsWith('.js') && !file.startsWith('vendor')) console_.push(...(await readFile(new URL(file, pages), 'utf8')).matchAll(/'[\w.-]+': '((?:[^'\\]|\\.)*)'/g));
  }
  const texts = console_.map((m) => m[1]);
  for (const [tag, own] of Object.entries(shop)) {
    const table = await readFile(new URL(`${tag}.md`, folder), 'utf8');
    const not = table.split('\n').filter((line) => line.startsWith('|')).slice(2).flatMap((line) => line.split('|')[3].split('、')).map((it) => it.trim()).filter(Boolean);
    assert.ok(not.length > 3, tag);
    for (const word of not) {
      const whole = tag === 'en' ? new RegExp(`(^|\\W)${word.replace(/[.]/g, '\\.')}(\\W|$)`) : new RegExp(word);
      for (const text of [...own, ...texts]) assert.ok(!whole.test(text), `${tag}: “${word}” in “${text}”`);
    }
  }
});

test('every refusal of the contract has a heading and says what to do', () => {
  const codes = [
    'bad_request', 'login_required', 'bad_signature', 'expired', 'blocked', 'captcha_required',
    'duplicate', 'too_early', 'busy', 'unavailable',
  ];
  for (const code of codes) assert.ok(en[`refused.${code}`] && en[`refused.${code}.do`], code);
  for (const scene of ['sold_out', 'ended']) assert.ok(en[`scene.${scene}`] && en[`scene.${scene}.do`], scene);
});

const PAGES = ['static/index.html', 'static/orders.html', 'static/order.html', 'templates/product.html'];

test('every word that a page uses exists', async () => {
  for (const page of PAGES) {
    for (const [, key] of (await html(page)).matchAll(/data-t(?:-label|-hint)?="([^"]+)"/g)) assert.ok(key in en, `${page}: ${key}`);
  }
});

// A script that looks for an id finds the first of two.
test('no page has an id twice', async () => {
  for (const page of [...PAGES, 'static/404.html', 'static/sorry.html', 'console/index.html']) {
    const ids = [...(await html(page)).matchAll(/\sid="([^"]+)"/g)].map((m) => m[1]);
    assert.deepEqual(ids.filter((id, at) => ids.indexOf(id) !== at), [], page);
  }
});

// The pages are plain files that can be opened and changed as they are; what they
// share is written in each, and may not drift apart.
test('every page has the same head, header and login', async () => {
  const texts = await Promise.all(PAGES.map(html));
  const part = (text, from, to) => text.slice(text.indexOf(from), text.indexOf(to, text.indexOf(from)));
  const own = /^ *<(title|script|meta property|a class="crumb")|^<link rel="(stylesheet|preload|modulepreload)"/;
  const shared = (text, from, to) => part(text, from, to).split('\n').filter((line) => !own.test(line)).join('\n');
  const [start, ...others] = texts;
  for (const [at, text] of others.entries()) {
    assert.equal(shared(text, '<!doctype', '<body'), shared(start, '<!doctype', '<body'), PAGES[at + 1]);
    assert.equal(shared(text, '<header', '</header>'), shared(start, '<header', '</header>'), PAGES[at + 1]);
  }
  const dialog = (text) => part(text, '<dialog id="login"', '</dialog>');
  for (const text of texts.slice(2)) assert.equal(dialog(text), dialog(texts[1]));
});

test('the link decides the language, then an earlier choice, then the browser', () => {
  assert.equal(chooseLang('en', 'zh-CN', 'zh-TW'), 'en');
  assert.equal(chooseLang(null, 'zh-CN', 'en-GB'), 'zh-CN');
  assert.equal(chooseLang('fr', null, 'zh-Hans'), 'zh-CN');
  assert.equal(chooseLang(null, null, 'de'), 'en');
  assert.equal(chooseLang(null, null, 'ar-EG'), 'ar');
});

test('an error page of a proxy says nothing about a purchase, a refusal with a code does', () => {
  assert.deepEqual(read(504, null, null), { status: 504, lost: true });
  assert.deepEqual(read(503, { code: 'unavailable' }, null), { status: 503, code: 'unavailable', retryMs: 0 });
  assert.deepEqual(read(429, { code: 'busy' }, '3'), { status: 429, code: 'busy', retryMs: 3_000 });
  assert.deepEqual(read(202, { status: 'processing' }, null), { status: 202, data: { status: 'processing' } });
});

// A portal's login page has the status 200, a CDN's challenge 403 or 429.
test('a page of somebody in between is neither a purchase nor a missing order', () => {
  for (const method of ['GET', 'POST']) assert.deepEqual(read(200, null, null, method), { status: 200, lost: true });
  for (const status of [403, 429]) {
    assert.deepEqual(read(status, null, null, 'GET'), { status, lost: true });
    assert.deepEqual(read(status, null, null, 'POST'), { status, code: 'bad_request', retryMs: 0 });
  }
  assert.deepEqual(read(404, null, null, 'GET'), { status: 404, code: 'not_found', retryMs: 0 });
});

// What follows it says whether it can be bought again, and a sale that is paused, over or
// withdrawn is not back.
test('why an order was cancelled says nothing of whether its item is on sale', async () => {
  const { words: ar } = await LANGUAGES.ar.load();
  const back = { zh: [zh, /重新开放/], en: [en, /back on sale/], ar: [ar, /إلى البيع/] };
  for (const [tag, [words, claim]] of Object.entries(back)) {
    for (const [key, text] of Object.entries(words)) {
      if (/^(refused|order)\.cancel/.test(key)) assert.doesNotMatch(text, claim, `${tag}: ${key}`);
    }
  }
});
