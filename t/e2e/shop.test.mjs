// A person buys in a real browser from a running shop.
//
//   BASE_URL        where the shop is, default http://127.0.0.1:8080
//   ROUND, PRODUCT  a product that opens between 8 s and 2 min after the start of this file
//   CHROMIUM        the browser, default /usr/bin/chromium
//   SCREENSHOTS     where pictures of every state go, default ./screenshots

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BASE_URL, edgeAhead, launch, logIn, notice, pretend, scene, shoot, shopper } from './browser.mjs';

const ROUND = process.env.ROUND ?? '1';
const PRODUCT = process.env.PRODUCT ?? '153';
const PAGE = `/product/${ROUND}-${PRODUCT}.html`;
const API = `${BASE_URL}/api/rounds/${ROUND}/products/${PRODUCT}`;
const UNTIL_OPEN = { timeout: 120_000 };
const WIRE_LIMIT = 60 * 1024;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const name = () => `e2e-${Math.random().toString(36).slice(2, 10)}`;

async function opensAt() {
  const sale = await (await fetch(`${API}/state`)).json();
  assert.equal(sale.state, 'scheduled', `round ${ROUND} product ${PRODUCT} must not have opened yet; set ROUND and PRODUCT`);
  return sale.opens_ms;
}

async function close(page) {
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

// Both wait for the same opening, so they wait together.
describe('at the opening', { concurrency: true }, () => {
  test('a shopper waits, buys and still sees the order after a reload', async () => {
    await opensAt();
    const page = await shopper(browser, { lang: 'en' });
    await logIn(page, name());
    await page.locator('.card').first().waitFor();
    await shoot(page, 'start');

    await page.locator(`.card[href$="/product/${ROUND}-${PRODUCT}.html"]`).first().click();
    await page.waitForURL(`**${PAGE}`);
    await page.locator('#product[data-scene=scheduled], #product[data-scene=soon]').waitFor();
    assert.equal(await page.getAttribute('#buy', 'aria-disabled'), 'true');
    await page.waitForFunction(() => /\d/.test(document.querySelector('.box').textContent));
    await shoot(page, 'waiting');

    await page.locator('#buy[aria-disabled=false]').waitFor(UNTIL_OPEN);
    await shoot(page, 'open');
    await page.click('#buy');
    await page.locator('#product:is([data-scene=sending],[data-scene=processing],[data-scene=reserved],[data-scene=ordered])').waitFor();
    assert.equal(await page.getAttribute('#buy', 'aria-disabled'), 'true');

    await scene(page, 'ordered').waitFor();
    const order = await page.textContent('#order');
    assert.match(order, /\S/);
    await shoot(page, 'ordered');

    await page.reload();
    await scene(page, 'ordered').waitFor();
    assert.equal(await page.textContent('#order'), order);
    assert.ok((await page.evaluate(() => window.seen.shift)) < 0.02, 'the page must not jump');
    await close(page);
  });

  test('the button opens on time in a browser whose clock is five minutes fast', async (t) => {
    const opens = await opensAt();
    const ahead = await edgeAhead();
    const page = await shopper(browser, { clockOffBy: 300_000 });
    await logIn(page, name());
    await page.goto(PAGE);
    await page.locator('#buy[aria-disabled=false]').waitFor(UNTIL_OPEN);
    const opened = await page.evaluate(() => window.seen.openedAt);
    const late = opened + ahead - opens;
    t.diagnostic(`the button opened ${late.toFixed(1)} ms after the edge's clock struck`);
    assert.ok(Math.abs(late) <= 250, `opened ${late.toFixed(1)} ms off`);
    await close(page);
  });
});

test('a page weighs no more than a phone on a bad line can bear', async (t) => {
  for (const url of ['/', PAGE]) {
    const page = await shopper(browser);
    const bodies = [];
    page.on('requestfinished', (request) => {
      if (!request.url().includes('/api/')) bodies.push(request.sizes().then((sizes) => sizes.responseBodySize));
    });
    await page.goto(url);
    await page.locator('#shop-time:not(:text("--"))').waitFor();
    const bytes = (await Promise.all(bodies)).reduce((a, b) => a + b, 0);
    t.diagnostic(`${url}: ${bytes} bytes over the wire`);
    assert.ok(bytes <= WIRE_LIMIT, `${url} weighs ${bytes} bytes; does the server compress text?`);
    assert.ok((await page.evaluate(() => window.seen.shift)) < 0.02, `${url} must not jump`);
    await close(page);
  }
});

test('a day without rounds says so', async () => {
  const page = await shopper(browser);
  await page.route('**/api/rounds*', (route) => route.fulfill({ json: { date: '2026-01-01', rounds: [] } }));
  await page.goto('/');
  await page.locator('[data-state="day.empty"]').waitFor();
  await shoot(page, 'no-rounds');
  await close(page);
});

test('without the demo login the page says that login is elsewhere', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await page.route('**/api/session', (route) =>
    route.fulfill({ status: route.request().method() === 'POST' ? 404 : 401, json: { code: 'login_required', message: '' } }));
  await page.goto('/');
  await page.fill('#user', 'ann');
  await page.keyboard.press('Enter');
  await page.locator('#login-form').waitFor({ state: 'hidden' });
  assert.match(await page.textContent('#login-note'), /demo login is off/);
  await close(page);
});

