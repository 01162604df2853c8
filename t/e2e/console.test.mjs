// Operators and supervisors at the console, in a real browser.
//
//   CONSOLE_URL          where the console is, default http://127.0.0.1:8081
//   BASE_URL             where the shop is
//   OPERATOR_PASSWORD    of the demo's account "operator"
//   SUPERVISOR_PASSWORD  of "supervisor"

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { isUsable } from './axe.mjs';
import { BASE_URL, close, launch, name, shoot, shopper } from './browser.mjs';
import { buys } from './buyer.mjs';

const CONSOLE_URL = process.env.CONSOLE_URL ?? 'http://127.0.0.1:8081';
const PASSWORDS = { operator: process.env.OPERATOR_PASSWORD, supervisor: process.env.SUPERVISOR_PASSWORD };
// Typed into every text field: were any of it read as HTML, the script would run and be seen.
const XSS = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** An operator at the console, in a browser profile of their own. */
async function person(name, { lang = 'en' } = {}) {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: lang, viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => {
    const ordinary = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !ordinary) page.complaints.push(message.text());
  });
  await page.goto('/console/');
  await logIn(page, name);
  await page.locator('#nav a').first().waitFor();
  return page;
}

async function logIn(page, name) {
  await page.locator('#login[open]').waitFor();
  await page.fill('#login-name', name);
  await page.fill('#login-password', PASSWORDS[name]);
  await page.keyboard.press('Enter');
  await page.locator('#login:not([open])').waitFor({ state: 'attached' });
}

const at = (field) => `[data-field="${field}"]`;
const unique = (stem) => `${stem}${Math.random().toString(36).slice(2, 8)}`;

async function typeRound(page, { name, product, title = 'Robot vacuum', text = 'Cleans **every** corner.' }) {
  await page.goto('/console/#/rounds/new');
  await page.locator(at('name')).waitFor();
  await page.fill(at('name'), name);
  await page.fill(at('products.0.id'), product);
  await page.fill(at('products.0.title'), title);
  await page.fill(at('products.0.price_cents'), '1299');
  await page.fill(at('products.0.list_price_cents'), '2599');
  await page.fill(at('products.0.amount'), '300');
  await page.fill(at('products.0.text'), text);
}

/** Saves the new round and returns its id. */
async function save(page) {
  await page.keyboard.press('Control+s');
  await page.locator('[data-act=submit]').waitFor();
  return decodeURIComponent(new URL(page.url()).hash.split('/')[2]);
}

/** The text of a part of the page in Chinese. */
async function chinese(page, part) {
  await page.selectOption('#lang', 'zh-CN');
  await page.locator('h1', { hasText: /\p{Script=Han}/u }).waitFor();
  return page.locator(part).textContent();
}

