// The start page as shoppers know one: time slots, what is left, one's own state, reminders.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { isUsable } from './axe.mjs';
import { buys, callsOf, eventually } from './buyer.mjs';
import { close, edgeAhead, launch, logIn, name, PRODUCT, ROUND, shoot, shopper } from './browser.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const card = (page, product) => page.locator(`[data-round="${ROUND}"] [data-product="${product}"]`);

test('a card says what is left, as the stock has it, and what one has bought', async () => {
  const page = await shopper(browser);
  await logIn(page, name());
  await buys(page, '155');
  // The orders page tells the others what it read.
  await page.goto('/orders.html');
  await page.locator('.order-row').waitFor();
  await page.goto('/');
  await card(page, '155').locator('.mine:not([hidden])').waitFor();
  assert.equal(await card(page, '155').locator('.mine').textContent(), '待支付');
  await card(page, PRODUCT).locator('.sold.is-known').waitFor({ timeout: 60_000 });
  const { get } = callsOf(page);
  // Only what is on the screen is kept up to date.
  await card(page, '155').scrollIntoViewIfNeeded();
  await eventually('the page shows what the file says', async () => {
    const [left] = (await get('/left.json')).left[`${ROUND}-155`];
    const shown = await card(page, '155').locator('.sold').textContent();
    return shown.includes(`剩余 ${new Intl.NumberFormat('zh-CN').format(left)} 件`);
  });
  assert.ok(await page.locator('.slot').count() >= 1);
  await shoot(page, 'start-own');
  await isUsable(page, 'the start page with one’s own state');
  await close(page);
});

test('what is paused, ended early or withdrawn is not offered, and is again when it goes on', async () => {
  const page = await shopper(browser);
  const now = Math.round(Date.now() + (await edgeAhead()));
  const product = (id) => ({ id, title: `Kettle ${id}`, amount: 5, price_cents: 100, list_price_cents: 200, per_buyer: 1, page: `/product/7-${id}.html`, picture: null });
  const rounds = [{ id: '7', name: 'Evening', starts_ms: now - 60_000, ends_ms: now + 3_600_000, products: [product('1'), product('2')] }];
  const states = { 1: 'open', 2: 'open' };
  await page.route('**/api/rounds?*', (route) => route.fulfill({ json: { rounds } }));
  await page.route('**/api/rounds/7/products/*/state', (route) => {
    const [, id] = /products\/(\d+)/.exec(route.request().url());
    return route.fulfill({ json: { state: states[id], now_ms: now } });
  });
  await page.goto('/');
  const shown = (state, go) => page.locator(`.card[data-product="1"][data-state=${state}] .go:text-is("${go}")`).waitFor();
  const whole = (state, word) => page.locator(`#round-7[data-state=${state}] .chip:text-is("${word}")`).waitFor();
  await shown('open', '立即抢购');
  states[1] = 'paused';
  await shown('paused', '暂停抢购');
  await whole('open', '抢购进行中');
  states[2] = 'paused';
  await whole('paused', '暂停抢购');
  assert.match(await page.locator('.slot').textContent(), /暂停抢购/);
  await shoot(page, 'start-paused');
  states[1] = 'open';
  await shown('open', '立即抢购');
  await whole('open', '抢购进行中');
  states[1] = 'ended';
  await shown('ended', '已结束');
  states[1] = 'withdrawn';
  await shown('withdrawn', '已下架');
  states[2] = 'ended';
  await whole('ended', '已结束');
  await page.locator('#round-7 > header > .boxes').waitFor({ state: 'hidden' });
  await close(page);
});

test('a number that is old is not shown', async () => {
  const page = await shopper(browser);
  let at = Math.round(Date.now() + (await edgeAhead())) - 60_000;
  await page.route('**/left.json', (route) => route.fulfill({ json: { at_ms: at, left: { [`${ROUND}-${PRODUCT}`]: [7, 1_000] } } }));
  await page.goto('/');
  await card(page, PRODUCT).and(page.locator('[data-state=open]')).waitFor({ timeout: 120_000 });
  await page.waitForResponse('**/left.json');
  await page.waitForResponse('**/left.json');
  assert.equal(await card(page, PRODUCT).locator('.sold.is-known').count(), 0);
  at += 60_000 + 3_600_000;
  await card(page, PRODUCT).locator('.sold.is-known:has-text("7")').waitFor();
  await close(page);
});

test('a reminder is a calendar file, or kept in the browser and given before the opening', async () => {
  const page = await shopper(browser, { lang: 'en' });
  let starts = Math.round(Date.now() + (await edgeAhead())) + 3_600_000;
  const product = { id: '9', title: 'Kettle', amount: 5, price_cents: 100, list_price_cents: 200, per_buyer: 1, page: '/product/7-9.html', picture: null };
  await page.route('**/api/rounds?*', (route) => route.fulfill({ json: { date: '2026-01-01', rounds: [{ id: '7', name: 'Evening, late', starts_ms: starts, ends_ms: starts + 600_000, products: [product] }] } }));
  await page.goto('/');
  await page.click('.remind-button');
  const [file] = await Promise.all([page.waitForEvent('download'), page.click('.remind .link')]);
  assert.match(file.suggestedFilename(), /\.ics$/);
  assert.match(await readFile(await file.path(), 'utf8'), /BEGIN:VEVENT[\s\S]*SUMMARY:Seckill · Evening\\, late/);
  await isUsable(page, 'the reminder');
  await page.click('.remind .solid');
  await page.locator('.remind-button:has-text("Reminder set")').waitFor();
  // The shop moves the opening, and the reminder with it. A minute before the page says so, once.
  starts = Math.round(Date.now() + (await edgeAhead())) + 50_000;
  await page.reload();
  await page.locator('.toast:has-text("Starting soon")').waitFor();
  assert.equal(await page.locator('.toast:has-text("Starting soon")').count(), 1);
  await close(page);
});
