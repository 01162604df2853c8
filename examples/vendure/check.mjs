// Goes through the whole integration, from the choice of a product to the order in Vendure,
// on a system that run.sh has started. Ends with PASS, or with what is not as it should be.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CUSTOMER } from './seed.mjs';
import { settings } from './settings.mjs';

const SKU = 'PHONE-256/BLUE';
const AMOUNT = 10;
const PRICE = 49_900;
const WAIT_MS = 120_000;

const program = process.env.SECKILL ?? path.resolve(import.meta.dirname, '../../target/trial/seckill');
const run = async (...args) => (await promisify(execFile)(program, args)).stdout;
const step = (text) => console.log(`- ${text}`);

async function until(what, look, waitMs = WAIT_MS) {
  const deadline = Date.now() + waitMs;
  for (;;) {
    const found = await look().catch(() => undefined);
    if (found) return found;
    assert.ok(Date.now() < deadline, `not within ${waitMs / 1000} s: ${what}`);
    await pause(500);
  }
}

async function graphql(api, query, variables, token) {
  const response = await fetch(`${settings.shop}/${api}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return { data, token: response.headers.get('vendure-auth-token') };
}

const LOGIN = 'mutation($u: String!, $p: String!) { login(username: $u, password: $p) { __typename } }';
const { identifier, password } = settings.admin;
const admin = await until('Vendure is up', async () => (await graphql('admin-api', LOGIN, { u: identifier, p: password })).token);
const asAdmin = async (query, variables) => (await graphql('admin-api', query, variables, admin)).data;

/** What the shop has of the product: on hand, and allocated to orders. */
async function stock() {
  const query = 'query($sku: String!) { productVariants(options: { filter: { sku: { eq: $sku } } }) { items { stockLevels { stockOnHand stockAllocated } } } }';
  const [{ stockOnHand, stockAllocated }] = (await asAdmin(query, { sku: SKU })).productVariants.items[0].stockLevels;
  return { onHand: stockOnHand, allocated: stockAllocated };
}

const sale = async (user, method, url, body) => {
  const headers = { cookie: user, ...(body && { 'content-type': 'application/json' }) };
  const response = await fetch(`${settings.sale}${url}`, { method, headers, body: body && JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
};

const before = await stock();
step(`the shop has ${before.onHand} of ${SKU}`);

const round = `v${Date.now()}`;
const chosen = await run('inventory', 'choose', SKU, '--amount', `${AMOUNT}`, '--price', `${PRICE}`);
const product = /id = "([^"]+)"/.exec(chosen)[1];
const file = path.join(settings.data, 'sale.toml');
await writeFile(file, `[[round]]\nid = "${round}"\nname = "Vendure"\nstarts = "+15s"\nends = "+40s"\n${chosen}`);
await run('sale', 'import', file, '--approve');
const held = await stock();
assert.equal(held.onHand, before.onHand - AMOUNT, 'an approval takes the items out of stock');
step(`the round is approved: ${held.onHand} are left in the shop`);

const asLi = (await graphql('shop-api', LOGIN, { u: CUSTOMER.emailAddress, p: CUSTOMER.password })).token;
const base = `/api/rounds/${round}/products/${product}`;
const led = await fetch(`${settings.shop}/seckill/login?to=${encodeURIComponent(`${settings.sale}/`)}`, {
  redirect: 'manual',
  headers: { authorization: `Bearer ${asLi}` },
});
assert.equal(led.status, 303, 'a customer of Vendure is led back to the sale');
const li = led.headers.getSetCookie().find((it) => it.startsWith('seckill_session=')).split(';')[0];
assert.match((await sale(li, 'GET', '/api/session')).body.user, /^vendure-\d+$/);
step('who is logged in at Vendure is logged in at the sale');

const hidden = await until('the hidden URL is handed out, and the round is open', async () => {
  const state = (await sale(li, 'GET', `${base}/state`)).body.state;
  return state === 'open' && (await sale(li, 'GET', `${base}/path`)).body.path;
});
await until('the purchase is accepted', async () => (await sale(li, 'POST', hidden)).status === 202);
const order = await until('the purchase has its order', async () => (await sale(li, 'GET', `${base}/result`)).body.order);
step(`order ${order} is placed`);

const address = { name: 'Li Ming', street: 'Flood Street 7', city: 'Berlin', code: '10115', country: 'DE' };
assert.equal((await sale(li, 'PUT', `/api/orders/${order}/details`, address)).status, 200);
const { pay_url: payUrl } = (await sale(li, 'GET', `/api/orders/${order}`)).body;
assert.equal((await fetch(payUrl.replace('amount=', 'amount=1'), { method: 'POST' })).status, 403, 'a changed bill is refused');
for (let n = 0; n < 2; n += 1) assert.equal((await fetch(payUrl, { method: 'POST', redirect: 'manual' })).status, 303);
const { body: paid } = await sale(li, 'GET', `/api/orders/${order}`);
assert.deepEqual([paid.status, paid.payments.length], ['paid', 1]);
step('it is paid once, though the button was pressed twice');

const FIND = `query { orders(options: { sort: { id: DESC }, take: 20 }) { items { id state totalWithTax
  customer { emailAddress } shippingAddress { streetLine1 } payments { state metadata }
  lines { quantity unitPriceWithTax productVariant { sku } } } } }`;
const ofSale = async () => (await asAdmin(FIND)).orders.items.filter((it) => it.payments?.some(({ metadata }) => metadata?.order === order));
await until('Vendure has the order', async () => (await ofSale()).length > 0);
const [inShop, ...more] = await ofSale();
assert.deepEqual(more, [], 'Vendure has the order once');
assert.equal(inShop.state, 'PaymentSettled');
assert.equal(inShop.totalWithTax, PRICE);
assert.equal(inShop.customer.emailAddress, CUSTOMER.emailAddress);
assert.equal(inShop.shippingAddress.streetLine1, address.street);
assert.equal(inShop.lines[0].productVariant.sku, SKU);
step('Vendure has it with price, address, customer and payment');

await run('feed', 'replay', 'webhook', '--since', new Date(Date.now() - 3_600_000).toISOString());
await until('the changes were sent again', async () => /webhook.*\b0\b/.test(await run('feed', 'status')));
assert.equal((await ofSale()).length, 1, 'changes that are sent again make no second order');
assert.equal((await stock()).allocated, before.allocated + 1, 'one item is promised to the order');
step('changes that were sent again made no second order');

if (process.argv.includes('--whole')) {
  step('waiting for the items that are unsold: a quarter of an hour');
  await until('what is unsold is back', async () => (await stock()).onHand === before.onHand, 20 * 60_000);
  await run('inventory', 'reconcile');
  step('what is unsold is back, and both sides agree');
}
console.log('PASS');
