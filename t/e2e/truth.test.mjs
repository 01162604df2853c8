// What pages say of a state that changed elsewhere, and of what the browser claims.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { callsOf, buys, eventually } from './buyer.mjs';
import { BASE_URL, close, launch, logIn, name, notice, PAGE, pretend, scene, shoot, shopper, UNTIL_OPEN } from './browser.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

test('what is bought in one tab is bought in the other', async () => {
  const page = await shopper(browser);
  await logIn(page, name());
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').waitFor(UNTIL_OPEN);
  const other = await page.context().newPage();
  await other.goto(PAGE);
  await other.locator('#buy[aria-disabled=false]').click();
  await scene(other, 'ordered').waitFor({ timeout: 60_000 });
  // Nobody touches the first tab: it is not even reloaded.
  await scene(page, 'ordered').waitFor();
  assert.equal(await page.textContent('#order'), await other.textContent('#order'));
  await close(page);
});

test('what is bought on another device is bought here, without a second puzzle', async () => {
  const page = await shopper(browser);
  await logIn(page, name());
  await page.route('**/api/captcha/way', (route) => route.fulfill({ json: { way: 'slider' } }));
  await page.route('**/api/captcha?*', (route) => route.abort());
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').waitFor(UNTIL_OPEN);
  await buys(page);
  await page.click('#buy');
  await scene(page, 'ordered').waitFor();
  await page.locator('dialog.captcha[open]').waitFor({ state: 'detached' });
  await close(page);
});

test('a login in one tab is a login in the other', async () => {
  const page = await shopper(browser);
  await page.goto('/');
  const other = await page.context().newPage();
  await other.goto('/orders.html');
  await logIn(page, name());
  await other.locator('#account.is-in').waitFor();
  await close(page);
});

test('a logout in one tab is one on every page, and so is a new login of the same buyer', async () => {
  const page = await shopper(browser);
  const user = name();
  await logIn(page, user);
  const others = [];
  for (const url of ['/', PAGE, '/orders.html', '/order.html?order=1']) {
    const other = await page.context().newPage();
    await other.goto(url);
    await other.locator('#account.is-in').waitFor();
    others.push(other);
  }
  const away = (other) => other.locator('#account:not(.is-in):not(:empty)').waitFor({ timeout: 10_000 });
  const back = (other) => other.locator('#account.is-in').waitFor({ timeout: 10_000 });
  await page.click('.login-door');
  for (const other of others) await away(other);
  await logIn(page, user);
  for (const other of others) await back(other);
  // A session that ended by itself: nobody logged out, and the same buyer logs in again.
  await page.context().clearCookies();
  await others[2].reload();
  await away(others[2]);
  for (const other of others) await away(other);
  await logIn(page, user);
  for (const other of others) await back(other);
  await close(page);
});

test('whoever logs in on an open page is seen to have one', async () => {
  const page = await shopper(browser);
  const opens_ms = Date.now() + 600_000;
  // So long before the opening the page asks for the state only every 30 s.
  const show = await pretend(page, { user: null, state: 'scheduled', times: { opens_ms, ends_ms: opens_ms + 600_000 } });
  await page.goto(PAGE);
  await page.locator('#product[data-scene=scheduled]').waitFor();
  const asked = [];
  page.on('request', (request) => asked.push(request.url().split('/').pop()));
  show.user = undefined;
  await page.click('#account');
  await page.fill('#user', 'pretender');
  await page.click('#login-form [type=submit]');
  // The first that it asks for the new shopper alone is their result.
  await eventually('the result is asked for', () => asked.includes('result'));
  const session = asked.indexOf('session');
  assert.ok(asked.slice(session).includes('state'), `with the session it asked for ${asked.slice(session)}`);
  await close(page);
});

test('an order cancelled in one tab is cancelled in the other', async () => {
  const page = await shopper(browser);
  await logIn(page, name());
  const order = await buys(page, '155');
  await page.goto(`/order.html?order=${order}`);
  await page.locator('[data-state=created]').waitFor();
  const other = await page.context().newPage();
  await other.goto(`/order.html?order=${order}`);
  await other.click('#cancel');
  await other.click('#sure [value=yes]');
  await page.locator('[data-state=cancelled]').waitFor();
  await close(page);
});

