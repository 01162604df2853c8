// What shoppers do to a page that was not made for it: two clicks for one, a full disk, a
// clock of their own, the back button, and a sale that is stopped under their hands.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { bought, close, launch, logIn, name, pretend, PAGE, ROUND, scene, shoot, shopper, UNTIL_OPEN } from './browser.mjs';
import { buys, eventually } from './buyer.mjs';

// Not the product that others wait for.
const OTHER = process.env.OTHER_PRODUCT ?? '154';
const OTHER_PAGE = `/product/${ROUND}-${OTHER}.html`;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

test('two clicks on the button are one purchase', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const show = await pretend(page, { state: 'open' });
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').waitFor();
  await page.dblclick('#buy');
  await scene(page, 'processing').waitFor();
  await page.click('#buy', { force: true });
  show.result = { status: 'ordered', order: '7301' };
  await scene(page, 'ordered').waitFor();
  assert.equal(show.bought.length, 1);
  await close(page);
});

test('in a browser whose storage is full a purchase is made, and found again after a reload', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await page.addInitScript(() => {
    Storage.prototype.setItem = () => {
      throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
    };
  });
  await logIn(page, name());
  await page.goto(OTHER_PAGE);
  await page.locator('#buy[aria-disabled=false]').waitFor(UNTIL_OPEN);
  await page.click('#buy');
  await bought(page);
  const order = await page.textContent('#order');
  await page.reload();
  await scene(page, 'ordered').waitFor();
  assert.equal(await page.textContent('#order'), order);
  await close(page);
});

test('a link is copied also where the clipboard is forbidden, and not called copied when it is not', async () => {
  for (const way of ['refused', 'missing', 'nothing']) {
    const page = await shopper(browser, { lang: 'en' });
    await page.addInitScript((way) => {
      const clipboard = way === 'missing' ? undefined : { writeText: () => Promise.reject(new DOMException('No.', 'NotAllowedError')) };
      Object.defineProperty(navigator, 'clipboard', { value: clipboard });
      Object.defineProperty(navigator, 'share', { value: undefined });
      if (way === 'nothing') document.execCommand = () => false;
      document.addEventListener('copy', () => { window.copied = document.activeElement.value; });
    }, way);
    await page.goto(OTHER_PAGE);
    await page.locator('html[data-ready]').waitFor();
    await page.click('#share');
    await page.locator('.toast').waitFor();
    const said = await page.locator('.toast').innerText();
    if (way === 'nothing') {
      assert.match(said, /copy the link/);
      assert.ok(said.includes(OTHER_PAGE), said);
    } else {
      assert.match(said, /Link copied/);
      assert.ok((await page.evaluate(() => window.copied)).endsWith(OTHER_PAGE));
    }
    await page.locator('#share:focus').waitFor();
    await close(page);
  }
});

test('in a browser that refuses all storage the pages still work', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await page.addInitScript(() => {
    for (const store of ['localStorage', 'sessionStorage']) {
      Object.defineProperty(window, store, { get: () => {
        throw new DOMException('Access is denied for this document.', 'SecurityError');
      } });
    }
  });
  await logIn(page, name());
  const order = await buys(page, OTHER);
  for (const [path, shows] of [['/', '#rounds a'], ['/orders.html', `.order-row[data-order="${order}"]`], [`/order.html?order=${order}`, '#pay']]) {
    await page.goto(path);
    await page.locator(shows).first().waitFor();
  }
  await close(page);
});

for (const minutes of [-10, 10]) {
  test(`a clock that is ${minutes > 0 ? 'ten minutes fast' : 'ten minutes slow'} changes neither the countdown nor the time to pay`, async () => {
    const page = await shopper(browser, { lang: 'en', clockOffBy: minutes * 60_000 });
    await logIn(page, name());
    const order = await buys(page, OTHER);
    await page.goto(`/order.html?order=${order}`);
    await page.locator('#main[data-state=created]').waitFor();
    const { pay_by_ms: payBy } = await (await page.request.get(`/api/orders/${order}`)).json();
    await eventually('the clock says what is left by the shop', async () => {
      const [minute, second] = (await page.textContent('#clock')).split(':').map(Number);
      const { now_ms: now } = await (await page.request.get('/api/time')).json();
      return Math.abs(payBy - now - (minute * 60 + second) * 1_000) < 3_000;
    });
    await page.goto(OTHER_PAGE);
    await scene(page, 'ordered').waitFor();
    const { now_ms: now } = await (await page.request.get('/api/time')).json();
    const shown = await page.evaluate((ms) => {
      const [h, m, s] = document.querySelector('#shop-time').textContent.split(':').map(Number);
      const day = new Date(ms);
      return Math.abs(h * 3_600 + m * 60 + s - (day.getHours() * 3_600 + day.getMinutes() * 60 + day.getSeconds()));
    }, now);
    assert.ok(shown < 5 || shown > 86_395, `the shop's clock is ${shown} s off`);
    await close(page);
  });
}

