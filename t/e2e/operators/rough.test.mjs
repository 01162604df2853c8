// What operators do to a console that was not made for it: Escape at a question, two clicks
// for one, a filter that is changed before its list is there, and a network that answers for
// the console, or not at all.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isUsable } from '../axe.mjs';
import { launch, shoot } from '../browser.mjs';
import { eventually } from '../buyer.mjs';

const CONSOLE_URL = process.env.CONSOLE_URL ?? 'http://127.0.0.1:8081';

let browser;
// Logged in once: more logins from one address are soon too many.
let session;
before(async () => {
  browser = await launch();
  const context = await browser.newContext({ baseURL: CONSOLE_URL });
  const page = await context.newPage();
  await page.goto('/console/');
  await page.fill('#login-name', 'supervisor');
  await page.fill('#login-password', process.env.SUPERVISOR_PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('#nav a').first().waitFor();
  session = await context.storageState();
  await context.close();
});
after(() => browser?.close());

async function supervisor({ lang = 'en', clock = null } = {}) {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: lang, viewport: { width: 1280, height: 900 }, storageState: session });
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  if (clock) await page.clock.install({ time: clock });
  await page.goto('/console/');
  await page.locator('#nav a').first().waitFor();
  return page;
}

async function close(page) {
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

/** Records the bodies of requests that write to `path`, and answers each with `reply()`. */
async function writes(page, path, reply) {
  const sent = [];
  await page.route(`**/ops/api/${path}`, async (route) => {
    if (route.request().method() === 'GET') return route.fallback();
    sent.push(route.request().postDataJSON());
    return reply(route, sent.length);
  });
  return sent;
}

test('Escape at the withdrawal of a round withdraws nothing; what becomes of its orders is chosen with it', async () => {
  const page = await supervisor();
  const round = await (await page.request.get('/ops/api/rounds/1')).json();
  const sent = await writes(page, 'rounds/1/withdraw', (route) => route.fulfill({ json: round }));
  const withdraw = async () => {
    await page.click('[data-act="stop.withdraw"]');
    await page.fill('dialog[open] textarea', 'Wrong price.');
  };
  await page.goto('/console/#/rounds/1');
  await withdraw();
  await shoot(page, 'console-withdraw-en');
  await isUsable(page, 'the withdrawal of a round');
  await page.keyboard.press('Escape');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  await withdraw();
  await page.click('dialog[open] .is-danger');
  await eventually('the withdrawal is sent', () => sent.length === 1);
  await withdraw();
  await page.check('dialog[open] [value=unpaid]');
  await page.click('dialog[open] .is-danger');
  await eventually('the other withdrawal is sent', () => sent.length === 2);
  // At no time was there a second question.
  assert.equal(await page.locator('dialog[open]').count(), 0);
  assert.deepEqual(sent, [{ reason: 'Wrong price.', cancel: 'none' }, { reason: 'Wrong price.', cancel: 'unpaid' }]);
  await close(page);
});

test('however often Escape is pressed, the login stays', async () => {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: 'en' });
  const page = await context.newPage();
  await page.goto('/console/');
  await page.locator('#login[open]').waitFor();
  for (let n = 0; n < 3; n += 1) await page.keyboard.press('Escape');
  assert.equal(await page.locator('#login[open]').count(), 1);
  await context.close();
});

const json = (body, status = 200) => ({ status, contentType: 'application/json', body: JSON.stringify(body) });
const broken = json({ code: 'internal', message: 'The console failed.' }, 500);

