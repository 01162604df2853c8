// What a page costs a phone on a bad line: bytes, jumps, and what it has to wait for
// before it responds to a tap. How long that takes, bench/page.sh measures.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { close, launch, PAGE, pretend, scene, shopper } from './browser.mjs';

const WIRE_LIMIT = 60 * 1024;
// All scripts and style sheets, in all languages (docs/names.md).
const ALL_LIMIT = 80_000;
// Style sheets and scripts that must arrive before the page responds.
const FILES_LIMIT = 12;

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

test('all scripts and style sheets of the shop stay within their budget', (t) => {
  const folder = `${process.env.SECKILL_DATA}/pages/assets`;
  const names = readdirSync(folder).filter((name) => /\.(js|css|svg)$/.test(name));
  assert.ok(names.length >= 20, `${folder} has ${names.length} of them`);
  const texts = names.map((name) => readFileSync(`${folder}/${name}`));
  const bytes = texts.reduce((sum, text) => sum + gzipSync(text, { level: 9 }).length, 0);
  t.diagnostic(`${names.length} files, ${bytes} bytes compressed`);
  assert.ok(bytes <= ALL_LIMIT, `${bytes} bytes`);
  const commented = names.filter((name, at) => /^\s*(\/\*\*|\/\/ )/m.test(texts[at].toString()));
  assert.deepEqual(commented, [], 'published with comments');
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

test('the product page responds to a tap before any picture or response of the API is there', async (t) => {
  const page = await shopper(browser);
  const held = [];
  const needed = [];
  // Never answered: what a phone on a bad line waits for longest.
  await page.route((url) => url.pathname !== PAGE, (route) => {
    const { pathname } = new URL(route.request().url());
    if (/\.(css|js)$/.test(pathname)) {
      needed.push(pathname);
      return route.continue();
    }
    held.push(pathname);
    return undefined;
  });
  await page.goto(PAGE, { waitUntil: 'commit' });
  // A slow machine may show the button before its scripts have run: then nobody has it
  // yet, and the next tap is the one that counts.
  const login = page.locator('#login[open]');
  for (const deadline = Date.now() + 30_000; !(await login.isVisible());) {
    assert.ok(Date.now() < deadline, 'a tap on the account opens no login');
    await page.locator('#account').click();
    await login.waitFor({ timeout: 2_000 }).catch(() => {});
  }
  t.diagnostic(`needed beside the page: ${needed.join(' ')}; held back: ${held.join(' ')}`);
  assert.ok(held.length > 0, 'nothing was held back, so that this shows nothing');
  assert.ok(needed.length <= FILES_LIMIT, `the page waits for ${needed.length} files`);
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await close(page);
});
