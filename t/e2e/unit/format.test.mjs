import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countdown, nearDay, percentOff, price, span, timeOfDay } from '../../../html/static/assets/format.js';
import { inOrder, leftOf, productAt, roundAt, wholeAt } from '../../../html/static/assets/round.js';

test('counts hours, minutes and seconds until the last minute, then tenths', () => {
  assert.deepEqual(countdown(3_723_000).boxes, ['01', '02', '03']);
  assert.deepEqual(countdown(60_001).boxes, ['00', '01', '01']);
  assert.deepEqual(countdown(60_000).boxes, ['01', '00', '0']);
  assert.deepEqual(countdown(9_350).boxes, ['00', '09', '4']);
});

test('shows zero only when nothing is left', () => {
  assert.deepEqual(countdown(1).boxes, ['00', '00', '1']);
  assert.deepEqual(countdown(0).boxes, ['00', '00', '0']);
  assert.deepEqual(countdown(-500).boxes, ['00', '00', '0']);
});

test('names days apart from hours', () => {
  const { days, boxes } = countdown(86_400_000 * 2 + 3_600_000);
  assert.equal(days, 2);
  assert.deepEqual(boxes, ['01', '00', '00']);
});

test('never promises more discount than is given', () => {
  assert.equal(price(99_900), '999.00');
  assert.deepEqual([price(99_900, 0), price(1_500, 3)], ['99900', '1.500']);
  assert.equal(percentOff(99_900, 399_900), 75);
  assert.equal(percentOff(100, 100), 0);
  assert.equal(percentOff(200, 100), 0);
});

test('puts rounds that are on first, then the next, then those that are over', () => {
  const rounds = [
    { id: 'over', starts_ms: 0, ends_ms: 10 },
    { id: 'later', starts_ms: 300, ends_ms: 400 },
    { id: 'next', starts_ms: 200, ends_ms: 300 },
    { id: 'on', starts_ms: 50, ends_ms: 150 },
  ];
  assert.deepEqual(inOrder(rounds, 100).map((r) => r.id), ['on', 'next', 'later', 'over']);
  assert.equal(roundAt(rounds[3], 150), 'ended');
  assert.equal(leftOf(rounds[2], 100), 100);
  assert.equal(leftOf(rounds[0], 100), null);
});

test('a time across midnight has both days, one of another day has its day, and no second is dropped', () => {
  const at = (day, ...time) => new Date(2026, 10, day, ...time).getTime();
  assert.equal(span(at(28, 10), at(28, 11), at(28, 9), 'en'), '10:00 – 11:00');
  assert.equal(span(at(28, 23, 50), at(29, 0, 20), at(28, 9), 'en'), 'Nov 28 23:50 – Nov 29 00:20');
  assert.equal(span(at(29, 10), at(29, 11), at(28, 9), 'en'), 'Nov 29 10:00 – 11:00');
  assert.equal(timeOfDay(at(28, 23, 39, 58), 'en'), '23:39:58');
});

test('says of a round yesterday, today or tomorrow only what is true', () => {
  const at = (day, hour) => new Date(2026, 10, day, hour).getTime();
  const now = at(29, 0);
  assert.equal(nearDay(at(28, 23), now, 'en'), 'Yesterday');
  assert.equal(nearDay(at(28, 0), now, 'zh-CN'), '昨天');
  assert.equal(nearDay(at(29, 23), now, 'en'), 'Today');
  assert.equal(nearDay(at(30, 0), now, 'zh-CN'), '明天');
  assert.equal(nearDay(at(27, 23), now, 'en'), 'Nov 27');
});

test('the edge knows what the calendar does not: pauses, early ends and withdrawals', () => {
  for (const said of ['paused', 'ended', 'withdrawn']) {
    assert.equal(productAt('open', said), said);
    assert.equal(productAt('scheduled', said), said);
  }
  assert.equal(productAt('open', 'sold_out'), 'sold_out');
  assert.equal(productAt('open', 'open'), 'open');
  // The last word came before the opening, or before the end.
  assert.equal(productAt('open', 'scheduled'), 'open');
  assert.equal(productAt('ended', 'paused'), 'ended');
  assert.equal(productAt('scheduled', undefined), 'scheduled');
});

test('a round is paused or over when nothing of it is sold', () => {
  assert.equal(wholeAt('open', ['paused', 'open']), 'open');
  assert.equal(wholeAt('open', ['paused', 'sold_out']), 'open');
  assert.equal(wholeAt('open', ['paused', 'ended']), 'paused');
  assert.equal(wholeAt('open', ['ended', 'withdrawn']), 'ended');
  assert.equal(wholeAt('scheduled', ['withdrawn']), 'withdrawn');
  assert.equal(wholeAt('open', []), 'open');
});
