import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { find } from '../../../html/console/i18n.js';
import { named, shown } from '../../../html/console/rounds/changes.js';

const backend = new URL('../../../backend/src/', import.meta.url);

/** Every source file of the back end, without its tests. */
async function sources() {
  const files = (await readdir(backend, { recursive: true })).filter((file) => file.endsWith('.rs'));
  const texts = await Promise.all(files.map((file) => readFile(new URL(file, backend), 'utf8')));
  return texts.map((text) => text.split('#[cfg(test)]')[0]);
}

const KINDS = 'account|announcement|audit|ban|finding|letter|notice|order|proposal|retention|round|sale|session|simulation|stock|system';

test('the audit log has a word for every action that the back end records', async () => {
  const found = new Set();
  for (const text of await sources()) {
    for (const [, action] of text.matchAll(new RegExp(`"((?:${KINDS})\\.[a-z_]+)"`, 'g'))) found.add(action);
  }
  // Names of files, of a variable, and marks of charts, which have words of their own.
  for (const not of ['sale.toml', 'sale.json', 'round.product', 'round.opens', 'round.ends', 'round.price_cut']) found.delete(not);
  assert.ok(found.size > 30, [...found].join(' '));
  const missing = [...found].filter((action) => find(`did.${action}`) === null);
  assert.deepEqual(missing, []);
});

test('the audit log has a word for every field of its details', async () => {
  const found = new Set();
  for (const text of await sources()) {
    for (const [, json] of text.matchAll(/detail: (?:serde_json::)?json!\(\{([^}]*)\}/g)) {
      for (const [, field] of json.matchAll(/"([a-z_]+)":/g)) found.add(field);
    }
    for (const [, field] of text.matchAll(/detail\["([a-z_]+)"\] =/g)) found.add(field);
  }
  assert.ok(found.size > 15, [...found].join(' '));
  assert.deepEqual([...found].filter((field) => find(`field.${field}`) === null), []);
});

test('a change is named by its product and shown as people read it', () => {
  assert.equal(named('153.amount', { 153: 'Phone' }), 'Phone · amount');
  assert.equal(named('name'), 'name');
  assert.equal(shown('153.price_cents', 129_900), '¥1,299.00');
  assert.equal(shown('stop', ['selling', 'paused']), 'selling → paused');
  assert.equal(shown('153.picture', ''), '–');
});
