// Every state of every page: a screenshot at each width and in each language, and
// nothing in it that keeps people from using it.
//
// To cover a new page, add an entry to STATES, or call `isUsable` in your test.

import { after, before, describe, test } from 'node:test';
import { isUsable } from './axe.mjs';
import { close, edgeAhead, launch, PAGE, pretend, ROUND, PRODUCT, shoot, shopper } from './browser.mjs';

let browser;
let ahead = 0;
before(async () => {
  browser = await launch();
  ahead = await edgeAhead();
});
after(() => browser?.close());

const ORDER = {
  order: '383111987694931968', round: ROUND, product: PRODUCT, title: '折叠屏手机 · Folding phone', round_name: '午间秒杀 · Noon sale',
  quantity: 1, price_cents: 99_900, total_cents: 99_900, status: 'created', reason: null, can_pay_here: true, payments: [],
};

/** A product page in `where`, as the edge and the back end would report it. */
const product = (where, shown, then) => async (page, now) => {
  const show = { ...shown };
  if (show.opensIn) show.times = { opens_ms: now + show.opensIn, ends_ms: now + show.opensIn + 600_000 };
  await pretend(page, show);
  if (show.order) show.order = { ...show.order, pay_by_ms: now + 570_000 };
  if (show.saved) {
    const saved = { user: 'pretender', lockUntil: 0, grab: { key: 'k', quantity: 1, phase: 'processing', answered: true, noneSince: null, before: null, since: now - 200_000 } };
    await page.addInitScript(([key, value]) => localStorage.setItem(key, value), [`seckill:${ROUND}-${PRODUCT}`, JSON.stringify(saved)]);
  }
  await page.goto(PAGE);
  if (show.click) await page.locator('#buy[aria-disabled=false]').click();
  await page.locator(where.startsWith('!') ? `#product[data-notice=${where.slice(1)}]` : `#product[data-scene=${where}]`).waitFor();
  await then?.(page);
};

/** The page of an order. */
const order = (where, change, then) => async (page, now) => {
  await asBuyer(page);
  const order = { ...ORDER, created_ms: now - 20_000, pay_by_ms: now + 580_000, ...change };
  await page.route('**/api/orders/*', (route) =>
    (change === null ? route.fulfill({ status: 404, json: { code: 'not_found', message: '' } }) : route.fulfill({ json: order })));
  await page.goto(`/order.html?order=${ORDER.order}`);
  await page.locator(`#main[data-state=${where}]`).waitFor();
  await then?.(page);
};

/** The list of orders; null when it cannot be read. */
const list = (where, orders) => async (page, now) => {
  await asBuyer(page);
  await page.route('**/api/orders?page=*', (route) =>
    (orders ? route.fulfill({ json: { orders: orders.map((it, i) => ({ ...ORDER, order: String(383111987694931968n - BigInt(i)), created_ms: now - 20_000 - i * 3_600_000, pay_by_ms: now + 580_000, ...it })), page: 1, more: orders.length > 3 } }) : route.abort()));
  await page.goto('/orders.html');
  await page.locator(`#main[data-state=${where}]`).waitFor();
};

async function asBuyer(page) {
  await page.route('**/api/session', (route) => route.fulfill({ json: { user: 'pretender', expires_ms: 9e15 } }));
  await page.route('**/result', (route) => route.fulfill({ json: { status: 'ordered', order: ORDER.order, reason: null } }));
}

const rounds = (change) => async (page, now) => {
  await asBuyer(page);
  const goods = ['153', '154', '155'].map((id, i) => ({
    id, title: ['折叠屏手机 · Folding phone', '降噪耳机 · Noise-cancelling earbuds', '智能手表 · Smart watch'][i],
    amount: [1000, 20_000, 1000][i], price_cents: [99_900, 9_900, 49_900][i], list_price_cents: [399_900, 59_900, 129_900][i], per_buyer: 1, page: PAGE,
  }));
  const round = (id, starts, ends) => ({ id, name: `Round ${id}`, starts_ms: now + starts, ends_ms: now + ends, products: goods });
  const day = { date: '2026-01-01', rounds: [round('8', -600_000, 900_000), round('9', 7_200_000, 9_000_000), round('7', -9_000_000, -7_200_000)], ...change };
  await page.route('**/api/rounds*', (route) => route.fulfill({ json: day }));
  await page.route('**/state', (route) =>
    route.fulfill({ json: { state: route.request().url().includes('/154/') ? 'sold_out' : 'open', now_ms: now, opens_ms: now, ends_ms: now + 1 } }));
  await page.goto('/');
  if (day.rounds.length) await page.locator('.card[data-state=sold_out]').first().waitFor();
  else await page.locator('[data-state="day.empty"]').waitFor();
};