/** The lists that have a filter: where they are, what is typed where, and a response with one row of this name. */
const LISTS = {
  rounds: {
    path: 'rounds', field: '.filters input[type=search]', row: 'tr[data-round]', more: 'Show more',
    found: (id) => ({ total: 90, rounds: [{ id, name: id, series: null, starts_ms: 0, ends_ms: 60_000, product_count: 1, items: 1, state: 'draft', edited_by: 'li', edited_ms: 0 }] }),
  },
  audit: {
    path: 'audit', field: '.filters input[type=search]', row: 'tbody tr', more: 'Older',
    found: (who) => ({ entries: [{ at_ms: 0, who, via: 'console', action: 'ban.add', target: 'user:x', detail: {} }], next: 7 }),
  },
  orders: {
    path: 'orders', field: '#orders-text', row: 'tr[data-order]', more: 'More', by: 'user',
    found: (user) => ({ orders: [{ order: '7', state: 'paid', user, round: '1', product: '153', quantity: 1, total_cents: 1, created_ms: 0 }], next: '7' }),
  },
  bans: {
    path: 'bans', field: '.finder input[type=search]', row: 'tr[data-ban]',
    found: (value) => ({ all: 1, matching: 1, page: 1, garbage: 0, bans: [{ kind: 'user', value, reason: 'x', expires_ms: null, at_ms: 0, by: 'li' }] }),
  },
};

for (const [name, { path, field, row, more, by, found }] of Object.entries(LISTS)) {
  test(`the list of ${name} is that of the filter beside it, and says so when it cannot be read`, async () => {
    const page = await supervisor();
    const held = [];
    let reply = null;
    await page.route(new RegExp(`/ops/api/${path}\\?`), async (route) => {
      const { searchParams } = new URL(route.request().url());
      if (searchParams.get('state') === 'submitted') return route.fallback();
      const text = [...searchParams.values()].join(' ');
      if (text.includes('slow')) await new Promise((go) => held.push(go));
      return route.fulfill(reply ?? json(found(text.includes('quick') ? 'quick' : text.includes('slow') ? 'slow' : 'any')));
    });
    await page.goto(`/console/#/${path}`);
    const rows = page.locator(`#main ${row}`);
    await rows.filter({ hasText: 'any' }).waitFor();
    const filter = async (text) => {
      if (by) await page.selectOption('#orders-by', by);
      await page.locator(field).first().fill(text);
      if (by) await page.keyboard.press('Enter');
    };
    await filter('slow');
    await eventually('the first filter is requested', () => held.length === 1);
    if (more) {
      // What is about to be replaced is not made longer.
      await page.locator('#main .button', { hasText: more }).click();
    }
    await filter('quick');
    await rows.filter({ hasText: 'quick' }).waitFor();
    const late = page.waitForResponse((it) => it.url().includes('slow'));
    for (const go of held) go();
    await (await late).finished();
    await page.evaluate(() => new Promise(requestAnimationFrame));
    assert.deepEqual(await rows.allInnerTexts().then((all) => all.map((it) => /any|slow|quick/.exec(it)[0])), ['quick']);

    reply = broken;
    await filter('nobody');
    await page.locator('#main .empty[role=alert]', { hasText: 'The console failed.' }).waitFor();
    assert.equal(await rows.count(), 0);
    await shoot(page, `console-unread-${name}`);
    reply = null;
    await page.click('#main [data-act=again]');
    await rows.filter({ hasText: 'any' }).waitFor();
    if (more) {
      reply = broken;
      await page.locator('#main .button', { hasText: more }).click();
      await page.locator('#toast.is-on', { hasText: 'The console failed.' }).waitFor();
      assert.equal(await rows.count(), 1);
    }
    await close(page);
  });
}

test('what is read when it is opened is read again if that failed', async () => {
  const page = await supervisor();
  const round = { id: 'x', name: 'Noon', series: null, version: 1, state: 'submitted', created_by: 'li', edited_by: 'li', submitted_by: 'li', submitted_ms: 0, starts_ms: 0, ends_ms: 60_000, products: [] };
  let isBroken = true;
  const reply = (body) => (route) => route.fulfill(isBroken ? broken : json(body));
  await page.route('**/ops/api/rounds?*', (route) => route.fulfill(json({ rounds: [round], total: 1 })));
  await page.route('**/ops/api/rounds/x', (route) => route.fulfill(json(round)));
  await page.route('**/ops/api/rounds/x/basis', reply({ kind: null, changes: [] }));
  await page.goto('/console/#/approvals');
  await page.click('.basis summary');
  await page.locator('.basis [role=alert]', { hasText: 'The console failed.' }).waitFor();
  isBroken = false;
  await page.click('.basis [data-act=again]');
  await page.locator('.basis', { hasText: 'A new round' }).waitFor();

  isBroken = true;
  await page.route('**/ops/api/sessions/*', reply([]));
  await page.goto('/console/#/accounts');
  const sessions = page.locator('[data-sessions=operator]');
  await sessions.locator('summary').click();
  await sessions.locator('[role=alert]').waitFor();
  isBroken = false;
  // Closed and opened again does it, too.
  await sessions.locator('summary').click();
  await sessions.locator('summary').click();
  await sessions.getByText('No sessions.').waitFor();
  await close(page);
});

