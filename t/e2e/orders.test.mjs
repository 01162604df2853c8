// A buyer's orders: paying, cancelling, finding them again, and being notified of
// what happens to them on whatever page the buyer is.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isUsable } from './axe.mjs';
import { bought, buy, close, launch, logIn, name, ROUND, scene, shoot, shopper, UNTIL_OPEN } from './browser.mjs';
import { buys, callsOf, eventually } from './buyer.mjs';

// Not the product that others wait for.
const PRODUCT = process.env.OTHER_PRODUCT ?? '154';
const PAGE = `/product/${ROUND}-${PRODUCT}.html`;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const standing = (page, where) => page.locator(`#main[data-state=${where}]`);

test('an order is bought, paid within its ten minutes, and found in the list', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await logIn(page, name());
  await page.goto(PAGE);
  await page.click('#more');
  await buy(page);
  await page.locator('#pay-line:not([hidden])').waitFor();
  const order = await page.textContent('#order');

  await page.click('#buy');
  await page.waitForURL(`**/order.html?order=${order}`);
  await standing(page, 'created').waitFor();
  assert.match(await page.textContent('#clock'), /^(10:00|9:\d\d)$/);
  assert.match(await page.textContent('#order'), /Quantity2/);
  assert.equal(await page.textContent('#badge'), '1');
  await page.click('#pay');
  await standing(page, 'paid').waitFor();
  await page.locator('#badge').waitFor({ state: 'hidden' });

  await page.goto('/orders.html');
  await page.locator(`.order-row[data-order="${order}"][data-status=paid]`).waitFor();
  await page.goto(PAGE);
  await scene(page, 'paid').waitFor();
  assert.equal(await page.getAttribute('#buy', 'aria-disabled'), 'true');
  await close(page);
});

test('an order is cancelled only after a confirmation, and may be followed by another', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await logIn(page, name());
  const order = await buys(page, PRODUCT);
  await page.goto(`/order.html?order=${order}`);
  await page.click('#cancel');
  await page.locator('#sure[open]').waitFor();
  await page.keyboard.press('Escape');
  await standing(page, 'created').waitFor();
  await page.click('#cancel');
  await page.click('#sure [value=yes]');
  await standing(page, 'cancelled').waitFor();
  assert.match(await page.textContent('.standing'), /can buy it again/);

  await page.click('.actions a');
  await page.locator('#product[data-notice=cancelled]').waitFor();
  assert.match(await page.textContent('#panel-text'), /still on sale\. You can buy it again/);
  await page.locator('#buy[aria-disabled=false]').click();
  await bought(page);
  assert.notEqual(await page.textContent('#order'), order);
  await close(page);
});

test('a buyer on another page is notified when their order is placed, paid or cancelled', async () => {
  const start = await shopper(browser, { lang: 'en' });
  await logIn(start, name());
  const product = await start.context().newPage();
  await product.goto(PAGE);
  await product.locator('#buy[aria-disabled=false]').waitFor(UNTIL_OPEN);
  // The page is gone before the response: only the start page can notify.
  await product.route('**/result', (route) => route.abort());
  await product.click('#buy');
  await scene(product, 'sending').or(scene(product, 'processing')).first().waitFor();
  await start.bringToFront();
  const toast = (words) => start.locator('.toast', { hasText: words });
  await toast('You got it!').waitFor();
  assert.equal(await start.textContent('#badge'), '1');
  const link = await toast('You got it!').locator('a').getAttribute('href');
  const order = new URL(link, 'http://shop').searchParams.get('order');
  const { post } = callsOf(start);
  assert.equal((await post(`/api/orders/${order}/cancel`)).status, 200);
  await toast('was cancelled').waitFor();
  await start.locator('#badge').waitFor({ state: 'hidden' });
  await close(start);
});