test('a banned shopper has no live button, and has it back when the ban is over', async () => {
  const page = await shopper(browser);
  const show = await pretend(page, { state: 'open' });
  let banned = true;
  await page.route('**/path', (route) => (banned ? route.fulfill({ status: 403, json: { code: 'blocked', message: '' } }) : route.fallback()));
  await page.goto(PAGE);
  await notice(page, 'blocked').waitFor();
  assert.equal(await page.getAttribute('#buy', 'aria-disabled'), 'true');
  await shoot(page, 'banned');
  await page.locator('#buy').dispatchEvent('click');
  assert.equal(show.bought, undefined, 'nothing was sent');
  banned = false;
  await page.locator('#buy[aria-disabled=false]').waitFor({ timeout: 60_000 });
  await close(page);
});

test('a browser that calls itself offline beside a shop that answers may buy', async () => {
  const page = await shopper(browser);
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'onLine', { get: () => false }));
  await pretend(page, { state: 'open' });
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').waitFor();
  await page.evaluate(() => window.dispatchEvent(new Event('offline')));
  await page.waitForResponse('**/api/time');
  assert.equal(await page.getAttribute('#buy', 'aria-disabled'), 'false');
  await close(page);
});

test('a shop that does not answer is said so, whatever the browser claims, and is found again', async () => {
  const page = await shopper(browser);
  await pretend(page, { state: 'open' });
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').waitFor();
  await page.route('**/api/**', (route) => route.abort('connectionreset'));
  assert.equal(await page.evaluate(() => navigator.onLine), true);
  await notice(page, 'offline').waitFor({ timeout: 60_000 });
  await page.unroute('**/api/**');
  await pretend(page, { state: 'open' });
  await page.locator('#buy[aria-disabled=false]').waitFor({ timeout: 60_000 });
  await close(page);
});

test('a browser that keeps no cookie says so instead of nothing', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await page.route('**/api/session', async (route) => {
    if (route.request().method() !== 'POST') return route.fulfill({ status: 401, json: { code: 'login_required', message: '' } });
    const { 'set-cookie': _, ...headers } = (await route.fetch()).headers();
    return route.fulfill({ status: 200, headers, json: { user: 'ann', expires_ms: 1 } });
  });
  await page.goto('/');
  await page.fill('#user', 'ann');
  await page.keyboard.press('Enter');
  await page.locator('#login-note.is-bad').waitFor();
  assert.match(await page.textContent('#login-note'), /cookies are blocked/);
  await close(page);
});

test('the demo takes any name, as it says', async () => {
  const page = await shopper(browser);
  await page.goto('/');
  await page.locator('html[data-spoken]').waitFor();
  assert.match(await page.textContent('#login-note'), /任意用户名/);
  await page.fill('#user', '李雷');
  await page.keyboard.press('Enter');
  await page.locator('#account.is-in').waitFor();
  assert.equal(await page.textContent('#account'), '李雷');
  await close(page);
});

test('how long there is to pay is what the order says, nowhere a number of its own', async () => {
  const page = await shopper(browser, { lang: 'en' });
  const now = Date.now();
  const show = await pretend(page, { result: { status: 'ordered', order: '7301' } });
  await page.goto(PAGE);
  await scene(page, 'ordered').waitFor();
  assert.doesNotMatch(await page.textContent('#panel-text'), /\d/);
  show.order = { order: '7301', total_cents: 100, pay_by_ms: now + 119_000 };
  await page.locator('#pay-line:not([hidden])').waitFor();
  assert.match(await page.textContent('#pay-left'), /^[12]:\d\d$/);
  assert.doesNotMatch(await page.textContent('#panel-text'), /\d/);
  await close(page);
});

test('what is not there is a page of the shop, with a favicon and a manifest', async () => {
  const page = await shopper(browser);
  for (const path of ['/nothing-here', '/product/9-9.html', '/pictures/none.jpg']) {
    const answer = await page.goto(path);
    assert.equal(answer.status(), 404);
    await page.locator('h1:has-text("找不到")').waitFor();
  }
  const { get } = callsOf(page);
  assert.equal((await get('/api/nothing')).code, 'not_found', 'programs still get JSON');
  for (const [path, type] of [['/favicon.ico', 'image/x-icon'], ['/icon-192.png', 'image/png'], ['/manifest.webmanifest', 'application/manifest+json']]) {
    const answer = await page.request.get(path);
    assert.equal(answer.status(), 200, path);
    assert.equal(answer.headers()['content-type'], type);
  }
  const { icons } = await get('/manifest.webmanifest');
  for (const { src } of icons) assert.equal((await page.request.get(src)).status(), 200, src);
  await close(page);
});

