// What the live board decides without a browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { business } from '../../../html/console/board/business.js';
import { follow } from '../../../html/console/board/feed.js';
import { Columns, KEPT, grouped, livingEdges, parts, patched, shownState, steps } from '../../../html/console/board/patch.js';

test('a patch changes what it names, and the rest stays the very same object', () => {
  const before = { alerts: [1], products: { a: { sale: 1, locked: 2 }, b: { sale: 3 } } };
  const after = patched(before, { products: { a: { sale: 0, locked: null }, c: { sale: 5 } } });
  assert.deepEqual(after, { alerts: [1], products: { a: { sale: 0 }, b: { sale: 3 }, c: { sale: 5 } } });
  assert.equal(after.products.b, before.products.b);
  assert.equal(after.alerts, before.alerts);
  assert.equal(before.products.a.sale, 1, 'what was shown is not changed under the one who shows it');
  assert.deepEqual(patched(after, { alerts: [] }).alerts, []);
});

test('the funnel shows each step as a share of the one above, and never items as a share of requests', () => {
  const { requests, items } = steps({ received: 100_000, admitted: 32, offered: 50, purchased: 33, ordered: 30 });
  assert.deepEqual(requests.map(({ name, n }) => [name, n]), [['received', 100_000], ['admitted', 32]]);
  assert.deepEqual(items.map(({ name, n }) => [name, n]), [['offered', 50], ['purchased', 33], ['ordered', 30], ['paid', null]]);
  assert.equal(requests[1].ofAbove, 0.00032);
  assert.equal(items[0].ofAbove, null, 'items are no share of requests');
  assert.equal(items[1].ofAbove, 0.66);
  assert.equal(items[3].ofAbove, null);
});

test('edges are counted by those that respond, and by their heartbeats where none is listed', () => {
  assert.equal(livingEdges({ edges: { 'a:80': { up: true }, 'b:80': { up: false } }, living_edges: 1 }), 1);
  assert.equal(livingEdges({ edges: {}, living_edges: 3 }), 3);
});

test('a bar is made of the three stocks, and is never longer than itself', () => {
  assert.deepEqual(parts({ sale: 50, locked: 30, saled: 20, limit: 100 }), { saled: 20, locked: 30, sale: 50, moving: 0 });
  const off = parts({ sale: 150, locked: 30, saled: 20, limit: 100 });
  assert.equal(off.sale + off.locked + off.saled, 100);
  assert.equal(parts({ sale: -5, locked: 0, saled: 0, limit: 0 }).sale, 0);
});

test('rounds that sell come first, and products are found by name or id', () => {
  const rounds = {
    1: { state: 'ended', starts_ms: 1, ends_ms: 2 },
    2: { state: 'scheduled', starts_ms: 9, ends_ms: 10 },
    3: { state: 'open', starts_ms: 5, ends_ms: 10 },
    4: { state: 'ended', starts_ms: 3, ends_ms: 4 },
  };
  const product = (round, id, title, position, sale) => ({ round, product: id, title, position, sale, limit: 100, locked: 100 - sale, saled: 0 });
  const products = {
    '3::a': product('3', 'a', 'Phone', 1, 90),
    '3::b': product('3', 'b', 'Earphones', 0, 10),
    '2::c': product('2', 'c', 'Kettle', 0, 100),
    '1::d': product('1', 'd', 'Lamp', 0, 0),
    '4::e': product('4', 'e', 'Lamp', 0, 0),
  };
  const names = (options) => grouped(rounds, products, options).map(({ id, products: of }) => [id, of.map((it) => it.product).join('')]);
  assert.deepEqual(names(), [['3', 'ba'], ['2', 'c'], ['4', 'e'], ['1', 'd']]);
  assert.deepEqual(names({ text: 'PHONE', by: 'sold' }), [['3', 'ba']]);
  assert.deepEqual(names({ text: 'a', by: 'left' })[0], ['3', 'ba']);
  assert.deepEqual(names({ text: 'nothing like it' }), []);
});

test('the charts keep five minutes, leave gaps where nothing is known, and take in new edges', () => {
  const columns = new Columns({ at_ms: [1000], edges: { a: [1] }, admitted: [1], orders: [null], depth: [0], age_ms: [null] });
  const board = (at, edges) => ({ at_ms: at, edges, orders: { per_second: 2 }, queue: { depth: 3 } });
  columns.add(board(1400, { a: { received_per_second: 5, admitted_per_second: 1 } }));
  columns.add(board(1400, { a: { received_per_second: 9 } }));
  assert.deepEqual(columns.edges.a, [1, 5]);
  columns.add(board(9000, { a: {}, b: { received_per_second: 7 } }));
  assert.deepEqual(columns.edges, { a: [1, 5, null, null], b: [null, null, null, 7] });
  assert.deepEqual(columns.orders, [null, 2, null, 2]);
  for (let at = 9400; at < 9400 + 400 * KEPT; at += 400) columns.add(board(at, {}));
  assert.equal(columns.at.length, KEPT);
  for (const column of [columns.edges.a, columns.edges.b, columns.depth]) assert.equal(column.length, KEPT);
});

