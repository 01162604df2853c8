// What a page costs a phone on a bad line: bytes, jumps, and the time until it
// answers to a finger.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { close, launch, PAGE, pretend, scene, shopper } from './browser.mjs';

const WIRE_LIMIT = 60 * 1024;
// Slow 4G as Lighthouse has it, and a phone with a quarter of this machine's pace.
const SLOW_4G = { offline: false, latency: 150, downloadThroughput: 1_600_000 / 8, uploadThroughput: 750_000 / 8 };
const SLOWER = 4;
const RUNS = 3;
// The aim is a second. The test allows more, since it shares its machine.
const AIM_MS = 1_000;
const LIMIT_MS = 3_000;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

test('a page weighs no more than a phone on a bad line can bear', async (t) => {
  for (const url of ['/', PAGE, '/orders.html', '/order.html?order=1']) {
    const page = await shopper(browser);
    const parts = [];
    page.on('requestfinished', (request) => {
      if (request.url().includes('/api/')) return;
      parts.push(Promise.all([request.sizes(), request.response()]).then(([sizes, response]) => ({
        bytes: sizes.responseBodySize,
        picture: /^image\/(?!svg)/.test(response.headers()['content-type'] ?? ''),
      })));
    });
    await page.goto(url, { waitUntil: 'networkidle' });
    const bytes = (await Promise.all(parts)).reduce((sum, it) => sum + (it.picture ? 0 : it.bytes), 0);
    t.diagnostic(`${url}: ${bytes} bytes over the wire in ${parts.length} answers`);
    assert.ok(bytes <= WIRE_LIMIT, `${url} weighs ${bytes} bytes; does the server compress text?`);
    const shift = await page.evaluate(() => window.seen.shift);
    assert.ok(shift < 0.02, `${url} jumps by ${shift}`);
    await close(page);
  }
});

test('from opening to the order nothing on the page jumps', async () => {
  for (const viewport of [{ width: 390, height: 844 }, { width: 1280, height: 900 }]) {
    const page = await shopper(browser);
    await page.setViewportSize(viewport);
    const show = await pretend(page, { state: 'open' });
    await page.goto(PAGE);
    await page.locator('#buy[aria-disabled=false]').click();
    show.result = { status: 'processing' };
    await scene(page, 'processing').waitFor();
    show.result = { status: 'succeeded' };
    await scene(page, 'reserved').waitFor();
    show.order = { order: '7301446294561', pay_by_ms: Date.now() + 590_000, total_cents: 99_900 };
    show.result = { status: 'ordered', order: '7301446294561' };
    await page.locator('#pay-line:not([hidden])').waitFor();
    const shift = await page.evaluate(() => window.seen.shift);
    assert.ok(shift < 0.02, `at ${viewport.width} px it jumps by ${shift}`);
    await close(page);
  }
});

test('on a slow phone on slow 4G the product page answers within a second', async (t) => {
  const times = [];
  for (let i = 0; i < RUNS; i += 1) {
    const page = await shopper(browser);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Network.enable');
    await devtools.send('Network.emulateNetworkConditions', SLOW_4G);
    await devtools.send('Emulation.setCPUThrottlingRate', { rate: SLOWER });
    await page.goto(PAGE, { waitUntil: 'commit' });
    // Answering: the scripts have run and the button is wired, and no task since
    // has kept a finger waiting.
    times.push(await page.evaluate(() => new Promise((done) => {
      const look = () => (document.documentElement.dataset.ready ? done(Number(document.documentElement.dataset.ready)) : setTimeout(look, 10));
      look();
    })));
    await close(page);
  }
  const best = Math.min(...times);
  t.diagnostic(`answers after ${times.map((ms) => Math.round(ms)).join(', ')} ms (aim: ${AIM_MS} ms)`);
  assert.ok(best <= LIMIT_MS, `at best after ${Math.round(best)} ms`);
});