test("another buyer's order does not exist, and nobody sees orders without a login", async () => {
  const owner = await shopper(browser);
  await logIn(owner, name());
  const order = await buys(owner, PRODUCT);
  const other = await shopper(browser, { lang: 'en' });
  await other.goto(`/order.html?order=${order}`);
  await standing(other, 'login').waitFor();
  await other.click('.nothing button');
  await other.fill('#user', name());
  await other.keyboard.press('Enter');
  await standing(other, 'missing').waitFor();
  await other.goto('/orders.html');
  await standing(other, 'empty').waitFor();
  await close(owner);
  await close(other);
});

test('a payment without a response is not called a failure, and not made twice', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await logIn(page, name());
  const order = await buys(page, PRODUCT);
  await page.goto(`/order.html?order=${order}`);
  let paid = 0;
  await page.route('**/pay', async (route) => {
    paid += 1;
    await route.fetch();
    await route.abort('connectionreset');
  });
  await page.click('#pay');
  await standing(page, 'paid').waitFor();
  assert.equal(paid, 1);
  await close(page);
});

test('an order whose time to pay runs out is shown as cancelled', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const order = { order: '7', round: '1', product: '154', title: 'Earbuds', quantity: 1, price_cents: 9900, total_cents: 9900, created_ms: 1, can_pay_here: true, payments: [] };
  await page.route('**/api/session', (route) => route.fulfill({ json: { user: 'ann', expires_ms: 9e15 } }));
  await page.route('**/api/rounds/**/result', (route) => route.fulfill({ json: { status: 'ordered', order: '7', reason: null } }));
  const { now_ms: now } = await (await page.request.get('/api/time')).json();
  const show = { status: 'created', reason: null, pay_by_ms: now + 4_000 };
  await page.route('**/api/orders/7', (route) => route.fulfill({ json: { ...order, ...show } }));
  await page.goto('/order.html?order=7');
  await standing(page, 'created').waitFor();
  await standing(page, 'late').waitFor();
  assert.equal(await page.locator('#pay').count(), 0);
  Object.assign(show, { status: 'cancelled', reason: 'unpaid' });
  await standing(page, 'cancelled').waitFor();
  assert.match(await page.textContent('.standing'), /did not pay in time/);
  await close(page);
});

test('a long list is turned page by page, and back is back', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await page.route('**/api/session', (route) => route.fulfill({ json: { user: 'ann', expires_ms: 9e15 } }));
  await page.route('**/api/orders?page=*', (route) => {
    const number = Number(new URL(route.request().url()).searchParams.get('page'));
    const orders = Array.from({ length: number === 3 ? 5 : 20 }, (_, i) => ({
      order: String(1000 - number * 20 - i), round: '1', product: '155', quantity: 1, price_cents: 100, total_cents: 100,
      status: 'cancelled', reason: 'unpaid', created_ms: 1, pay_by_ms: 2,
    }));
    return route.fulfill({ json: { orders, page: number, more: number < 3 } });
  });
  await page.goto('/orders.html');
  await page.locator('[data-order="980"]').waitFor();
  await page.click('#older');
  await page.locator('[data-order="960"]').waitFor();
  await page.click('#older');
  await page.locator('[data-order="940"]').waitFor();
  assert.equal(await page.locator('.order-row').count(), 5);
  assert.ok(await page.locator('#older').isDisabled());
  await page.goBack();
  await page.locator('[data-order="960"]').waitFor();
  await close(page);
});

test('a page of the list that is not there leads to the first one', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await page.route('**/api/session', (route) => route.fulfill({ json: { user: 'ann', expires_ms: 9e15 } }));
  const order = { order: '7', round: '1', product: '155', quantity: 1, price_cents: 100, total_cents: 100, status: 'paid', created_ms: 1, pay_by_ms: 2 };
  await page.route('**/api/orders?page=*', (route) => {
    const asked = new URL(route.request().url()).searchParams.get('page');
    if (!/^[1-9]\d?$/.test(asked)) return route.fulfill({ status: 400, json: { code: 'bad_request', message: 'No.' } });
    return route.fulfill({ json: { orders: asked === '1' ? [order] : [], page: Number(asked), more: false } });
  });
  for (const number of ['99', '1.5', '1e9', '-3', 'x']) {
    await page.goto(`/orders.html?page=${number}`);
    await page.locator('[data-order="7"]').waitFor({ timeout: 10_000 });
  }
  await close(page);
});

