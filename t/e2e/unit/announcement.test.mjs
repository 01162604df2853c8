import assert from 'node:assert/strict';
import { test } from 'node:test';
import { saidAt } from '../../../html/static/assets/announcement.js';

test('an announcement is shown until its time, and what is none is not', () => {
  const file = { text: 'Delivery takes <b>two</b> days.', until_ms: 1_000 };
  assert.equal(saidAt(file, 999), file.text);
  assert.equal(saidAt(file, 1_000), null);
  assert.equal(saidAt(file, null), file.text, 'the clock is not known yet');
  for (const none of [null, {}, { text: null, until_ms: 9e15 }, { text: '', until_ms: 9e15 }, { text: 7, until_ms: 9e15 }]) assert.equal(saidAt(none, 0), null);
});