test('an operator makes a round, a supervisor approves it, and its page is under the CDN origin', async () => {
  const operator = await person('operator');
  const product = unique('p');
  await operator.goto('/console/#/rounds');
  await operator.locator('a[href="#/rounds/new"]').first().waitFor();
  await shoot(operator, 'console-rounds');
  await typeRound(operator, { name: 'Evening sale', product });
  await operator.fill(at('products.0.list_price_cents'), '999');
  await operator.locator('[data-mistake="products.0.price_cents"]:has-text("above the list price, 999.00")').waitFor();
  await shoot(operator, 'console-mistake');
  await operator.fill(at('products.0.list_price_cents'), '2599');
  const preview = operator.frameLocator('.preview iframe');
  await preview.locator('h1:has-text("Robot vacuum")').waitFor();
  // Its frame runs no scripts, and shows what they would.
  for (const it of ['#hours', '#amount', '#per-buyer', '#buy']) assert.ok(await preview.locator(it).isVisible(), it);
  // Recognised by what is in it, whatever its name says.
  await operator.setInputFiles(at('products.0.picture'), { name: 'cat.png', mimeType: 'image/png', buffer: Buffer.from('<svg onload=alert(1)>') });
  await operator.locator('.picture .mistake:has-text("picture")').waitFor();
  await operator.setInputFiles(at('products.0.picture'), { name: 'photo.txt', mimeType: 'text/plain', buffer: await operator.screenshot() });
  // The operator chooses which part is shown: here a square at the right end.
  await operator.check('dialog[open] [value="1:1"]');
  await operator.locator('dialog[open] [type=range]').fill('100');
  await shoot(operator, 'console-cut');
  await isUsable(operator, 'cutting a picture');
  await operator.click('dialog[open] .is-main');
  await operator.locator('.picture-shown img').waitFor();
  const { naturalWidth, naturalHeight } = await operator.locator('.picture-shown img').evaluate(async (it) => (await it.decode(), it));
  assert.equal(naturalWidth, naturalHeight, 'what is shown is the square');
  await operator.setInputFiles(at('products.0.picture'), { name: 'second.png', mimeType: 'image/png', buffer: await operator.screenshot({ clip: { x: 0, y: 0, width: 400, height: 300 } }) });
  await operator.click('dialog[open] .is-main');
  await operator.locator('.picture-shown figure').nth(1).waitFor();
  await operator.frameLocator('.preview iframe').locator('img[srcset*="/pictures/"]').nth(1).waitFor({ state: 'attached' });
  await operator.fill(at('products.0.picture_alt.1'), 'Its\u200b brushes');
  await operator.locator('[data-mistake="products.0.picture_alt.1"]:has-text("invisible character, U+200B")').waitFor();
  await operator.fill(at('products.0.picture_alt.1'), 'Its "brushes" <from> below');
  await operator.locator('[data-mistake="products.0.picture_alt.1"]:empty').waitFor({ state: 'attached' });
  await operator.frameLocator('.preview iframe').locator('img.photo[alt*="brushes"]').waitFor({ state: 'attached' });
  await operator.locator('.picture-shown img').first().scrollIntoViewIfNeeded();
  await shoot(operator, 'console-picture');
  await isUsable(operator, 'a round with a picture');
  const id = await save(operator);
  await operator.click('[data-act=submit]');
  await operator.locator('[data-act=withdraw]').waitFor();
  await shoot(operator, 'console-submitted');

  const supervisor = await person('supervisor', { lang: 'zh-CN' });
  await supervisor.goto('/console/#/approvals');
  const waiting = supervisor.locator(`.waiting[data-round="${id}"]`);
  await waiting.waitFor();
  // What shoppers will see is seen before it is approved.
  assert.equal(await waiting.locator('.thumb').count(), 2);
  assert.match(await waiting.locator('.alts').textContent(), /标题 · Its "brushes" <from> below/);
  assert.equal(await waiting.locator('.thumb').nth(1).getAttribute('alt'), 'Its "brushes" <from> below');
  assert.match(await waiting.textContent(), /立省 50%/);
  assert.match(await waiting.textContent(), /Cleans \*\*every\*\* corner/);
  await shoot(supervisor, 'console-approvals');
  await waiting.locator('.is-main').click();
  await supervisor.locator('dialog[open] .is-main').click();
  await waiting.waitFor({ state: 'detached' });

  const page = await fetch(`${BASE_URL}/product/${id}-${product}.html`);
  assert.equal(page.status, 200);
  const html = await page.text();
  assert.match(html, /Cleans <strong>every<\/strong> corner/);
  assert.match(html, /alt="Robot vacuum"/);
  assert.match(html, /alt="Its &#34;brushes&#34; &#60;from&#62; below"/);
  const [picture] = html.match(/\/pictures\/[0-9a-f]{16}-480\.jpg/);
  assert.equal((await fetch(`${BASE_URL}${picture}`)).headers.get('content-type'), 'image/jpeg');
  // The same picture stands for the product on the start page.
  const { rounds } = await (await fetch(`${BASE_URL}/api/rounds`)).json();
  const shown = rounds.find((it) => it.id === id)?.products[0].picture;
  assert.ok(!shown || shown.src === picture, JSON.stringify(shown));
  await supervisor.goto('/console/#/audit');
  await supervisor.locator(`tr:has-text("批准"):has(a[href="#/rounds/${id}"])`).waitFor();
  await shoot(supervisor, 'console-audit');
  await close(operator);
  await close(supervisor);
});