test('an early shopper who is not logged in is asked to, with the countdown running', async () => {
  const page = await shopper(browser);
  const opens_ms = Math.round(Date.now() + (await edgeAhead()) + 3_600_000 * 3);
  await pretend(page, { user: null, state: 'scheduled', times: { opens_ms, ends_ms: opens_ms + 600_000 } });
  await page.goto(PAGE);
  await scene(page, 'scheduled').waitFor();
  await page.locator('#action').waitFor();
  await shoot(page, 'login-wanted');
  await page.click('#action');
  await page.locator('#login[open]').waitFor();
  await shoot(page, 'login-dialog');
  await close(page);
});

test('a sold-out product reopens by itself within about a second of pieces coming back', async (t) => {
  const page = await shopper(browser);
  const show = await pretend(page, { state: 'sold_out' });
  await page.goto(PAGE);
  await scene(page, 'sold_out').waitFor();
  assert.equal(await page.getAttribute('#buy', 'aria-disabled'), 'true');
  await shoot(page, 'sold-out');
  show.state = 'open';
  const back = performance.now();
  await scene(page, 'open').waitFor({ timeout: 5_000 });
  const took = performance.now() - back;
  t.diagnostic(`reopened after ${took.toFixed(0)} ms`);
  assert.ok(took < 2_000);
  await close(page);
});

test('a round that is over says so and leads back to the others', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await pretend(page, { state: 'ended' });
  await page.goto(PAGE);
  await scene(page, 'ended').waitFor();
  await page.locator('#home').waitFor();
  await shoot(page, 'ended');
  await close(page);
});

const REFUSALS = [
  ['busy', [429, 'busy', { 'Retry-After': '2' }], 'zh-CN'],
  ['unavailable', [503, 'unavailable'], 'en'],
  ['blocked', [403, 'blocked'], 'zh-CN'],
];
for (const [code, buy, lang] of REFUSALS) {
  test(`refused as ${code}, the shopper reads why and the button rests, also over a reload`, async () => {
    const page = await shopper(browser, { lang });
    const show = await pretend(page, { buy });
    await page.goto(PAGE);
    await page.locator('#buy[aria-disabled=false]').click();
    await notice(page, code).waitFor();
    await page.locator('#buy[aria-disabled=true]').waitFor();
    assert.equal(show.bought.length, 1);
    await shoot(page, code);
    await page.reload();
    await scene(page, 'open').waitFor();
    assert.equal(await page.getAttribute('#buy', 'aria-disabled'), 'true');
    assert.match(await page.textContent('#buy-text'), /\d+/);
    await close(page);
  });
}

test('refused as sold out, the page says sold out and not busy', async () => {
  const page = await shopper(browser);
  const show = await pretend(page, { buy: [410, 'sold_out'] });
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').click();
  show.state = 'sold_out';
  await scene(page, 'sold_out').waitFor();
  await close(page);
});

test('an expired path is replaced silently and the purchase repeated as the same request', async () => {
  const page = await shopper(browser);
  const show = await pretend(page, { buy: [403, 'expired'] });
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').waitFor();
  await page.route('**/path', (route) => {
    show.buy = null;
    show.result = { status: 'processing' };
    return route.fallback();
  });
  await page.click('#buy');
  await scene(page, 'processing').waitFor();
  assert.equal(show.bought.length, 2);
  assert.equal(new Set(show.bought).size, 1);
  await close(page);
});

test('when no answer comes the page keeps asking, never claims failure, and shows the order', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const show = await pretend(page, { buy: 'no answer' });
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').click();
  await scene(page, 'lost').waitFor();
  await shoot(page, 'unknown');
  await page.reload();
  await scene(page, 'lost').waitFor();
  show.result = { status: 'processing' };
  await scene(page, 'processing').waitFor();
  await shoot(page, 'processing');
  show.result = { status: 'succeeded' };
  await scene(page, 'reserved').waitFor();
  await shoot(page, 'reserved');
  show.result = { status: 'ordered', order: '7301446294561' };
  await scene(page, 'ordered').waitFor();
  assert.equal(await page.textContent('#order'), '7301446294561');
  assert.equal(show.bought.length, 1);
  await shoot(page, 'ordered-later');
  await close(page);
});
