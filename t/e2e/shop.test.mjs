// What the product page and the start page say when something is not as usual.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from './buyer.mjs';
import { close, edgeAhead, launch, notice, PAGE, pretend, scene, shoot, shopper } from './browser.mjs';

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

test('an open page follows an edit: times, title, price, amount and limit', async () => {
  const page = await shopper(browser);
  const opens_ms = Date.now() + 3_600_000;
  const show = await pretend(page, { state: 'scheduled', times: { opens_ms, ends_ms: opens_ms + 600_000 } });
  let edit = (html) => html;
  const stamped = (html, opens) => html.replace(/data-opens="\d+"/, `data-opens="${opens}"`).replace(/data-ends="\d+"/, `data-ends="${opens + 600_000}"`);
  await page.route(`**${PAGE}`, async (route) => {
    const response = await route.fetch();
    return route.fulfill({ response, body: edit(stamped(await response.text(), show.times.opens_ms)) });
  });
  await page.goto(PAGE);
  await scene(page, 'scheduled').waitFor();
  const before = await page.textContent('#hours');
  const price = await page.textContent('.strip .price');
  // Only the times change at first, and the page that says so is not published yet.
  edit = (html) => stamped(html, opens_ms);
  show.times = { opens_ms: opens_ms + 1_800_000, ends_ms: opens_ms + 2_400_000 };
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await eventually('the hours follow', async () => (await page.textContent('#hours')) !== before);
  assert.equal(await page.textContent('.strip .price'), price);
  edit = (html) => html
    .replace(/<h1 dir="auto">[^<]*/, '<h1 dir="auto">Another kettle').replace(/data-title="[^"]*"/, 'data-title="Another kettle"')
    .replace(/<\/small>[\d.]+/, '</small>4.00').replace(/data-amount="\d+"/, 'data-amount="77"').replace(/data-per-buyer="\d+"/, 'data-per-buyer="3"');
  await page.locator('h1:text-is("Another kettle")').waitFor();
  assert.match(await page.textContent('.strip .price'), /4\.00$/);
  assert.match(await page.textContent('#amount'), /77/);
  assert.match(await page.textContent('#per-buyer'), /3/);
  assert.equal(await page.title(), 'Another kettle · 秒杀 Seckill');
  await page.locator('#quantity').waitFor();
  await page.locator('.toast:has-text("商家更新了这件商品")').waitFor();
  await shoot(page, 'offer-changed');
  await close(page);
});

test('a page that is done shows other sales below it, with their day', async () => {
  const page = await shopper(browser);
  const now = Date.now() + (await edgeAhead());
  await pretend(page, { state: 'ended' });
  const product = (id) => ({ id, title: `Kettle ${id}`, amount: 5, price_cents: 100, list_price_cents: 200, per_buyer: 1, page: `/product/7-${id}.html`, picture: null });
  const starts_ms = Math.round(now) + 26 * 3_600_000;
  const rounds = [{ id: '7', name: 'Tomorrow', starts_ms, ends_ms: starts_ms + 600_000, products: ['1', '2', '3'].map(product) }];
  await page.route('**/api/rounds?*', (route) => route.fulfill({ json: { rounds } }));
  await page.route('**/api/rounds/7/products/*/state', (route) => route.fulfill({ json: { state: route.request().url().includes('/2/') ? 'withdrawn' : 'scheduled' } }));
  await page.goto(PAGE);
  await page.locator('#others .more-card').first().waitFor();
  assert.equal(await page.locator('.more-card').count(), 2);
  assert.match(await page.locator('.more-state').first().textContent(), /月.*日.*开抢/);
  assert.equal(await page.locator('#more').textContent(), '+');
  await page.locator('#others').scrollIntoViewIfNeeded();
  await shoot(page, 'others');
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
