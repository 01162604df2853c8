// Operators watch a sale and act on it, in a real browser on a running shop.
//
//   CONSOLE_URL           where the console is, default http://127.0.0.1:8081
//   OPERATOR_PASSWORD     of the demo's account "operator"
//   SUPERVISOR_PASSWORD   of "supervisor"
//   SECKILL_DATA          the shop's data folder: its Redis is touched by hand here
//   SECKILL               the program
//   ROUND, PRODUCT        a product that sells within two minutes

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { isUsable } from '../axe.mjs';
import { BASE_URL, launch, shoot } from '../browser.mjs';
import { click, enter, pay } from '../crowd.mjs';

const CONSOLE_URL = process.env.CONSOLE_URL ?? 'http://127.0.0.1:8081';
const item = { round: process.env.ROUND ?? '1', product: process.env.PRODUCT ?? '154' };
const ITEM = `${item.round}::${item.product}`;
const STOCK = `seckill::{${ITEM}::01}::stock`;

/** How often all products of a large round sell at once. */
const TURNS = 5;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** Runs a command in the shop's Redis, like an operator's mistake. */
const redis = (...command) => execFileSync('redis-cli', ['-s', `${process.env.SECKILL_DATA}/run/redis.sock`, ...command], { encoding: 'utf8' }).trim();

async function operator(lang = 'en', more = {}, name = 'supervisor') {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: lang, viewport: { width: 1280, height: 900 }, ...more });
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  await page.goto('/console/');
  await page.fill('#login-name', name);
  await page.fill('#login-password', process.env[`${name.toUpperCase()}_PASSWORD`]);
  await page.click('#login-form [type=submit]');
  await page.locator('#logout').waitFor();
  return page;
}

/** A way to the console that can be cut and mended, as a network between can. */
async function cable(to) {
  const { hostname, port } = new URL(to);
  const ends = new Set();
  const join = (near) => {
    const far = connect(port, hostname);
    for (const [one, other] of [[near, far], [far, near]]) {
      ends.add(one);
      one.on('error', () => {}).on('close', () => {
        ends.delete(one);
        other.destroy();
      }).pipe(other);
    }
  };
  const open = async (at) => {
    const server = createServer(join).listen(at, '127.0.0.1');
    await once(server, 'listening');
    return server;
  };
  let server = await open(0);
  const { port: own } = server.address();
  return {
    url: `http://127.0.0.1:${own}`,
    cut() {
      server.close();
      for (const end of ends) end.destroy();
    },
    async mend() {
      server = await open(own);
    },
  };
}

async function open(page, name) {
  await page.goto(`/console/#/${name}`);
  await page.locator(`.page-${name.split('/')[0]} h1`).waitFor();
}