test('a language that is written from right to left turns the page around, and is kept', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await page.goto('/');
  await page.selectOption('#lang', 'ar');
  await page.locator('html[dir=rtl][lang=ar]').waitFor();
  await page.goto(PAGE);
  await page.locator('html[dir=rtl][lang=ar]').waitFor();
  // A title is shown in its own direction, whatever the page's.
  assert.equal(await page.getAttribute('h1', 'dir'), 'auto');
  await shoot(page, 'arabic');
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(over, 0);
  await eventually('the countdown is read from left to right', () => page.evaluate(() => getComputedStyle(document.querySelector('.boxes')).direction === 'ltr'));
  await close(page);
});

test('without scripts every page says so where it is seen, and shows no button that cannot work', async () => {
  const context = await browser.newContext({ baseURL: BASE_URL, locale: 'zh-CN', viewport: { width: 390, height: 844 }, javaScriptEnabled: false });
  const page = await context.newPage();
  for (const path of ['/', PAGE, '/orders.html', '/order.html?order=1']) {
    await page.goto(path);
    const { x, y, width, height } = await page.locator('noscript p').boundingBox();
    assert.ok(width > 300 && height < 200 && x + width <= 390, `${path}: ${width} × ${height}`);
    assert.ok(path === PAGE || y + height < 844, `${path}: it stands at ${y}`);
    const dead = page.locator(':is(#buy, #account, #less, #share, .login-form [type=submit]):visible');
    assert.equal(await dead.count(), 0, path);
  }
  await context.close();
});

test('the longest title and price leave the countdown whole, and wide tables scroll by themselves', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await page.goto(PAGE);
  await page.locator('html[data-ready]').waitFor();
  await page.evaluate(() => {
    document.querySelector('h1').textContent = 'Supercalifragilistic-Unbreakable-Name-Without-Any-Space-In-It'.repeat(2);
    document.querySelector('.price').lastChild.textContent = '10000000000.00';
    const cells = Array.from({ length: 7 }, (_, i) => `<th>column ${i}</th>`).join('');
    document.querySelector('.about').insertAdjacentHTML('beforeend', `<div class="scroll" tabindex="0"><table id="wide"><tr>${cells}</tr></table></div>`);
  });
  await shoot(page, 'overlong');
  const inside = await page.evaluate(() => {
    const strip = document.querySelector('.strip').getBoundingClientRect();
    const count = document.querySelector('#countdown').getBoundingClientRect();
    return count.left >= strip.left && count.right <= strip.right && count.bottom <= strip.bottom;
  });
  assert.ok(inside, 'the countdown stands within its strip');
  assert.ok(await page.evaluate(() => document.querySelector('#wide th').offsetWidth >= 60), 'a column is not a letter wide');
  await close(page);
});

test('in forced colours, which have no backgrounds, a live button is told from a dead one by its edge', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await page.emulateMedia({ forcedColors: 'active' });
  const show = await pretend(page, { state: 'open' });
  const edge = (selector) => page.locator(selector).first().evaluate((it) => {
    const { borderTopWidth: width, borderTopStyle: style } = getComputedStyle(it);
    return `${style} ${width}`;
  });
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').waitFor();
  assert.equal(await edge('#buy'), 'solid 3px');
  for (const part of ['.panel', '.strip', '.off', '.facts']) assert.equal(await edge(part), 'solid 1px', part);
  await shoot(page, 'forced-colours');
  show.state = 'paused';
  await page.locator('#buy[aria-disabled=true]').waitFor();
  assert.equal(await edge('#buy'), 'dashed 1px');
  await close(page);
});

test('the way to log in is written out on the smallest phone, in every language', async () => {
  for (const lang of ['zh-CN', 'en', 'ar']) {
    const page = await shopper(browser, { lang });
    for (const width of [320, 360, 390]) {
      await page.setViewportSize({ width, height: 700 });
      await page.goto('/orders.html');
      await page.locator('#account:not(:empty)').waitFor();
      const over = await page.locator('#account').evaluate((it) => it.scrollWidth - it.clientWidth);
      assert.ok(over <= 0, `${lang} at ${width} px: ${over} px are cut off`);
      assert.ok(await page.locator('#lang').evaluate((it) => it.offsetWidth >= 84), `${lang} at ${width} px: the language is cut off`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${lang} at ${width} px: wider than the screen`);
    }
    await close(page);
  }
});