/** No call is answered any more, the pretended ones neither. */
const offline = async (page) => {
  await page.context().setOffline(true);
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await page.locator('#product[data-notice=offline]').waitFor();
};
const paidTwice = [{ payment: 'p', order: ORDER.order, amount_cents: 99_900, status: 'refund_due', reason: 'already_paid' }];

/** What an order needs from its buyer. */
const FORM = [
  { name: 'size', label: { zh: '尺码', en: 'Size' }, kind: 'select', required: true, max_length: 100, options: [{ value: 'M' }, { value: 'L' }] },
  { name: 'address', label: { zh: '收货地址', en: 'Address' }, kind: 'textarea', required: true, max_length: 200 },
];

const STATES = {
  'start': rounds({}),
  'start-empty': rounds({ rounds: [] }),
  'login-wanted': product('scheduled', { user: null, state: 'scheduled', opensIn: 10_800_000 }),
  'login-dialog': product('scheduled', { user: null, state: 'scheduled', opensIn: 10_800_000 }, (page) => page.click('#action')),
  'scheduled': product('scheduled', { state: 'scheduled', opensIn: 10_800_000 }),
  'soon': product('soon', { state: 'scheduled', opensIn: 40_000 }),
  'open': product('open', {}, (page) => page.locator('#buy[aria-disabled=false]').waitFor()),
  'offline': product('open', {}, offline),
  'busy': product('!busy', { buy: [429, 'busy', { 'Retry-After': '2' }], click: true }),
  'unavailable': product('!unavailable', { buy: [503, 'unavailable'], click: true }),
  'blocked': product('!blocked', { buy: [403, 'blocked'], click: true }),
  'duplicate': product('!duplicate', { buy: [409, 'duplicate'], click: true }),
  'not-confirmed': product('lost', { buy: 'no answer', click: true }),
  'processing': product('processing', { result: { status: 'processing' } }),
  'reserved': product('reserved', { result: { status: 'succeeded' } }),
  'gave-up': product('overdue', { saved: true, result: { status: 'processing' } }),
  'ordered': product('ordered', { result: { status: 'ordered', order: ORDER.order }, order: { order: ORDER.order, total_cents: 1 } },
    (page) => page.locator('#pay-line:not([hidden])').waitFor()),
  'ordered-free': product('ordered', { result: { status: 'ordered', order: ORDER.order }, order: { order: ORDER.order, total_cents: 0 } },
    (page) => page.locator('#buy-text', { hasText: /去领取|Complete the order/ }).waitFor()),
  'paid': product('paid', { result: { status: 'paid', order: ORDER.order } }),
  'cancelled': product('!cancelled', { result: { status: 'cancelled', order: ORDER.order, reason: 'unpaid' } }),
  'cancelled-sold-out': product('!cancelled', { state: 'sold_out', result: { status: 'cancelled', order: ORDER.order, reason: 'cancelled' } }),
  'failed': product('!failed', { result: { status: 'failed', reason: 'backlog' } }),
  'sold-out': product('sold_out', { state: 'sold_out' }),
  'ended': product('ended', { state: 'ended' }),
  'orders': list('orders', [{}, { status: 'paid' }, { status: 'cancelled', reason: 'unpaid', product: '154' }, { status: 'paid', product: '155' }]),
  'orders-empty': list('empty', []),
  'orders-lost': list('lost', null),
  'order-created': order('created', {}),
  'order-cancel': order('created', {}, (page) => page.click('#cancel')),
  'order-form': order('created', { details: null, details_due: true, form: FORM }, (page) => page.locator('#details-form').waitFor()),
  'order-elsewhere': order('created', { can_pay_here: false }),
  'order-providers': order('created', { can_pay_here: false, pay_with: ['alipay', 'wechat'], pay_url: 'https://pay.example/1' }),
  'order-free': order('created', { price_cents: 0, total_cents: 0 }),
  'order-paid': order('paid', { status: 'paid', payments: paidTwice }),
  'order-cancelled': order('cancelled', { status: 'cancelled', reason: 'unpaid', payments: [{ ...paidTwice[0], reason: 'cancelled' }] }),
  'order-missing': order('missing', null),
};

for (const lang of ['zh-CN', 'en']) {
  // Each has a browser profile of its own, and much of a state is waiting for it.
  describe(`in ${lang}`, { concurrency: 3 }, () => {
    for (const [state, show] of Object.entries(STATES)) {
      test(`${state} is usable and has its screenshots`, async () => {
        const page = await shopper(browser, { lang });
        await show(page, Math.round(Date.now() + ahead));
        await shoot(page, `${state}-${lang}`);
        await isUsable(page, `${state} in ${lang}`);
        if (lang === 'en') return close(page);
        // Colours do not depend on the words.
        await page.emulateMedia({ colorScheme: 'dark' });
        await isUsable(page, `${state} in the dark`);
        return close(page);
      });
    }
  });
}
