// Every refusal of the console's API is read in Chinese; in English the server says it.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { find, unfinished } from '../../../html/console/i18n.js';
import { wholeIn } from '../../../html/console/numbers.js';
import { speaks } from './speaks.mjs';

after(() => speaks('en'));

const source = new URL('../../../backend/src/console/', import.meta.url);
const pages = new URL('../../../html/console/', import.meta.url);

const files = async (folder, ends) => (await readdir(folder, { recursive: true })).filter((file) => file.endsWith(ends) && !file.startsWith('vendor')).map((file) => new URL(file, folder));

/** Codes as they stand in the source: of errors and of mistakes in fields. */
async function codes() {
  const found = new Set();
  for (const file of [...await files(source, '.rs'), new URL('../sale/file.rs', source)]) {
    const text = (await readFile(file, 'utf8')).split('#[cfg(test)]')[0];
    const forms = [
      /\bcode: "([a-z_]+)"/g, /Self::\w+(?:\(_\))? => "([a-z_]+)"/g,
      /\bconflict\(\s*"([a-z_]+)"/g, /\bProblem::of\(\s*"([a-z_]+)"/g, /\b(?:fixed|mistake|add)\(\s*(?:"[\w.]*"|field|&[\w.]+|&format!\([^)]*\)),\s*"([a-z_]+)"/g,
    ];
    for (const form of file.pathname.endsWith('/error.rs') ? forms : forms.filter((_, at) => at !== 1)) {
      for (const [, code] of text.matchAll(form)) found.add(code);
    }
  }
  return [...found];
}

test('every code that the console’s API answers with has words in Chinese', async () => {
  for (const page of await files(pages, '.js')) {
    // The shell is all that needs a browser as it is read.
    if (!/\/(console|login|charts|board)\.js$/.test(page.pathname)) await import(page);
  }
  await import('../../../html/console/board/announcement.js');
  await speaks('zh');
  const all = await codes();
  assert.ok(all.length > 70, all.join(' '));
  for (const known of ['bad_request', 'round_is_real', 'not_held', 'announcement_minutes', 'fixed_start', 'factor_expired', 'id_taken', 'edges_behind']) assert.ok(all.includes(known), known);
  const has = (code) => ['error', 'mistake', 'picture', 'problem'].some((kind) => find(`${kind}.${code}`) !== null) || find(`error.${code}.database`) !== null;
  assert.deepEqual(all.filter((code) => !has(code)), []);
});

test('what does not follow yet is said once, in one language, with its cause', async () => {
  await import('../../../html/console/rounds/words.js');
  const is = { problem: 'It is saved, but not everything follows yet: Redis is away.', problem_code: 'not_all', problem_cause: 'Redis is away' };
  await speaks('zh');
  assert.equal(unfinished(is), '已经保存，但还没有全部生效：Redis is away');
  assert.equal(unfinished({ ...is, problem_code: 'unknown' }), is.problem);
  await speaks('en');
  assert.equal(unfinished(is), is.problem);
});

test('what a page says in one language, it says in the other, of the same values', async () => {
  for (const page of await files(pages, '.js')) {
    const text = await readFile(page, 'utf8');
    const at = text.search(/^(export const en =|  en:) \{/m);
    if (at < 0) continue;
    // What the server says in English has words in Chinese alone.
    const said = (part) => new Map([...part.matchAll(/'([\w.-]+)': '((?:[^'\\]|\\.)*)'/g)].filter(([, key]) => !/^(error|mistake|clock|reason|problem)\.|^picture\.(too_large|no_picture)$/.test(key)).map(([, key, words]) => [key, words]));
    const [chinese, english] = [said(text.slice(0, at)), said(text.slice(at, text.indexOf('\n}', at)))];
    assert.deepEqual([...chinese.keys()].filter((key) => !english.has(key)), [], `${page.pathname}: not in English`);
    assert.deepEqual([...english.keys()].filter((key) => !chinese.has(key)), [], `${page.pathname}: not in Chinese`);
    const values = (words) => [...new Set([...words.matchAll(/\{(\w+)[}|]/g)].map((it) => it[1]))].sort();
    for (const [key, words] of english) assert.deepEqual(values(words), values(chinese.get(key)), `${page.pathname}: ${key}`);
  }
});

test('a fraction, a word and nothing are no whole number', () => {
  for (const text of ['1.5', '', ' ', 'ten', '0', '1441', '-3', '1e-1']) assert.equal(wholeIn(text, 1, 1440), null, text);
  assert.deepEqual(['1', ' 12 ', '1440', '1e2'].map((text) => wholeIn(text, 1, 1440)), [1, 12, 1440, 100]);
});