test('back from the payment the product page knows that it is paid', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await logIn(page, name());
  await buys(page, OTHER);
  await page.goto(OTHER_PAGE);
  await scene(page, 'ordered').waitFor();
  await page.click('#buy');
  await page.locator('#pay').click();
  await page.locator('#main[data-state=paid]').waitFor();
  await page.goBack();
  await scene(page, 'paid').waitFor();
  assert.equal(await page.getAttribute('#buy', 'aria-disabled'), 'true');
  await page.goForward();
  await page.locator('#main[data-state=paid]').waitFor();
  assert.equal(await page.locator('#pay').count(), 0);
  await close(page);
});

test('a sale that is paused, resumed and withdrawn while the page is open says each, and sells in between', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const show = await pretend(page, { state: 'open' });
  await page.goto(PAGE);
  const button = page.locator('#buy[aria-disabled=false]');
  await button.waitFor();
  show.state = 'paused';
  await scene(page, 'paused').waitFor();
  assert.equal(await button.count(), 0);
  show.state = 'open';
  await button.waitFor();
  show.state = 'sold_out';
  await scene(page, 'sold_out').waitFor();
  assert.equal(await button.count(), 0);
  show.state = 'open';
  await button.waitFor();
  // Paused between the page's last poll and the click.
  show.buy = [410, 'paused'];
  show.state = 'paused';
  await page.evaluate(() => document.querySelector('#buy').click());
  await scene(page, 'paused').waitFor();
  show.state = 'withdrawn';
  await scene(page, 'withdrawn').waitFor();
  await page.locator('#home:visible').waitFor();
  await close(page);
});

test('whoever has the product already is told so, and not invited to try again', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const show = await pretend(page, { state: 'open', buy: [409, 'duplicate'] });
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').click();
  await page.locator('#product[data-notice=duplicate]').waitFor();
  await page.locator('#buy-text', { hasText: 'You have this already' }).waitFor();
  await page.locator('#see-orders:visible').waitFor();
  assert.equal(show.bought.length, 1);
  await close(page);
});

// A portal in a hotel answers with its login page, a CDN with a challenge.
const strange = (status) => (route) => route.fulfill({ status, contentType: 'text/html', body: '<h1>Please sign in</h1>' });

test('a page of a portal is not taken for the shop’s response to a purchase', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const show = await pretend(page, { state: 'open' });
  await page.route('**/buy/**', strange(200));
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').click();
  await scene(page, 'lost').waitFor();
  show.result = { status: 'ordered', order: '7301' };
  await scene(page, 'ordered').waitFor();
  await close(page);
});

test('an order that somebody in between refuses to show is not called missing, and is shown once they let it pass', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const show = await pretend(page, {});
  for (const status of [403, 429, 200]) {
    show.order = { order: '7301', round: ROUND, product: OTHER, quantity: 1, status: 'paid', total_cents: 99_900, price_cents: 99_900, created_ms: Date.now(), pay_by_ms: Date.now() + 600_000, reason: null, payments: [] };
    await page.route('**/api/orders/7301', strange(status));
    await page.goto('/order.html?order=7301');
    await page.locator('#main[data-state=lost]').waitFor();
    await page.unroute('**/api/orders/7301');
    await page.locator('#main[data-state=paid]').waitFor();
  }
  await close(page);
});

test('who pays an order that the shop has just cancelled is not told that they were too late', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const order = { order: '7301', round: ROUND, product: OTHER, quantity: 1, status: 'created', total_cents: 99_900, price_cents: 99_900, created_ms: Date.now(), pay_by_ms: Date.now() + 2 * 86_400_000, reason: null, payments: [] };
  const show = await pretend(page, { order });
  await page.route('**/api/orders/7301/pay', (route) => {
    show.order = { ...order, status: 'cancelled', reason };
    return route.fulfill({ status: 409, contentType: 'application/json', body: JSON.stringify({ code: 'order_cancelled', message: '' }) });
  });
  let reason = 'operator';
  await page.goto('/order.html?order=7301');
  await page.locator('#clock', { hasText: /^1 day 23:59:\d\d$/ }).waitFor();
  await shoot(page, 'order-days-en');
  await page.click('#pay');
  await page.locator('#main[data-state=cancelled]', { hasText: 'The shop cancelled this order.' }).waitFor();
  assert.equal(await page.locator('.trouble').count(), 0);
  reason = 'unpaid';
  show.order = order;
  await page.reload();
  await page.click('#pay');
  await page.locator('.trouble', { hasText: 'too late to pay' }).waitFor();
  await close(page);
});

test('a logout that fails says so, and one that succeeds says nothing of it', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await logIn(page, name());
  await page.route('**/api/session/logout', (route) => route.fulfill({ status: 502, contentType: 'text/html', body: 'bad' }));
  await page.click('.login-door');
  await page.locator('#login-note.is-bad', { hasText: 'may still be logged in' }).waitFor();
  assert.ok(await page.locator('#account.is-in').isVisible());
  await page.unroute('**/api/session/logout');
  await page.click('.login-door');
  await page.locator('#account:not(.is-in)').waitFor();
  assert.equal(await page.locator('#login-note.is-bad').count(), 0);
  await close(page);
});