test('a supervisor cannot approve a round of their own, and reads who can', async () => {
  const supervisor = await person('supervisor');
  await typeRound(supervisor, { name: 'My own', product: unique('own') });
  const id = await save(supervisor);
  await supervisor.click('[data-act=submit]');
  await supervisor.locator('.note:has-text("another supervisor has to approve")').waitFor();
  assert.equal(await supervisor.locator('[data-act=approve]').count(), 0);
  // Nor by calling the API without the page.
  const refusal = await supervisor.evaluate(async (round) => {
    const { api } = await import('/console/api.js');
    const { version } = await api.get(`/rounds/${round}`);
    return api.post(`/rounds/${round}/approve`, { version }).catch((error) => [error.status, error.code]);
  }, id);
  assert.deepEqual(refusal, [403, 'own_round']);
  await close(supervisor);
});

test('a round on several days is submitted in one action, and approved in one, each day as it was seen', async () => {
  const [operator, supervisor] = [await person('operator'), await person('supervisor', { lang: 'zh-CN' })];
  const series = unique('daily');
  await typeRound(operator, { name: 'Every noon', product: unique('d') });
  await operator.fill(at('id'), series);
  await operator.fill(at('days'), '4');
  await operator.keyboard.press('Control+s');
  await operator.locator(`[data-round^="${series}_"]`).nth(3).waitFor();
  const days = await operator.locator(`[data-round^="${series}_"]`).evaluateAll((rows) => rows.map((row) => row.dataset.round).sort());
  // One day is to sell more than the others: the supervisor has to see that.
  await operator.goto(`/console/#/rounds/${days[1]}`);
  await operator.fill(at('products.0.amount'), '301');
  await operator.locator('[data-act=save]').click();
  await operator.locator('[data-act=submit_series]').click();
  await operator.locator('dialog[open]:has-text("4 days") .is-main').click();
  await operator.locator('[data-act=withdraw]').waitFor();

  await supervisor.goto('/console/#/approvals');
  const alike = supervisor.locator(`.waiting[data-series="${series}"]`);
  await alike.locator('> details > summary', { hasText: '逐日查看' }).click();
  assert.deepEqual(await alike.locator('.days a').allTextContents(), [days[0], days[2], days[3]]);
  assert.match(await supervisor.locator(`.waiting[data-round="${days[1]}"] tbody`).textContent(), /301/);
  await shoot(supervisor, 'console-series');
  await isUsable(supervisor, 'the inbox with a series');

  // A day that was withdrawn meanwhile is listed by name, and holds up no other.
  await operator.goto(`/console/#/rounds/${days[2]}`);
  await operator.locator('[data-act=withdraw]').click();
  await operator.locator('[data-act=submit]').waitFor();
  await alike.locator('.is-main').click();
  await supervisor.locator('dialog[open] .is-main').click();
  await supervisor.locator(`dialog[open] .mistakes li:has-text("${days[2]}")`).waitFor();
  await shoot(supervisor, 'console-series-refused');
  await isUsable(supervisor, 'a day that was refused');
  await supervisor.locator('dialog[open] .is-main').click();
  await alike.waitFor({ state: 'detached' });
  const states = await supervisor.evaluate(async (of) => {
    const { api } = await import('/console/api.js');
    const { rounds } = await api.get(`/rounds?series=${of}`);
    return rounds.map(({ id, state }) => [id, state]).sort();
  }, series);
  assert.deepEqual(states, [[days[0], 'published'], [days[1], 'submitted'], [days[2], 'draft'], [days[3], 'published']]);
  await close(operator);
  await close(supervisor);
});

