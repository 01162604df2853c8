// What the product page and the start page say when something is not as usual.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { close, edgeAhead, launch, notice, PAGE, pretend, scene, shopper } from './browser.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

test('a day without rounds says so', async () => {
  const page = await shopper(browser);
  await page.route('**/api/rounds*', (route) => route.fulfill({ json: { date: '2026-01-01', rounds: [] } }));
  await page.goto('/');
  await page.locator('[data-state="day.empty"]').waitFor();
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
  await page.click('#action');
  await page.locator('#login[open]').waitFor();
  await close(page);
});

test('a sold-out product reopens by itself within about a second of pieces coming back', async (t) => {
  const page = await shopper(browser);
  const show = await pretend(page, { state: 'sold_out' });
  await page.goto(PAGE);
  await scene(page, 'sold_out').waitFor();
  assert.equal(await page.getAttribute('#buy', 'aria-disabled'), 'true');
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

test('without a response the page keeps polling, never claims failure, and shows the order', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const show = await pretend(page, { buy: 'no answer' });
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').click();
  await scene(page, 'lost').waitFor();
  await page.reload();
  await scene(page, 'lost').waitFor();
  show.result = { status: 'processing' };
  await scene(page, 'processing').waitFor();
  show.result = { status: 'succeeded' };
  await scene(page, 'reserved').waitFor();
  show.result = { status: 'ordered', order: '7301446294561' };
  await scene(page, 'ordered').waitFor();
  assert.equal(await page.textContent('#order'), '7301446294561');
  assert.equal(show.bought.length, 1);
  await close(page);
});
