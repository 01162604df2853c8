// A customer of a Vendure shop in the sale before it, in a real browser: they log in at
// Vendure, buy, say where to, pay at the shop's own payment page, and Vendure has the order.
//
//   BASE_URL        the sale; VENDURE_URL the shop (examples/vendure/run.sh)
//   SECKILL         the program; SECKILL_DATA its folder

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { bought, close, launch, shoot, shopper, UNTIL_OPEN } from '../browser.mjs';
import { eventually } from '../buyer.mjs';

const { SECKILL, SECKILL_DATA, VENDURE_URL } = process.env;
const PRICE = 12_900;
const ADDRESS = { name: 'Li Ming', street: 'Flood Street 7', code: '10115', city: 'Berlin' };

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** Puts a watch of Vendure's on sale; returns its product page. */
function putOnSale() {
  const run = (...args) => execFileSync(SECKILL, args, { encoding: 'utf8' });
  const chosen = run('inventory', 'choose', 'WATCH_42', '--amount', '5', '--price', String(PRICE));
  const product = /id = "([^"]+)"/.exec(chosen)[1];
  const round = `b${Date.now()}`;
  const file = `${SECKILL_DATA}/${round}.toml`;
  writeFileSync(file, `[[round]]\nid = "${round}"\nname = "Vendure"\nstarts = "+15s"\nends = "+10m"\n${chosen}`);
  run('sale', 'import', file, '--approve');
  return `/product/${round}-${product}.html`;
}

/** Asks Vendure's own API as its administrator. */
async function vendure(query) {
  const admin = { identifier: 'superadmin', password: readFileSync(`${SECKILL_DATA}/vendure-admin`, 'utf8').trim() };
  const call = (body, token) => fetch(`${VENDURE_URL}/admin-api`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body),
  });
  const login = await call({ query: 'mutation($u: String!, $p: String!) { login(username: $u, password: $p) { __typename } }', variables: { u: admin.identifier, p: admin.password } });
  const { data, errors } = await (await call({ query }, login.headers.get('vendure-auth-token'))).json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

test('a customer logs in at Vendure, buys, pays at the shop’s payment page, and Vendure has the order', async () => {
  const product = putOnSale();
  const page = await shopper(browser, { lang: 'en' });
  await page.goto(product);
  await page.locator('#account', { hasText: 'Log in' }).click();
  await page.fill('[name=username]', 'li@example.com');
  await page.fill('[name=password]', 'not this one');
  await page.click('button');
  await page.locator('#said', { hasText: 'credentials' }).waitFor();
  await page.fill('[name=password]', 'a password of Li');
  await page.click('button');
  await page.waitForURL(`**${product}`);
  await page.locator('#account.is-in').waitFor();

  await page.locator('#buy[aria-disabled=false]').waitFor(UNTIL_OPEN);
  await page.click('#buy');
  await bought(page);
  const order = await page.textContent('#order');
  assert.equal(await page.textContent('.price'), '$129.00');
  await shoot(page, 'vendure-bought');
  await page.click('#buy');
  await page.waitForURL(`**/order.html?order=${order}`);
  for (const [field, value] of Object.entries(ADDRESS)) await page.fill(`#details-${field}`, value);
  await page.selectOption('#details-country', 'DE');
  await shoot(page, 'vendure-order');
  assert.match(await page.textContent('#pay'), /\$129\.00/);
  await page.click('#pay');
  await page.waitForURL(`${VENDURE_URL}/seckill/pay?*`);
  await page.click('button');
  await page.waitForURL(`**/order.html?order=${order}`);
  await page.locator('#main[data-state=paid]').waitFor();
  await shoot(page, 'vendure-paid');

  const FIND = `query { orders(options: { sort: { id: DESC }, take: 20 }) { items { state totalWithTax
    customer { emailAddress } shippingAddress { fullName streetLine1 postalCode city countryCode } payments { metadata }
    lines { quantity productVariant { sku } } } } }`;
  const found = await eventually('Vendure has the order', async () => {
    const { orders } = await vendure(FIND);
    return orders.items.find((it) => it.payments?.some(({ metadata }) => metadata?.order === order));
  });
  assert.equal(found.state, 'PaymentSettled');
  assert.equal(found.totalWithTax, PRICE);
  assert.equal(found.customer.emailAddress, 'li@example.com');
  assert.deepEqual(found.shippingAddress, { fullName: ADDRESS.name, streetLine1: ADDRESS.street, postalCode: ADDRESS.code, city: ADDRESS.city, countryCode: 'DE' });
  assert.deepEqual(found.lines, [{ quantity: 1, productVariant: { sku: 'WATCH_42' } }]);
  await close(page);
});
