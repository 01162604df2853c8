// Operators watch a sale and act on it, in a real browser on a running shop.
//
//   CONSOLE_URL           where the console is, default http://127.0.0.1:8081
//   SUPERVISOR_PASSWORD   of the demo's account "supervisor"
//   SECKILL_DATA          the shop's data folder: its Redis is touched by hand here
//   ROUND, PRODUCT        a product that sells within two minutes

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { isUsable } from '../axe.mjs';
import { BASE_URL, launch, shoot } from '../browser.mjs';
import { click, enter, pay } from '../crowd.mjs';

const CONSOLE_URL = process.env.CONSOLE_URL ?? 'http://127.0.0.1:8081';
const item = { round: process.env.ROUND ?? '1', product: process.env.PRODUCT ?? '154' };
const ITEM = `${item.round}::${item.product}`;
const STOCK = `seckill::{${ITEM}::01}::stock`;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** Runs a command in the shop's Redis, as somebody's slip of the hand would. */
const redis = (...command) => execFileSync('redis-cli', ['-s', `${process.env.SECKILL_DATA}/run/redis.sock`, ...command], { encoding: 'utf8' }).trim();

async function operator(lang = 'en', more = {}) {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: lang, viewport: { width: 1280, height: 900 }, ...more });
  const page = await context.newPage();
  await page.addInitScript(() => {
    const Real = window.EventSource;
    window.EventSource = class extends Real {
      constructor(...given) {
        super(...given);
        window.source = this;
      }
    };
  });
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  await page.goto('/console/');
  await page.fill('#login-name', 'supervisor');
  await page.fill('#login-password', process.env.SUPERVISOR_PASSWORD);
  await page.click('#login-form [type=submit]');
  await page.locator('#logout').waitFor();
  return page;
}

async function open(page, name) {
  await page.goto(`/console/#/${name}`);
  await page.locator(`.page-${name.split('/')[0]} h1`).waitFor();
}