test('the list keeps the focus when it is read again, and when an order changes', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await page.route('**/api/session', (route) => route.fulfill({ json: { user: 'ann', expires_ms: 9e15 } }));
  const show = { status: 'created' };
  const order = { order: '7', round: '1', product: '155', quantity: 1, price_cents: 100, total_cents: 100, created_ms: 1, pay_by_ms: 9e15 };
  let reads = 0;
  await page.route('**/api/orders?page=*', (route) => {
    reads += 1;
    return route.fulfill({ json: { orders: [{ ...order, ...show }, { ...order, order: '6', status: 'paid' }], page: 1, more: false } });
  });
  await page.goto('/orders.html');
  await page.locator('[data-order="7"]').focus();
  const row = await page.locator('[data-order="7"]').elementHandle();
  const again = async () => {
    const before = reads;
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await eventually('the list is read again', () => reads > before);
  };
  await again();
  await again();
  assert.ok(await row.evaluate((it) => it.isConnected && it === document.activeElement), 'what did not change stays');
  show.status = 'paid';
  await again();
  await page.locator('[data-order="7"][data-status=paid]:focus').waitFor();
  await close(page);
});

/** A label in two languages. */
const label = (zh, en) => ({ zh, en });
const FORM = [
  { name: 'size', label: label('尺码', 'Size'), kind: 'select', required: true, max_length: 100, options: [{ value: 'M' }, { value: 'L', label: label('大号', 'Large') }] },
  { name: 'address', label: label('收货地址', 'Address'), kind: 'textarea', required: true, max_length: 200, autocomplete: 'street-address' },
  { name: 'note', label: label('备注', 'Note'), kind: 'text', required: false, max_length: 10 },
];

/** An order with a form, of a shop that keeps what is filled in, or refuses with `show.refusal`. */
async function orderWithForm(page) {
  const { now_ms: now } = await (await page.request.get('/api/time')).json();
  const order = { order: '7', round: '1', product: '154', title: 'Earbuds', quantity: 1, price_cents: 9900, total_cents: 9900, created_ms: now, pay_by_ms: now + 600_000, status: 'created', reason: null, can_pay_here: true, payments: [], form: FORM, details: null, details_due: true };
  const show = { order, kept: [], paid: 0, refusal: null };
  await page.route('**/api/session', (route) => route.fulfill({ json: { user: 'ann', expires_ms: 9e15 } }));
  await page.route('**/api/rounds/**/result', (route) => route.fulfill({ json: { status: 'ordered', order: '7', reason: null } }));
  await page.route('**/api/orders/7', (route) => route.fulfill({ json: order }));
  await page.route('**/api/orders/7/details', (route) => {
    if (show.refusal) return route.fulfill({ status: 400, json: { code: 'bad_details', message: 'Refused.', ...show.refusal } });
    const details = route.request().postDataJSON();
    show.kept.push(details);
    Object.assign(order, { details, details_due: false });
    return route.fulfill({ json: { order: '7', details } });
  });
  await page.route('**/api/orders/7/pay', (route) => {
    show.paid += 1;
    order.status = 'paid';
    return route.fulfill({ json: { order: '7', status: 'paid' } });
  });
  return show;
}

