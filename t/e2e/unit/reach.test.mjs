import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReached, noteCall, onReach } from '../../../html/static/assets/reach.js';

test('what calls have shown decides whether the shop is reached, each change is told once', () => {
  const told = [];
  onReach((reached) => told.push(reached));
  noteCall(false);
  assert.equal(isReached(), true, 'one failure may be chance');
  noteCall(false);
  noteCall(false);
  assert.equal(isReached(), false);
  noteCall(true);
  assert.equal(isReached(), true);
  assert.deepEqual(told, [false, true]);
});