test('a login that expires in the middle of an edit loses nothing that was typed', async () => {
  const operator = await person('operator');
  const product = unique('kept');
  await typeRound(operator, { name: 'Typed before the login expired', product });
  await operator.context().clearCookies();
  await operator.keyboard.press('Control+s');
  await operator.locator('#login[open]').waitFor();
  await shoot(operator, 'console-login-expired');
  await isUsable(operator, 'the login that expired');
  assert.equal(await operator.inputValue(at('name')), 'Typed before the login expired');
  await logIn(operator, 'operator');
  await operator.locator('[data-act=submit]').waitFor();
  assert.equal(await operator.inputValue(at('products.0.id')), product);
  assert.equal(await operator.inputValue(at('products.0.text')), 'Cleans **every** corner.');

  // Nor does closing the round, or a reload, in the middle of it.
  await operator.fill(at('name'), 'Changed and not saved');
  await operator.reload();
  await operator.locator('.note:has-text("brought back")').waitFor();
  assert.equal(await operator.inputValue(at('name')), 'Changed and not saved');
  await close(operator);
});

test('what a save was refused for stays marked when an earlier check comes late', async () => {
  const operator = await person('operator');
  await typeRound(operator, { name: 'Checked late', product: unique('late') });
  let release;
  const late = new Promise((resolve) => (release = resolve));
  await operator.route('**/ops/api/rounds/check', async (route) => {
    await late;
    // Nobody may wait for it any more.
    await route.fulfill({ json: {} }).catch(() => {});
  });
  const refusal = { code: 'mistakes', message: 'One field is refused.', mistakes: [{ field: 'name', code: 'empty', message: 'Another name, please.', values: ['200'] }] };
  await operator.route('**/ops/api/rounds', (route) => route.fulfill({ status: 422, json: refusal }));
  const checking = operator.waitForRequest('**/ops/api/rounds/check');
  await operator.fill(at('name'), 'Checked too late');
  await checking;
  await operator.keyboard.press('Control+s');
  const mistake = operator.locator('[data-mistake=name]', { hasText: 'Another name, please.' });
  await mistake.waitFor();
  release();
  await operator.evaluate(() => fetch('/ops/api/me'));
  assert.equal(await mistake.count(), 1);
  await close(operator);
});

test('what one person began is neither done nor shown under another who logs in after them', async () => {
  const operator = await person('operator');
  await typeRound(operator, { name: 'As it was saved', product: unique('other') });
  const id = await save(operator);
  const writes = [];
  operator.on('request', (it) => it.method() === 'PUT' && writes.push(it.url()));
  await operator.fill(at('name'), 'Typed by the operator');
  await operator.locator('[data-act=save]').waitFor();
  await operator.context().clearCookies();
  await operator.keyboard.press('Control+s');
  await logIn(operator, 'supervisor');
  await operator.locator('#who:has-text("supervisor")').waitFor();
  await operator.locator(at('name')).waitFor();
  assert.equal(await operator.inputValue(at('name')), 'As it was saved');
  assert.equal(await operator.locator('.note:has-text("brought back")').count(), 0);
  assert.equal(writes.length, 1, 'the request that was refused was not sent again');

  // It waits for the person who typed it.
  await operator.context().clearCookies();
  await operator.reload();
  await logIn(operator, 'operator');
  await operator.locator('.note:has-text("brought back")').waitFor();
  assert.equal(await operator.inputValue(at('name')), 'Typed by the operator');
  await close(operator);
});

