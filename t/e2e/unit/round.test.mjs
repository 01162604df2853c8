import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dayAfter, hasMore } from '../../../html/static/assets/round.js';

test('the day after the last of a month is the first of the next', () => {
  assert.equal(dayAfter('2026-11-30'), '2026-12-01');
  assert.equal(dayAfter('2028-02-28'), '2028-02-29');
  assert.equal(dayAfter('2026-12-31'), '2027-01-01');
});

test('a day has more to come until its last round ends', () => {
  const rounds = [{ ends_ms: 100 }, { ends_ms: 200 }];
  assert.equal(hasMore(rounds, 199), true);
  assert.equal(hasMore(rounds, 200), false);
  assert.equal(hasMore([], 0), false);
});
