// What pages of the console decide without a browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shopLink } from '../../../html/console/rounds/products.js';
import { rectangle } from '../../../html/console/rounds/cut.js';
import { matching, reasonsOf } from '../../../html/console/findings.js';
import { percentDown } from '../../../html/console/numbers.js';
import { crowd, sums } from '../../../html/console/report.js';
import { summary } from '../../../html/console/simulation.js';

test('the part of a picture has the chosen ratio, and moves within the picture', () => {
  assert.equal(rectangle(600, 300, null, 0.5), null);
  assert.deepEqual(rectangle(600, 300, 1, 0), { x: 0, y: 0, width: 300, height: 300 });
  assert.deepEqual(rectangle(600, 300, 1, 1), { x: 300, y: 0, width: 300, height: 300 });
  assert.deepEqual(rectangle(300, 600, 4 / 3, 0.5), { x: 0, y: 188, width: 300, height: 225 });
  for (const at of [0, 0.33, 1]) {
    const { x, y, width, height } = rectangle(999, 777, 3 / 4, at);
    assert.ok(x + width <= 999 && y + height <= 777);
  }
});

test('a product is looked at where shoppers see it', () => {
  const here = { protocol: 'http:', hostname: 'console.example' };
  const link = (shop) => shopLink('/product/1-153.html', shop, here);
  assert.equal(link({ shopUrl: 'https://shop.example/', shopPort: '8080' }), 'https://shop.example/product/1-153.html');
  assert.equal(link({ shopUrl: '', shopPort: '8080' }), 'http://console.example:8080/product/1-153.html');
});

test('suspects are found by name and by reason, reasons counted once for each', () => {
  const finding = (subject, ...codes) => ({ subject, reasons: codes.map((code) => ({ code })) });
  const all = [finding('bot-1', 'pace', 'even'), finding('bot-2', 'pace', 'pace'), finding('10.0.0.1', 'company')];
  assert.deepEqual(reasonsOf(all), [['pace', 2], ['even', 1], ['company', 1]]);
  assert.deepEqual(matching(all, { text: 'BOT', reason: '' }).map((it) => it.subject), ['bot-1', 'bot-2']);
  assert.deepEqual(matching(all, { text: '', reason: 'even' }).map((it) => it.subject), ['bot-1']);
});

test('a simulation ends with sentences about people, bots and bans', () => {
  const group = (actors, ordered, blocked) => ({ actors, ordered, blocked });
  const keys = (report) => summary(report).map(([key]) => key);
  assert.deepEqual(keys({ people: group(20, 3, 0), bots: group(30, 27, 0) }), ['sim.sum.people', 'sim.sum.bots', 'sim.sum.free']);
  assert.equal(summary({ people: group(20, 3, 0), bots: group(30, 27, 0) })[1][1].percent, 90);
  assert.deepEqual(keys({ people: group(20, 3, 0), bots: group(0, 0, 0) }), ['sim.sum.people']);
  assert.equal(summary({ people: group(9, 0, 0), bots: group(9, 0, 9) })[2][0], 'sim.sum.blocked');
});

test('a report sums what was sold, and says how long a product lasted only if it was sold out', () => {
  const product = (id, amount, paid, unpaid, more = {}) => ({
    id, amount, price_cents: 1_000, list_price_cents: 3_000, orders: paid + unpaid, paid_items: paid, paid_cents: paid * 1_000,
    unpaid_items: unpaid, cancelled_items: 0, failed_items: 0, first_ms: 1_500, last_ms: 9_000, ...more,
  });
  const all = sums({ starts_ms: 1_000, products: [product('a', 10, 8, 2), product('b', 30, 5, 0), product('c', 0, 0, 0, { last_ms: null })] });
  assert.equal(all.cents, 13_000);
  assert.equal(all.saved, 26_000);
  assert.equal(all.sold, 15 / 40);
  assert.deepEqual(all.out, { a: 8_000, b: null, c: null });
});

test('a share is rounded down, and no less than it is', () => {
  assert.equal(percentDown(29 / 100), '29%');
  assert.equal(percentDown(999 / 1_000), '99%', 'one is left');
  assert.equal(percentDown(1), '100%');
  assert.equal(percentDown(0.0999, 1), '9.9%');
  for (let n = 1; n <= 200; n += 1) for (let k = 0; k <= n; k += 1) assert.equal(percentDown(k / n), `${Math.floor((k * 100) / n)}%`);
});

test('a report says how many requests came for an item only where they were for its round, and more than one', () => {
  assert.equal(crowd({ requests: 80, requests_shared: false }, 100), null);
  assert.equal(crowd({ requests: 250, requests_shared: false }, 100), 2.5);
  assert.equal(crowd({ requests: 52_345, requests_shared: false }, 100), 523);
  assert.equal(crowd({ requests: 52_345, requests_shared: true }, 100), null, 'others sold meanwhile');
  assert.equal(crowd({ requests: null, requests_shared: false }, 100), null);
  assert.equal(crowd({ requests: 100, requests_shared: false }, 0), null);
});