test('an edit of a round that begins between two seconds is that edit, and no other', async () => {
  const operator = await person('operator');
  const { starts_ms: starts, ends_ms: ends } = await (await operator.request.get('/ops/api/rounds/1')).json();
  assert.notEqual(starts % 1_000 + ends % 1_000, 0, 'the demo’s round was to begin a while after its start');
  await operator.goto('/console/#/rounds/1');
  await operator.locator(at('name')).waitFor();
  const name = await operator.inputValue(at('name'));
  await operator.fill(at('name'), `${name} again`);
  await operator.locator('[data-act=save]').waitFor();
  await operator.keyboard.press('Control+s');
  await operator.locator('dialog[open] [data-change]').first().waitFor();
  assert.deepEqual(await operator.locator('dialog[open] [data-change]').evaluateAll((all) => all.map((it) => it.dataset.change)), ['name']);
  await operator.click('dialog[open] button:not([type=submit])');
  await operator.click('text=Discard');
  await close(operator);
});

test('two people who edit one round see each other’s edit before anything is overwritten', async () => {
  const [operator, supervisor] = [await person('operator'), await person('supervisor')];
  await typeRound(operator, { name: 'Both edit it', product: unique('both') });
  const id = await save(operator);
  await supervisor.goto(`/console/#/rounds/${id}`);
  await supervisor.locator(at('name')).waitFor();
  await operator.fill(at('name'), 'The operator was first');
  await operator.locator('[data-act=save]').waitFor();
  await operator.keyboard.press('Control+s');
  await operator.locator('[data-act=save]').waitFor({ state: 'detached' });
  await supervisor.fill(at('name'), 'The supervisor was second');
  await supervisor.keyboard.press('Control+s');
  const clash = supervisor.locator('dialog[open]');
  await clash.locator('td:has-text("The operator was first")').waitFor();
  await shoot(supervisor, 'console-clash');
  await isUsable(supervisor, 'two edits of one round');
  await clash.locator('.is-main').click();
  await clash.waitFor({ state: 'detached' });
  await supervisor.reload();
  await supervisor.locator(at('name')).waitFor();
  assert.equal(await supervisor.inputValue(at('name')), 'The supervisor was second');
  await close(operator);
  await close(supervisor);
});

test('no text field of a round can run a script: not in the editor, list, inbox, audit log or shop', async () => {
  const [operator, supervisor] = [await person('operator'), await person('supervisor')];
  const product = unique('xss');
  await typeRound(operator, { name: XSS, product, title: XSS, text: `${XSS}\n\n- ${XSS}\n\n**${XSS}**` });
  await operator.frameLocator('.preview iframe').locator('h1:has-text("onerror")').waitFor();
  const id = await save(operator);
  await operator.click('[data-act=submit]');
  await operator.locator('[data-act=withdraw]').waitFor();
  await operator.goto('/console/#/rounds');
  await operator.locator(`[data-round="${id}"]`).waitFor();
  await supervisor.goto('/console/#/approvals');
  await supervisor.locator(`.waiting[data-round="${id}"] .button:not(.is-main)`).click();
  await supervisor.locator('dialog[open] textarea').fill(XSS);
  await supervisor.locator('dialog[open] .is-danger').click();
  await supervisor.locator(`.waiting[data-round="${id}"]`).waitFor({ state: 'detached' });
  await operator.goto(`/console/#/rounds/${id}`);
  await operator.locator('.note[data-tone=bad]:has-text("onerror")').waitFor();
  await operator.click('[data-act=submit]');
  await operator.locator('[data-act=withdraw]').waitFor();
  await supervisor.goto('/console/#/rounds');
  await supervisor.goto('/console/#/approvals');
  await supervisor.locator(`.waiting[data-round="${id}"] .is-main`).click();
  await supervisor.locator('dialog[open] .is-main').click();
  await supervisor.locator(`.waiting[data-round="${id}"]`).waitFor({ state: 'detached' });
  await supervisor.goto('/console/#/audit');
  await supervisor.locator(`tr:has(a[href="#/rounds/${id}"])`).first().waitFor();
  await operator.goto(`${BASE_URL}/product/${id}-${product}.html`);
  await operator.locator('h1:has-text("onerror")').waitFor();
  for (const page of [operator, supervisor]) {
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    await close(page);
  }
});