test('the business of the rounds that are on: money, share sold, and when it is sold out at this pace', () => {
  const rounds = { 1: { state: 'open', items_per_second: 5 }, 2: { state: 'ended' } };
  const product = (round, sale, locked, saled) => ({ round, sale, locked, saled, limit: sale + locked + saled, paid_cents: saled * 1_000, unpaid_cents: locked * 1_000 });
  const products = { a: product('1', 50, 20, 30), b: product('2', 0, 0, 900) };
  const now = business({ rounds, products });
  assert.deepEqual(now, { revenue: 30_000, awaiting: 20_000, sold: 0.5, out_s: 10 });
  assert.equal(business({ rounds: { ...rounds, 1: { state: 'open', items_per_second: 0 } }, products }).out_s, null, 'nothing is sold at the moment');
  const gone = { a: product('1', 0, 0, 100) };
  assert.equal(business({ rounds, products: gone }).out_s, 0);
});

test('money is that of the orders, not of what the stock would cost at the price of now', () => {
  const rounds = { 1: { state: 'open' } };
  const product = { round: '1', sale: 5, locked: 2, saled: 3, limit: 10, price_cents: 40, paid_cents: 300, unpaid_cents: 200 };
  const { revenue, awaiting } = business({ rounds, products: { a: product } });
  assert.deepEqual({ revenue, awaiting }, { revenue: 300, awaiting: 200 });
  const { paid_cents: _, ...uncounted } = product;
  assert.equal(business({ rounds, products: { a: product, b: uncounted } }).revenue, null, 'the database has not counted yet');
});

test('what is stopped for good is offered no more, keeps its money, and a pause promises no time', () => {
  const product = (round, sale, locked, more = {}) => ({ round, sale, locked, saled: 0, limit: sale + locked, paid_cents: 0, unpaid_cents: locked * 100, ...more });
  const open = { state: 'open', items_per_second: 2 };
  const products = { a: product('1', 60, 40), b: product('1', 90, 10, { stop: 'withdrawn' }), c: product('1', 95, 5, { stop: 'ended' }) };
  assert.deepEqual(business({ rounds: { 1: open }, products }), { revenue: 0, awaiting: 5_500, sold: 0.4, out_s: 30 });
  const paused = business({ rounds: { 1: { ...open, stop: 'paused' } }, products: { ...products, a: { ...products.a, stop: 'paused' } } });
  assert.deepEqual([paused.awaiting, paused.sold, paused.out_s], [5_500, 0.4, null]);
  const other = { d: product('2', 10, 30) };
  const withdrawn = { ...open, stop: 'withdrawn' };
  assert.equal(business({ rounds: { 1: withdrawn, 2: open }, products: { ...products, ...other } }).awaiting, 3_000, 'a withdrawn round is not on');
  assert.equal(business({ rounds: { 1: { state: 'ended' } }, products: { c: { ...products.c, stop: 'ended' } } }).sold, 0.05, 'a round that is over was offered as a whole');
});

test('a round that was withdrawn stands among those that are over, one that is paused where it was', () => {
  const rounds = {
    1: { state: 'open', stop: 'withdrawn', starts_ms: 1, ends_ms: 9 },
    2: { state: 'open', stop: 'paused', starts_ms: 5, ends_ms: 10 },
    3: { state: 'scheduled', starts_ms: 9, ends_ms: 10 },
  };
  const product = (round) => ({ round, product: 'a', title: 'Phone', position: 0, sale: 1, limit: 1, locked: 0, saled: 0 });
  const order = grouped(rounds, { '1::a': product('1'), '2::a': product('2'), '3::a': product('3') });
  assert.deepEqual(order.map(({ id }) => id), ['2', '3', '1']);
  assert.deepEqual(order.map(({ round }) => shownState(round)), ['paused', 'scheduled', 'withdrawn']);
});

test('what is not known is missing from the first board, as it is after a patch', () => {
  const heard = {};
  globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
  globalThis.EventSource = class {
    addEventListener(name, hear) {
      heard[name] = hear;
    }

    close() {}
  };
  const boards = [];
  const leave = follow({ onBoard: (board) => boards.push(board), onState() {} });
  heard.snapshot({ data: JSON.stringify({ board: { queue: { depth: null, age_ms: null, outbox: 0 } }, history: {} }) });
  heard.patch({ data: JSON.stringify({ queue: { outbox: null } }) });
  leave();
  assert.deepEqual(boards, [{ queue: { outbox: 0 } }, { queue: {} }]);
});