test('two clicks for one are one account, whose password stays until it is noted, and one notification', async () => {
  const page = await supervisor();
  const held = [];
  const hold = (body) => async (route) => {
    await new Promise((go) => held.push(go));
    await route.fulfill(json(body));
  };
  const accounts = await writes(page, 'accounts', hold({ name: 'wang', password: 'shown-this-once' }));
  await page.goto('/console/#/accounts');
  await page.fill('#account-name', 'wang');
  await page.locator('#account-name').press('Enter');
  await page.locator('#account-name').press('Enter');
  await eventually('the account is sent', () => held.length > 0);
  await page.locator('#account-name').press('Enter');
  for (const go of held.splice(0)) go();
  await page.locator('dialog[open] [data-password=wang]').waitFor();
  for (let n = 0; n < 3; n += 1) await page.keyboard.press('Escape');
  assert.equal(await page.locator('dialog[open] [data-password=wang]').count(), 1);
  await page.click('dialog[open] .button');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  assert.equal(accounts.length, 1);

  const order = { order: '7', state: 'paid', reason: null, user: 'li', round: '1', product: '153', quantity: 1, price_cents: 1, total_cents: 1, created_ms: 0, pay_by_ms: 0, request: 'r' };
  const seen = { order, details: null, form: [], history: [] };
  await page.route('**/ops/api/orders/7', (route) => route.fulfill(json(seen)));
  const resent = await writes(page, 'orders/7/resend', hold(seen));
  await page.goto('/console/#/orders/7');
  const again = page.locator('[data-act="order.resend"]');
  await again.focus();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Enter');
  await eventually('the notification is sent', () => held.length > 0);
  for (const go of held.splice(0)) go();
  await page.locator('#toast.is-on', { hasText: 'Done' }).waitFor();
  assert.equal(resent.length, 1);
  await close(page);
});

test('a proxy’s page in place of the console, and nothing at all, are said to be just that', async () => {
  const page = await supervisor({ lang: 'zh-CN', clock: Date.now() });
  const sent = await writes(page, 'bans', (route, n) => (n === 1 ? route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>502 Bad Gateway</h1>' }) : undefined));
  await page.goto('/console/#/bans');
  const ban = async () => {
    await page.fill('#ban-value', '203.0.113.7');
    await page.fill('#ban-reason', 'x');
    await page.locator('#ban-reason').press('Enter');
  };
  await ban();
  const unclear = page.locator('#toast.is-on', { hasText: '不知道是否已经执行' });
  await unclear.waitFor();
  assert.doesNotMatch(await page.textContent('#toast'), /没有做任何更改/);
  await page.clock.runFor(6_000);
  await unclear.waitFor({ state: 'detached' });
  await ban();
  await eventually('the second ban is sent', () => sent.length === 2);
  await page.clock.runFor(29_000);
  await page.locator('#ban-form.is-busy').waitFor();
  await page.clock.runFor(2_000);
  await unclear.waitFor();
  await page.locator('#ban-form:not(.is-busy)').waitFor();

  await page.route('**/ops/api/logout', (route) => route.fulfill({ status: 502, contentType: 'text/html', body: 'bad' }));
  await page.click('#logout');
  await unclear.waitFor();
  assert.ok(await page.locator('#ban-form').isVisible(), 'the page stays');
  await close(page);
});