test('another site cannot act in an operator’s name, nor frame the console', async () => {
  const operator = await person('operator');
  // The shop's own origin: the same host, so that the cookie would go along.
  await operator.goto(`${BASE_URL}/`);
  const outcome = await operator.evaluate(async (target) => {
    const send = (headers) => fetch(`${target}/ops/api/logout`, { method: 'POST', credentials: 'include', mode: headers ? 'cors' : 'no-cors', headers })
      .then((answer) => answer.status, () => 'refused');
    return [await send(null), await send({ 'X-Seckill-Csrf': 'x' })];
  }, CONSOLE_URL);
  assert.equal(outcome[1], 'refused', 'what has the header is not even sent');
  assert.ok(outcome[0] === 0 || outcome[0] === 'refused', 'the answer of what is sent cannot be read');
  await operator.goto('/console/');
  await operator.locator('#nav a').first().waitFor();
  assert.equal(await operator.locator('#login[open]').count(), 0, 'still logged in: nothing was done');
  const page = await fetch(`${CONSOLE_URL}/console/`);
  assert.match(page.headers.get('content-security-policy'), /frame-ancestors 'none'/);
  assert.doesNotMatch(page.headers.get('content-security-policy'), /unsafe-inline/);
  await operator.context().close();
});

test('an operator finds an order, reads what its buyer filled in, notes, cancels', { skip: !process.env.FORM_PRODUCT }, async () => {
  const buyer = await shopper(browser);
  const user = name();
  await buyer.request.post('/api/session', { data: { user } });
  const order = await buys(buyer, process.env.FORM_PRODUCT);
  const given = await buyer.request.put(`/api/orders/${order}/details`, { data: { strap: 'black', address: '<b>1 Long Street</b>' } });
  assert.equal(given.status(), 200);
  const operator = await person('operator');
  await operator.goto('/console/#/orders');
  await operator.selectOption('#orders-by', 'user');
  await operator.fill('#orders-text', user);
  await operator.keyboard.press('Enter');
  await operator.locator('.page-orders tbody tr').nth(1).waitFor({ state: 'detached' });
  // A file, too, asks for the login that it needs.
  await operator.context().clearCookies();
  await operator.click('[data-act=export]');
  const saved = operator.waitForEvent('download');
  await logIn(operator, 'operator');
  const file = await saved;
  assert.equal(file.suggestedFilename(), 'orders.csv');
  assert.match(await readFile(await file.path(), 'utf8'), new RegExp(order));
  await operator.locator(`tr[data-order="${order}"] a`).click();
  await operator.locator('[data-detail=strap]', { hasText: 'Black' }).waitFor();
  assert.equal(await operator.locator('[data-detail=address] dd').textContent(), '<b>1 Long Street</b>');
  await operator.click('[data-act="order.note"]');
  await operator.fill('dialog[open] textarea', 'Rang up.');
  await operator.click('dialog[open] [type=submit]');
  await operator.locator('.history li', { hasText: 'Rang up.' }).waitFor();
  await operator.click('[data-act="order.cancel"]');
  await operator.fill('dialog[open] textarea', 'The buyer asked for it.');
  await operator.click('dialog[open] [type=submit]');
  await operator.locator('[data-order-state=cancelled]').waitFor();
  assert.equal(await operator.locator('[data-act="order.cancel"], [data-act="order.refund"]').count(), 0);
  // Words for people, in their language and on the shop's clock; no line of the ledger.
  const history = operator.locator('.history');
  await history.locator('li', { hasText: 'to be paid before' }).waitFor();
  for (const text of [await history.textContent(), await chinese(operator, '.history')]) assert.doesNotMatch(text, /request=|user=|\d{4}-\d\d-\d\dT|refund_due/);
  assert.match(await chinese(operator, '.history'), /须在 .* 前支付/);
  await operator.selectOption('#lang', 'en');
  await operator.locator('.history').waitFor();
  await shoot(operator, 'console-order-real');
  await isUsable(operator, 'an order that was cancelled');
  await close(operator);
  await close(buyer);
});
