// A shopper logs in at the shop's own OpenID provider, and buys under the id that it
// gives them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { buy, close, launch, PAGE, shopper } from '../browser.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** Logs in at the provider's own pages. */
async function logInAtProvider(page, user) {
  await page.locator('input[name=login]').fill(user);
  await page.locator('input[name=password]').fill('whatever');
  await page.locator('[type=submit]').click();
  // The provider asks once whether the shop may know who they are.
  await page.locator('[type=submit]').click();
}

test('a shopper logs in at the provider, buys, and logs out', async () => {
  const user = 'auth0|5f7c 张三';
  const page = await shopper(browser, { lang: 'en' });
  await page.goto(PAGE);
  await page.locator('#account', { hasText: 'Log in' }).click();
  await logInAtProvider(page, user);
  await page.waitForURL(`**${PAGE}`);
  await page.locator('#account.is-in', { hasText: user }).waitFor();

  await buy(page);
  const orders = await page.evaluate(async () => (await fetch('/api/orders')).json());
  assert.equal(orders.orders.length, 1);
  assert.equal(await page.textContent('.price'), '$1.00', 'prices are in the shop’s currency');
  await page.goto(`/order.html?order=${orders.orders[0].order}`);
  await page.locator('#main[data-state=created]').waitFor();
  assert.match(await page.textContent('#order'), /Total\$1\.00/);

  await page.click('#account');
  await page.locator('.login-door', { hasText: 'Log out' }).click();
  await page.locator('#account:not(.is-in)', { hasText: 'Log in' }).waitFor();
  const status = await page.evaluate(async () => (await fetch('/api/orders')).status);
  assert.equal(status, 401);
  await close(page);
});

test('a token that was tampered with is nobody, and the response says why', async () => {
  const page = await shopper(browser, { lang: 'en' });
  await page.goto('/');
  await page.locator('.price', { hasText: '$1.00' }).first().waitFor();
  const said = await page.evaluate(async () => {
    const response = await fetch('/api/session', { headers: { Authorization: 'Bearer e30.e30.e30' } });
    return { status: response.status, ...(await response.json()) };
  });
  assert.equal(said.status, 401);
  assert.equal(said.code, 'login_required');
  assert.match(said.reason, /^token_/);
  await close(page);
});