test('what an order needs is filled in on its page, and one click on the button pays after it', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const show = await orderWithForm(page);
  await page.goto('/order.html?order=7');
  await page.locator('#details-form').waitFor();
  await shoot(page, 'order-form');
  await isUsable(page, 'an order with a form');
  // Nothing is sent, and the first field that is missing has the focus.
  await page.click('#pay');
  await page.locator('#details-size:focus').waitFor();
  assert.equal(await page.getAttribute('#details-size', 'aria-invalid'), 'true');
  assert.match(await page.textContent('#details-address-flaw'), /fill this in/);
  await shoot(page, 'order-form-missing');
  await isUsable(page, 'an order with a form that lacks something');
  assert.equal(show.paid, 0);

  await page.getByLabel('Size').selectOption('L');
  await page.getByLabel('Address').fill('1 Long Street');
  await page.getByLabel('Note').fill('a note that is too long');
  assert.equal(await page.inputValue('#details-note'), 'a note tha', 'the browser holds the limit');
  // The shop may refuse what the page lets pass.
  show.refusal = { field: 'note', reason: 'invisible' };
  await page.click('#pay');
  await page.locator('#details-note:focus').waitFor();
  assert.match(await page.textContent('#details-note-flaw'), /invisible character/);
  show.refusal = null;
  await page.click('#pay');
  await standing(page, 'paid').waitFor();
  assert.deepEqual(show.kept, [{ size: 'L', address: '1 Long Street', note: 'a note tha' }]);
  assert.equal(show.paid, 1);
  assert.match(await page.textContent('.details'), /Size.*Large.*Address.*1 Long Street/s);
  assert.equal(await page.locator('.details button').count(), 0, 'a paid order keeps its details');
  await isUsable(page, 'a paid order with details');
  await close(page);
});

test('what is typed into a form stays while the page polls and changes its language', async () => {
  const page = await shopper(browser, { lang: 'zh-CN' });
  const show = await orderWithForm(page);
  await page.goto('/order.html?order=7');
  await page.getByLabel('收货地址').fill('长安街 1 号');
  const before = await page.evaluate(() => performance.getEntriesByName(new URL('/api/orders/7', location).href).length);
  await eventually('the page polls its order', () => page.evaluate((n) => performance.getEntriesByName(new URL('/api/orders/7', location).href).length > n, before));
  assert.equal(await page.getByLabel('收货地址').inputValue(), '长安街 1 号');
  await page.selectOption('#lang', 'en');
  assert.equal(await page.getByLabel('Address').inputValue(), '长安街 1 号');
  await page.selectOption('#lang', 'ar');
  await shoot(page, 'order-form-ar');
  await isUsable(page, 'a form from right to left');
  await page.selectOption('#lang', 'zh-CN');
  await page.getByLabel('尺码').selectOption('M');
  await page.click('#details-save');
  await page.locator('#details-edit').waitFor();
  await shoot(page, 'order-form-saved');
  await page.click('#details-edit');
  await page.getByLabel('尺码').selectOption('L');
  await page.click('#details-save');
  await page.locator('.details .facts', { hasText: '大号' }).waitFor();
  assert.deepEqual(show.kept.map((it) => it.size), ['M', 'L']);
  await close(page);
});

test('what was typed is there again for the same buyer after their login ended, and for nobody else', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await orderWithForm(page);
  let user = 'ann';
  await page.route('**/api/session', (route) => (user ? route.fulfill({ json: { user, expires_ms: 9e15 } }) : route.fulfill({ status: 401, json: { code: 'login_required' } })));
  const look = () => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await page.goto('/order.html?order=7');
  await page.getByLabel('Address').fill('1 Long Street');
  const becomes = async (next) => {
    user = null;
    await look();
    await standing(page, 'login').waitFor();
    user = next;
    await look();
    await page.getByLabel('Address').waitFor();
  };
  await becomes('ann');
  assert.equal(await page.inputValue('#details-address'), '1 Long Street');
  await becomes('bob');
  assert.equal(await page.inputValue('#details-address'), '');
  await close(page);
});

