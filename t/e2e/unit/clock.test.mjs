import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EdgeClock, resampleAfter } from '../../../html/static/assets/clock.js';

const EDGE = 1_795_000_000_000;

test('trusts the response with the shortest round trip, wherever it comes in the row', () => {
  const clock = new EdgeClock();
  clock.add(0, 300, EDGE + 290); // slow, and lopsided: 140 ms wrong
  clock.add(400, 410, EDGE + 405);
  clock.add(500, 700, EDGE + 520); // slow the other way
  assert.ok(Math.abs(clock.now(1_000) - (EDGE + 1_000)) < 1);
  assert.ok(clock.doubt(1_000) < 6);
});

test('is never more wrong than it says', () => {
  const clock = new EdgeClock();
  clock.add(0, 80, EDGE + 75);
  assert.ok(Math.abs(clock.now(100) - (EDGE + 100)) <= clock.doubt(100));
});

test('corrects a small error smoothly, without a jump and without running backwards', () => {
  const clock = new EdgeClock();
  for (let i = 0; i < 4; i += 1) clock.add(i * 100, i * 100 + 60, EDGE + i * 100 + 58); // 28 ms ahead
  clock.now(1_000);
  clock.add(1_000, 1_004, EDGE + 1_002);
  let last = clock.now(1_004);
  for (let mono = 1_005; mono < 2_000; mono += 1) {
    const now = clock.now(mono);
    const step = now - last;
    assert.ok(step > 0.85 && step < 1.15, `a millisecond took ${step}`);
    last = now;
  }
  assert.ok(Math.abs(last - (EDGE + 1_999)) < 1);
});

test('after a sleep in which the monotonic clock stood still, the next response is adopted at once', () => {
  const clock = new EdgeClock();
  for (let i = 0; i < 6; i += 1) clock.add(i * 100, i * 100 + 4, EDGE + i * 100 + 2);
  clock.add(1_000, 1_100, EDGE + 600_000);
  assert.ok(Math.abs(clock.now(1_100) - (EDGE + 600_050)) < 1);
});

test('follows a quartz that drifts, because old responses lose their weight', () => {
  const clock = new EdgeClock();
  const drift = 1.00005;
  for (let mono = 0; mono < 1_200_000; mono += 30_000) clock.add(mono, mono + 20, EDGE + (mono + 10) * drift);
  assert.ok(Math.abs(clock.now(1_201_000) - (EDGE + 1_201_000 * drift)) < 5);
});

test('samples more often in the last minute', () => {
  assert.equal(resampleAfter(3_600_000), 30_000);
  assert.equal(resampleAfter(45_000), 10_000);
  assert.equal(resampleAfter(5_000), 3_000);
  assert.equal(resampleAfter(-5_000), 30_000);
});
