// What a page costs a phone on a bad line: bytes, jumps, and the time until it
// responds to a tap.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { close, launch, PAGE, pretend, scene, shopper } from './browser.mjs';

const WIRE_LIMIT = 60 * 1024;
// Slow 4G as Lighthouse has it, and a phone with a quarter of this machine's pace.
const SLOW_4G = { offline: false, latency: 150, downloadThroughput: 1_600_000 / 8, uploadThroughput: 750_000 / 8 };
const SLOWER = 4;
// The best of these counts, since the test shares its machine.
const RUNS = 5;
const LIMIT_MS = 1_000;

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

test('on a slow phone on slow 4G the product page responds to a tap within a second', async (t) => {
  const runs = [];
  for (let i = 0; i < RUNS; i += 1) {
    const page = await shopper(browser);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Network.enable');
    await devtools.send('Network.emulateNetworkConditions', SLOW_4G);
    const got = share();
    await devtools.send('Emulation.setCPUThrottlingRate', { rate: Math.max(1, SLOWER * got) });
    await page.addInitScript(tapUntilAnswered);
    await page.goto(PAGE, { waitUntil: 'commit' });
    await page.locator('#login[open]').waitFor();
    runs.push(await page.evaluate((of) => ({
      share: of * 100,
      answered: window.answeredAt,
      painted: performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
      // What the page waited for: the files that came one after the other.
      files: performance.getEntriesByType('resource').filter((it) => it.responseEnd < window.answeredAt && !it.name.includes('/api/')).length,
    }), got));
    await close(page);
  }
  const listed = (of) => runs.map((it) => Math.round(it[of])).join(', ');
  t.diagnostic(`answers after ${listed('answered')} ms, painted after ${listed('painted')} ms, from ${listed('files')} files beside the page; of a processor there was ${listed('share')} %`);
  const best = Math.min(...runs.map((it) => it.answered));
  assert.ok(best <= LIMIT_MS, `at best after ${Math.round(best)} ms`);
});

/** The share of a processor that a busy process gets just now: other work slows a page already. */
function share() {
  const [began, used] = [performance.now(), process.cpuUsage()];
  while (performance.now() - began < 200);
  const { user, system } = process.cpuUsage(used);
  return Math.min(1, (user + system) / 1_000 / (performance.now() - began));
}

// Runs inside the page: an impatient finger on "Log in" until the dialog opens.
function tapUntilAnswered() {
  const finger = setInterval(() => {
    document.querySelector('#account')?.click();
    if (!document.querySelector('#login')?.open) return;
    window.answeredAt = performance.now();
    clearInterval(finger);
  }, 10);
}