test('a printed order says its day, its shop and its buyer', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const show = await orderWithForm(page);
  Object.assign(show.order, { status: 'paid', created_ms: Date.UTC(2026, 10, 28, 12) });
  await page.goto('/order.html?order=7');
  await standing(page, 'paid').waitFor();
  assert.equal(await page.locator('.printed:visible').count(), 0);
  await page.emulateMedia({ media: 'print' });
  assert.match(await page.locator('.bought').innerText(), /ann[\s\S]*Nov 28, 2026/);
  assert.ok(await page.locator('.brand').isVisible());
  assert.equal(await page.locator('.top .tool:visible').count(), 0);
  await shoot(page, 'order-printed');
  await close(page);
});

test('the tab says in the language of the page what it is', async () => {
  const page = await shopper(browser, { lang: 'zh-CN' });
  await orderWithForm(page);
  for (const [url, zh, en] of [['/order.html?order=7', /订单/, /^Order · Seckill$/], ['/orders.html', /我的订单/, /^My orders · Seckill$/], ['/', /秒杀/, /^Seckill$/], [PAGE, /秒杀/, / · Seckill$/]]) {
    await page.goto(url);
    await page.selectOption('#lang', 'zh-CN');
    assert.match(await page.title(), zh);
    await page.selectOption('#lang', 'en');
    assert.match(await page.title(), en);
  }
  await close(page);
});

test('details whose response was lost, or that an older poll does not know, are shown as kept', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const show = await orderWithForm(page);
  let holds = false;
  let late = null;
  let later = 0;
  await page.route('**/api/orders/7', async (route) => {
    const old = structuredClone(show.order);
    if (holds && !late) await new Promise((done) => { late = done; });
    else if (late) later += 1;
    return route.fulfill({ json: old });
  });
  await page.goto('/order.html?order=7');
  await page.getByLabel('Size').selectOption('L');
  await page.getByLabel('Address').fill('1 Long Street');
  holds = true;
  await eventually('the page polls its order', () => late);
  await page.click('#details-save');
  const kept = page.locator('.details .facts', { hasText: '1 Long Street' });
  await kept.waitFor();
  await page.evaluate(() => {
    window.losses = 0;
    new MutationObserver(() => { window.losses += !document.querySelector('.details .facts')?.textContent.includes('1 Long Street'); })
      .observe(document.querySelector('#order'), { childList: true, subtree: true });
  });
  late();
  await eventually('the page polls again', () => later > 0);
  assert.equal(await page.evaluate(() => window.losses), 0, 'an older poll does not undo what was saved');

  // The shop keeps them, and the line breaks before it says so.
  await page.route('**/api/orders/7/details', (route) => {
    const details = route.request().postDataJSON();
    Object.assign(show.order, { details });
    return route.abort('connectionreset');
  });
  await page.click('#details-edit');
  await page.getByLabel('Address').fill('2 Short Street');
  await page.click('#details-save');
  await page.locator('.details .facts', { hasText: '2 Short Street' }).waitFor();
  assert.equal(await page.locator('.trouble').count(), 0);
  await close(page);
});

// scripts/e2e.sh gives this product a form of its own.
test('a shop with a form does not take money before it is filled in, and shows it afterwards', { skip: !process.env.FORM_PRODUCT }, async () => {
  const page = await shopper(browser, { lang: 'zh-CN' });
  await logIn(page, name());
  const order = await buys(page, process.env.FORM_PRODUCT);
  const { post, get } = callsOf(page);
  const refused = await post(`/api/orders/${order}/pay`);
  assert.deepEqual([refused.status, refused.body.code], [409, 'details_required']);
  await page.goto(`/order.html?order=${order}`);
  await page.getByLabel('表带').selectOption('red');
  await page.getByLabel('收货地址').fill(' 长安街 1 号\n北京 ');
  await page.click('#pay');
  await standing(page, 'paid').waitFor();
  assert.match(await page.textContent('.details'), /红色/);
  const { details, form } = await get(`/api/orders/${order}`);
  assert.deepEqual(details, { strap: 'red', address: '长安街 1 号\n北京' });
  assert.equal(form.length, 2);
  await close(page);
});
