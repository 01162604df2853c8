// What the console's editor makes of what was typed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useZone } from '../../../html/console/i18n.js';
import { money, useCurrency } from '../../../html/console/i18n.js';
import { cents, epoch, fromRound, toForm, wallClock, whole } from '../../../html/console/rounds/draft.js';

test('prices are read as people write them, and what is none goes as it was typed', () => {
  assert.equal(cents('999'), 99_900);
  assert.equal(cents('999.5'), 99_950);
  assert.equal(cents(' ¥1,299.00 '), 129_900);
  assert.equal(cents('-3'), -300);
  assert.equal(cents(''), null);
  assert.equal(cents('9.999'), '9.999');
  assert.equal(cents('cheap'), 'cheap');
  useCurrency({ sign: 'HK$', digits: 2 });
  assert.equal(cents('HK$ 1,299.5'), 129_950);
  useCurrency({ sign: '¥', digits: 0 });
  assert.deepEqual([cents('¥1,299'), cents('1299.5'), money(1_299)], [1_299, '1299.5', '¥1,299']);
  useCurrency({ sign: '¥', digits: 2 });
  assert.equal(whole('1,000'), 1000);
  assert.equal(whole('1.5'), '1.5');
  assert.equal(whole(''), null);
});

test('times are those of the shop, whatever the zone of the browser, also where clocks change', () => {
  useZone('Asia/Shanghai');
  assert.equal(epoch('2026-11-23T12:00:00'), 1_795_406_400_000);
  assert.equal(epoch('2026-11-23T12:00'), 1_795_406_400_000);
  assert.equal(wallClock(1_795_406_400_000), '2026-11-23T12:00:00');
  useZone('Europe/Berlin');
  for (const time of ['2026-10-25T01:30:00', '2026-10-25T04:30:00', '2026-03-29T05:00:00', '2026-07-01T00:00:00']) {
    assert.equal(wallClock(epoch(time)), time);
  }
  assert.equal(epoch(''), null);
  useZone('Asia/Shanghai');
});

test('a stored round that nobody touched goes back as it came', () => {
  const product = { id: '153', title: 'Phone', amount: 10, price_cents: 99_905, list_price_cents: 100_000, per_buyer: 2, segments: [], text: 'a\n\nb', picture: 'p.webp', picture_alt: ['Front'], page: '/x' };
  // A sale file may say "+10m", which is hardly ever a whole second.
  const round = { id: '7', version: 3, name: 'Noon', starts_ms: 1_795_406_400_321, ends_ms: 1_795_410_000_999, products: [product] };
  const form = toForm(fromRound(round), false);
  const { page, segments, ...sent } = product;
  assert.deepEqual(form, { name: 'Noon', starts_ms: round.starts_ms, ends_ms: round.ends_ms, version: 3, products: [sent] });
  const draft = fromRound(round);
  assert.equal(toForm({ ...draft, ends: '2026-11-23T13:00:01' }, false).ends_ms, 1_795_410_001_000);
  assert.equal(toForm({ ...draft, ends: draft.ends }, false).ends_ms, round.ends_ms);
});