async function close(page) {
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

/** A round that is on, by the command line. */
function importRound(id, count) {
  const product = (n) => `[[round.product]]\nid = "${id}_${n}"\ntitle = "Thing ${n}"\namount = 1000\nprice_cents = 100\nlist_price_cents = 200\nper_buyer = 1\n`;
  const file = `${process.env.SECKILL_DATA}/${id}.toml`;
  const round = `[[round]]\nid = "${id}"\nname = "Many things"\nstarts = "+1s"\nends = "+2h"\n\n`;
  writeFileSync(file, round + Array.from({ length: count }, (_, n) => product(n + 1)).join('\n'));
  execFileSync(process.env.SECKILL, ['sale', 'import', file, '--approve'], { encoding: 'utf8' });
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

test('of two hundred products only the rows that changed are touched, and all of them in time', async (t) => {
  const round = `many${Date.now().toString(36)}`;
  const thing = (n) => `${round}::${round}_${n}`;
  importRound(round, 200);
  for (const width of [1280, 390]) {
    const page = await operator('en', { viewport: { width, height: 844 } });
    await open(page, 'board');
    const shelf = page.locator(`.board-round:has([data-product^="${round}::"])`);
    await shelf.locator('summary .chip[data-tone=good]').waitFor();
    await shelf.locator('.shelf-item').nth(23).waitFor();
    assert.equal(await shelf.locator('.shelf-item').count(), 24, 'the others wait behind a button');
    await shelf.locator('button:has-text("Show all 200")').click();
    await shelf.locator('.shelf-item').nth(199).waitFor();

    await page.evaluate((of) => {
      window.touched = new Set();
      new MutationObserver((changes) => {
        for (const { target } of changes) {
          const node = target instanceof Element ? target : target.parentElement;
          window.touched.add(node?.closest('[data-product]')?.dataset.product ?? 'around');
        }
      }).observe(document.querySelector(`[data-product^="${of}::"]`).closest('.board-round'), { subtree: true, childList: true, characterData: true, attributes: true });
    }, round);
    redis('HINCRBY', `seckill::{${thing(7)}::01}::stock`, 'sale_stock_amount', '-1');
    const locked = redis('HINCRBY', `seckill::{${thing(7)}::01}::stock`, 'locked_stock_amount', '1');
    await page.locator(`[data-product="${thing(7)}"] .legend [data-part=locked] b`, { hasText: new RegExp(`^${locked}$`) }).waitFor();
    assert.deepEqual(await page.evaluate(() => [...window.touched]), [thing(7)]);

    // All of them sell at once. Only the work of the page's thread is counted, not that
    // of other programs on this machine.
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
    const worked = async () => (await devtools.send('Performance.getMetrics')).metrics.find((it) => it.name === 'TaskDuration').value * 1_000;
    const selling = `for n = 1, 200 do local key = 'seckill::{${thing('')}' .. n .. '::01}::stock'; redis.call('HINCRBY', key, 'sale_stock_amount', -1); redis.call('HINCRBY', key, 'locked_stock_amount', 1) end`;
    const before = await worked();
    for (let n = 0; n < TURNS; n += 1) {
      redis('EVAL', selling, '0');
      const all = redis('HGET', `seckill::{${thing(200)}::01}::stock`, 'locked_stock_amount');
      await page.locator(`[data-product="${thing(200)}"] .legend [data-part=locked] b`, { hasText: new RegExp(`^${all}$`) }).waitFor();
    }
    const each = ((await worked()) - before) / TURNS;
    t.diagnostic(`at ${width} px a change of all 200 products costs the page ${each.toFixed(0)} ms`);
    assert.ok(each < 400, `a change of all products costs ${each.toFixed(0)} ms; the next one comes after 400`);

    await page.fill('.shelves input[type=search]', 'Thing 177');
    await shelf.locator('.shelf-item').nth(1).waitFor({ state: 'detached' });
    await page.locator(`[data-product="${thing(177)}"]`).waitFor();
    await shoot(page, `board-many-${width}`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing sticks out');
    await close(page);
  }
});

test('the board, the stock page and the report say what is stopped', async () => {
  const round = `stopped${Date.now().toString(36)}`;
  const [one, other] = [1, 2].map((n) => `${round}_${n}`);
  importRound(round, 2);
  const stop = (...words) => execFileSync(process.env.SECKILL, ['round', ...words], { encoding: 'utf8' });
  const page = await operator();
  await open(page, 'board');
  const shelf = page.locator(`.board-round:has([data-product="${round}::${one}"])`);
  await shelf.locator('summary .chip[data-tone=good]').waitFor();
  assert.equal(await shelf.locator('.shelf-item .chip:visible').count(), 0);
  stop('withdraw', round, other);
  await shelf.locator(`[data-product="${round}::${other}"] .chip[data-tone=bad]`, { hasText: 'Withdrawn' }).waitFor();
  stop('pause', round);
  await shelf.locator('summary .chip[data-tone=warn]', { hasText: 'Paused' }).waitFor();
  assert.equal(await shelf.locator('.shelf-item .chip:visible').count(), 1, 'a product says no more than its round');
  await shoot(page, 'board-stopped');
  await isUsable(page, 'board-stopped');

  await open(page, `stock/${round}/${one}`);
  await page.locator('h1 .chip', { hasText: 'Paused' }).waitFor();
  // Loaded anew: no other page has brought its words along.
  await page.reload();
  await open(page, `report/${round}`);
  const report = await page.locator('.page-report').innerText();
  assert.match(report, /Paused/);
  assert.match(report, /The sale is not over/);
  assert.match(report, new RegExp(`withdrew from sale ${round}::${other}\\n.* paused a sale ${round}`));
  stop('withdraw', round);
  await page.reload();
  await page.locator('.page-report .chip', { hasText: 'Withdrawn' }).waitFor();
  assert.doesNotMatch(await page.locator('.page-report').innerText(), /not over/);
  await close(page);
});

test('whoever sees a wrong price on the board stops the product, and nobody buys it any more', async (t) => {
  const round = `wrong${Date.now().toString(36)}`;
  const [one, other] = [1, 2].map((n) => ({ round, product: `${round}_${n}` }));
  importRound(round, 2);
  const page = await operator('en', {}, 'operator');
  await open(page, 'board');
  const row = ({ product }) => page.locator(`[data-product="${round}::${product}"]`);
  const shelf = page.locator(`.board-round:has([data-product="${round}::${one.product}"])`);
  await shelf.locator('summary .chip[data-tone=good]').waitFor();

  // Buyers come all the time; when each was accepted, and what the others hear in the end.
  const accepted = [];
  let last = {};
  let goesOn = true;
  const crowd = Array.from({ length: 4 }, async (_, lane) => {
    for (let n = 0; goesOn; n += 1) {
      last = await click(await enter(`${round}-${lane}-${n}`), one);
      if (last.status === 202) accepted.push(performance.now());
    }
  });
  const buying = Date.now() + 30_000;
  while (accepted.length < 4) {
    assert.ok(Date.now() < buying, `nobody buys: ${JSON.stringify(last)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const seen = performance.now();
  await row(one).locator('[data-act="stop.pause"]').click();
  await page.fill('dialog[open] textarea, dialog[open] input[type=text]', 'The price is wrong.');
  await page.locator('dialog[open] .is-danger').click();
  const confirmed = performance.now();
  await row(one).locator('.chip', { hasText: 'Paused' }).waitFor();
  const until = Date.now() + 10_000;
  while (last.body?.code !== 'paused') {
    assert.ok(Date.now() < until, `buyers hear ${JSON.stringify(last)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  goesOn = false;
  await Promise.all(crowd);
  const lastSold = Math.max(...accepted);
  t.diagnostic(`${accepted.length} bought; the last one ${Math.round(lastSold - confirmed)} ms after the stop was confirmed, ${Math.round(lastSold - seen)} ms after the price was seen`);
  assert.ok(lastSold - confirmed < 2_000, 'every edge refuses within a second');
  assert.equal((await click(await enter(`${round}-other`), other)).status, 202, 'the other product sells on');
  await shoot(page, 'board-product-paused');

  await row(one).locator('[data-act="stop.resume"]').click();
  await page.fill('dialog[open] textarea, dialog[open] input[type=text]', 'The price is right.');
  await page.locator('dialog[open] .button:not(.is-plain)').last().click();
  await row(one).locator('[data-act="stop.pause"]').waitFor();

  // The page of its stock has the other steps too.
  await row(one).locator('a').click();
  await page.locator('.page-stock [data-act="stop.withdraw"]').click();
  await page.fill('dialog[open] textarea, dialog[open] input[type=text]', 'It was never ours to sell.');
  await page.locator('dialog[open] .is-danger').click();
  await page.locator('.page-stock h1 .chip', { hasText: 'Withdrawn' }).waitFor();
  assert.equal(await page.locator('.page-stock [data-act^="stop."]').count(), 0);
  await isUsable(page, 'stock-withdrawn');
  await close(page);
});

test('an alert says which invariant is broken, and goes when it holds again', async () => {
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

test('an operator sees when the connection is lost, and when it is back', async () => {
  const wire = await cable(CONSOLE_URL);
  const page = await operator('en', { baseURL: wire.url });
  await open(page, 'board');
  await page.locator('[data-state=live]').waitFor();
  wire.cut();
  await page.locator('[data-state=lost]').waitFor();
  await page.locator('.banner', { hasText: 'connection is lost' }).waitFor();
  await wire.mend();
  await page.locator('[data-state=live]').waitFor();
  await close(page);
  wire.cut();
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

test('a dead letter is shown with its reason, and redriven', async () => {
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
  // Whether or not its order is placed now, this letter is no longer here.
  assert.equal(redis('XRANGE', 'seckill::queue::dead_letters', id, id), '');
  await close(page);
});

test('an amount is adjusted after its effect was shown, and never below what is sold', async () => {
  await untilOpen();
  const page = await operator('en', {}, 'operator');
  await open(page, `stock/${item.round}/${item.product}`);
  const before = Number(await page.inputValue('#amount'));
  const limit = () => Number(redis('HGET', `seckill::{${ITEM}}::info`, 'limit'));
  await page.fill('#amount', String(before - 10));
  await page.locator('#amount-effect', { hasText: '10 fewer' }).waitFor();
  await shoot(page, 'stock');
  await isUsable(page, 'stock');
  await page.click('form.card [type=submit]');
  await page.locator('dialog[open] [type=submit]').click();
  await page.locator('#toast.is-on').waitFor();
  assert.equal(Number(await page.inputValue('#amount')), before - 10);
  assert.equal(limit(), before - 10);
  // More than there is takes a second person.
  await page.fill('#amount', String(before));
  await page.click('form.card [type=submit]');
  await page.locator('dialog[open] [data-change$=".amount"]').waitFor();
  await page.fill('dialog[open] textarea', 'The lorry came after all.');
  await isUsable(page, 'a change that is proposed');
  await page.locator('dialog[open] [type=submit]').click();
  await page.locator('#toast.is-on', { hasText: 'another supervisor' }).waitFor();
  assert.equal(limit(), before - 10);
  const other = await operator();
  await open(other, 'approvals');
  const card = other.locator('[data-proposal]', { hasText: 'The lorry came after all.' });
  await card.locator('[data-act="proposal.approve"]').click();
  await other.locator('dialog[open] [type=submit]').click();
  await card.waitFor({ state: 'detached' });
  assert.equal(limit(), before);
  await close(other);
  // What is no amount is not sent, nor is its effect promised.
  for (const not of ['0', '9.5', '']) {
    await page.fill('#amount', not);
    await page.click('form.card [type=submit]');
    await page.locator('#amount-mistake', { hasText: 'a whole number from 1 to 1,000,000,000' }).waitFor();
    assert.equal(await page.locator('#amount-effect').textContent(), '');
  }
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

test('what an operator announces stands on a waiting page as text, and goes when it is ended', async () => {
  const page = await operator();
  await open(page, 'board');
  const shopper = await (await browser.newContext({ baseURL: process.env.BASE_URL })).newPage();
  await shopper.goto(`/product/${item.round}-${item.product}.html`);
  const words = 'Delivery takes <b>two</b> days & a night.';
  await page.locator('.announcement > summary').click();
  await page.fill('#announcement-text', words);
  await page.click('#announcement-form [type=submit]');
  await page.locator('dialog[open] [type=submit]').click();
  await page.locator('[data-announcement]', { hasText: words }).waitFor();
  await shopper.locator('#announcement', { hasText: words }).waitFor();
  assert.equal(await shopper.locator('#announcement b').count(), 0, 'it is text');
  await shoot(shopper, 'announcement');
  await isUsable(shopper, 'a page with an announcement');
  await isUsable(page, 'the board with an announcement');
  await page.click('[data-act="announcement.end"]');
  await page.locator('dialog[open] [type=submit]').click();
  await shopper.locator('#announcement').waitFor({ state: 'hidden' });
  await shopper.context().close();
  await close(page);
});
