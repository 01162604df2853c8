import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OLD_MS, shareOf } from '../../../html/static/assets/left.js';
import { onOffer, others } from '../../../html/static/assets/more.js';
import { load, save } from '../../../html/static/assets/store.js';
import { calendar, dueReminders, giveReminders, LEAD_MS, movedReminders, upcomingReminders } from '../../../html/static/assets/remind.js';

test('a reminder is given once, in the minute before the opening', () => {
  const at = 1_000_000;
  const all = { noon: { at }, past: { at: 10 } };
  assert.deepEqual(dueReminders(all, at - LEAD_MS - 1), []);
  assert.deepEqual(dueReminders(all, at - LEAD_MS).map(([round]) => round), ['noon']);
  assert.deepEqual(dueReminders({ noon: { at, given: true } }, at - 1), []);
  assert.deepEqual(dueReminders(all, at), []);
  assert.deepEqual(Object.keys(upcomingReminders(all, 20)), ['noon']);
});

test('a reminder follows the start that an edit moved', () => {
  const all = { noon: { at: 1_000, given: true, text: 'a' }, late: { at: 9_000 } };
  assert.equal(movedReminders(all, { noon: 1_000, other: 5 }), null);
  assert.equal(movedReminders(null, { noon: 1_000 }), null);
  assert.deepEqual(movedReminders(all, { noon: 2_000 }), { noon: { at: 2_000, given: false, text: 'a' }, late: { at: 9_000 } });
});

test('a reminder that was given is not given again when the storage is full', (t) => {
  const stored = { 'seckill:reminders': JSON.stringify({ 7: { at: 100_000, title: 'Soon', text: 'a', url: '/' } }) };
  globalThis.localStorage = {
    getItem: (key) => stored[key] ?? null,
    setItem: () => {
      throw new Error('full');
    },
  };
  t.after(() => delete globalThis.localStorage);
  let given = 0;
  for (let i = 0; i < 3; i += 1) giveReminders(90_000 + i, () => { given += 1; });
  assert.equal(given, 1);
  save('seckill:other', 1);
  assert.equal(load('seckill:other'), 1);
});

test('a calendar file has times in UTC, escaped texts and folded lines', () => {
  const file = calendar({ id: 'x@shop', title: `午间秒杀, ${'很长的名字'.repeat(12)}; a`, url: 'http://shop/', from: Date.UTC(2026, 10, 28, 4), to: Date.UTC(2026, 10, 28, 5), now: 0 });
  assert.match(file, /DTSTART:20261128T040000Z\r\n/);
  assert.match(file, /DTEND:20261128T050000Z\r\n/);
  assert.ok(file.includes('午间秒杀\\,'));
  for (const line of file.split('\r\n')) assert.ok(new TextEncoder().encode(line).length <= 75, line);
  assert.ok(file.replaceAll('\r\n ', '').includes(`SUMMARY:午间秒杀\\, ${'很长的名字'.repeat(12)}\\; a`));
});

test('what is left is shown as long as it is new, and never called all before it is', () => {
  const file = { at_ms: 100_000, left: { '1-153': [1, 1_000], '1-154': [0, 10] } };
  assert.deepEqual(shareOf(file, '1-153', 100_500), { left: 1, percent: 99 });
  assert.deepEqual(shareOf(file, '1-154', 100_500), { left: 0, percent: 100 });
  assert.equal(shareOf(file, '1-153', 100_001 + OLD_MS), null);
  assert.equal(shareOf(file, '1-9', 100_500), null);
  assert.equal(shareOf(null, '1-153', 100_500), null);
  assert.equal(shareOf(file, '1-153', null), null);
});

test('other sales are those that are on or to come, without this one', () => {
  const round = (id, from, to, ...products) => ({ id, starts_ms: from, ends_ms: to, products: products.map((it) => ({ id: it, page: `/product/${id}-${it}.html` })) });
  const rounds = [round('a', 0, 10, 'over'), round('b', 200, 300, 'later'), round('c', 50, 150, 'x', 'y')];
  assert.deepEqual(others(rounds, '/product/c-x.html', 100).map((it) => it.id), ['y', 'later']);
});

test('what was ended early, is paused or sold out is not offered instead', async () => {
  const states = { a: 'ended', b: 'open', c: 'paused', d: 'sold_out', e: 'scheduled', f: 'open' };
  const asked = [];
  const found = await onOffer(Object.keys(states).map((id) => ({ id })), async ({ id }) => {
    asked.push(id);
    return states[id];
  });
  assert.deepEqual(found.map((it) => [it.id, it.state]), [['b', 'open'], ['e', 'scheduled'], ['f', 'open']]);
  assert.deepEqual((await onOffer([...'aaaaaab'].map((id) => ({ id })), async ({ id }) => states[id])), []);
});