async function close(page) {
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

async function untilOpen() {
  const until = Date.now() + 120_000;
  for (;;) {
    const sale = await (await fetch(`${BASE_URL}/api/rounds/${item.round}/products/${item.product}/state`)).json();
    if (sale.state === 'open') return;
    assert.ok(Date.now() < until, `product ${ITEM} does not open; set ROUND and PRODUCT`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const shown = (page, part) => page.locator(`[data-product="${ITEM}"] .legend [data-part=${part}] b`);

test('the board follows a sale, and a change in Redis within a second', async (t) => {
  await untilOpen();
  const page = await operator();
  await open(page, 'board');
  await page.locator('[data-state=live]').waitFor();
  await page.locator('[data-tile=received]').waitFor();

  const buyers = await Promise.all(Array.from({ length: 20 }, (_, n) => enter(`watched${n}-${Date.now()}`)));
  const clicks = await Promise.all(buyers.map((cookie) => click(cookie, item)));
  assert.ok(clicks.some(({ status }) => status === 202), JSON.stringify(clicks[0]));
  await Promise.all(buyers.slice(0, 5).map((cookie) => pay(cookie, item)));
  const number = (text) => Number(text.replace(/\D/g, ''));
  const counted = () => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.funnel [data-step]')].map((row) => [row.dataset.step, row.querySelector('b').textContent])));
  const until = Date.now() + 30_000;
  for (;;) {
    const funnel = await counted();
    const steps = ['received', 'admitted', 'purchased', 'ordered', 'paid'].map((step) => number(funnel[step]));
    if (steps.every((n) => n > 0) && number(await shown(page, 'saled').textContent()) > 0) break;
    assert.ok(Date.now() < until, `the funnel stands at ${JSON.stringify(funnel)}`);
    await page.waitForTimeout(100);
  }
  await shoot(page, 'board');
  await isUsable(page, 'board');

  // What Redis says is what the page says, a moment later: measured inside the page.
  const took = [];
  for (let n = 1; n <= 9; n += 1) {
    const seen = page.evaluate(([selector, wanted]) => new Promise((done) => {
      const node = document.querySelector(selector);
      const look = () => node.textContent.replace(/\D/g, '') === wanted && (done(Date.now()), true);
      if (!look()) new MutationObserver((_, observer) => look() && observer.disconnect()).observe(node, { childList: true, characterData: true, subtree: true });
    }), [`[data-product="${ITEM}"] .legend [data-part=sale] b`, String(5000 + n)]);
    const before = redis('HGET', STOCK, 'sale_stock_amount');
    redis('HSET', STOCK, 'sale_stock_amount', String(5000 + n));
    const changed = Date.now();
    took.push((await seen) - changed);
    redis('HSET', STOCK, 'sale_stock_amount', before);
  }
  took.sort((a, b) => a - b);
  t.diagnostic(`a change in Redis was in the page after ${took[4]} ms (median), ${took[8]} ms at most`);
  assert.ok(took[4] < 1000, `a change took ${took} ms`);
  await close(page);
});

test('an alert says which invariant is off, and goes when it is mended', async () => {
  await untilOpen();
  for (const lang of ['en', 'zh-CN']) {
    const page = await operator(lang);
    await open(page, 'board');
    redis('HINCRBY', STOCK, 'sale_stock_amount', '3');
    const alert = page.locator(`.alert[data-code=stock_off][data-subject="${ITEM}"]`);
    await alert.waitFor();
    assert.match(await alert.textContent(), lang === 'en' ? /is off by 3.*seckill verify/ : /相差 3.*seckill verify/);
    await shoot(page, `board-alert-${lang}`);
    redis('HINCRBY', STOCK, 'sale_stock_amount', '-3');
    await alert.waitFor({ state: 'detached' });
    await close(page);
  }
});

test('an operator is told plainly when the connection is lost, and when it is back', async () => {
  const page = await operator();
  await open(page, 'board');
  await page.locator('[data-state=live]').waitFor();
  await page.route('**/ops/api/board**', (route) => route.abort());
  // As when a proxy in between drops it.
  await page.evaluate(() => {
    window.source.close();
    window.source.dispatchEvent(new Event('error'));
  });
  await page.locator('[data-state=lost]').waitFor({ timeout: 60_000 });
  await page.locator('.banner', { hasText: 'connection is lost' }).waitFor();
  await page.unroute('**/ops/api/board**');
  await page.locator('[data-state=live]').waitFor({ timeout: 60_000 });
  await close(page);
});

test('a ban that is added in the console acts at the edge, and ends when it is lifted', async () => {
  await untilOpen();
  const user = `banned-${Date.now()}`;
  const cookie = await enter(user);
  const page = await operator('zh-CN');
  await open(page, 'bans');
  await page.selectOption('#ban-kind', 'user');
  await page.fill('#ban-value', user);
  await page.click('#ban-form [type=submit]');
  await page.locator('#ban-reason-mistake', { hasText: '原因' }).waitFor();
  await page.fill('#ban-reason', '每秒点击 90 次 <b>&</b>');
  await page.click('#ban-form [type=submit]');
  const row = page.locator(`[data-ban="user:${user}"]`);
  await row.waitFor();
  assert.match(await row.textContent(), /每秒点击 90 次 <b>&<\/b>/, 'what was typed is shown as text');
  await shoot(page, 'bans');
  await isUsable(page, 'bans');
  const clicks = async (wanted) => {
    const until = Date.now() + 20_000;
    for (;;) {
      const { status, body } = await click(cookie, item);
      if (wanted(status, body)) return;
      assert.ok(Date.now() < until, `${status} ${JSON.stringify(body)}`);
      await page.waitForTimeout(100);
    }
  };
  await clicks((status, body) => status === 403 && body.code === 'blocked');
  await row.getByRole('button').click();
  await page.locator('dialog[open] [type=submit]').click();
  await row.waitFor({ state: 'detached' });
  await clicks((status, body) => body.code !== 'blocked');
  await close(page);
});

test('a dead letter is shown with its reason, and sent on its way again', async () => {
  const body = '{"v":1,"request":"lost","round":"none","product":"none","segment":1,"user":"ann","quantity":1,"price_cents":1,"permit":"","at_ms":1}';
  const id = redis('XADD', 'seckill::queue::dead_letters', '*', 'body', body, 'reason', 'the database refused it: no such thing', 'source', 'seckill::queue::orders', 'attempts', '5');
  const page = await operator();
  await open(page, 'board');
  await page.locator('.alert[data-code=dead_letters] a').click();
  const letter = page.locator(`[data-letter="${id}"]`);
  await letter.locator('.reason', { hasText: 'the database refused it' }).waitFor();
  await shoot(page, 'dead-letters');
  await isUsable(page, 'dead-letters');
  await letter.getByRole('button').click();
  await letter.waitFor({ state: 'detached' });
  // Whatever comes of it, this letter is no longer here.
  assert.equal(redis('XRANGE', 'seckill::queue::dead_letters', id, id), '');
  await close(page);
});

test('an amount is adjusted with its effect told beforehand, and never below what is sold', async () => {
  await untilOpen();
  const page = await operator();
  await open(page, `stock/${item.round}/${item.product}`);
  const before = Number(await page.inputValue('#amount'));
  await page.fill('#amount', String(before + 10));
  await page.locator('#amount-effect', { hasText: '10 more' }).waitFor();
  await shoot(page, 'stock');
  await isUsable(page, 'stock');
  await page.click('form.card [type=submit]');
  await page.locator('dialog[open] [type=submit]').click();
  await page.locator('#toast.is-on').waitFor();
  assert.equal(Number(await page.inputValue('#amount')), before + 10);
  assert.equal(redis('HGET', `seckill::{${ITEM}}::info`, 'limit'), String(before + 10));
  await page.fill('#amount', '0');
  await page.click('form.card [type=submit]');
  await page.locator('dialog[open] [type=submit]').click();
  await page.locator('#amount-mistake', { hasText: '0' }).waitFor();
  await close(page);
});

test('no refund is due, and the page says so', async () => {
  const page = await operator('zh-CN');
  await open(page, 'refunds');
  await page.locator('.page-refunds h2', { hasText: '没有待退款' }).waitFor();
  await shoot(page, 'refunds');
  await isUsable(page, 'refunds');
  await close(page);
});
