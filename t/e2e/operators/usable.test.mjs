// Every page of the console: a screenshot at each width and in each language, and
// nothing in it that keeps people from using it.
//
// To cover a new page, add an entry to PAGES.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { isUsable } from '../axe.mjs';
import { launch, shoot } from '../browser.mjs';

const CONSOLE_URL = process.env.CONSOLE_URL ?? 'http://127.0.0.1:8081';

// The keys of the console's words, as its lists of them write keys.
const KEYS = /\b(account|accounts|announcement|act|basis|sessions|alert|approvals|ask|audit|ban|board|code|did|error|finding|kind|why|letter|mark|mistake|nav|note|order|orders|picture|policy|preview|product|proposal|reason|refund|report|role|round|rounds|series|sim|state|stock|vice)\.[a-z_]{2,}/g;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const now = Date.now();
const finding = (kind, subject, state, score, reasons, more = {}) => ({
  kind, subject, state, score, first_ms: now - 60_000, last_ms: now - 1_000, ban_until_ms: null, decided_by: null, reasons, ...more,
});
const reason = (code, points, values) => ({ code, points, sentence: `${code}: as the server says it in English`, ...values });
const FINDINGS = {
  counts: { proposed: 1, banned: 1, confirmed: 1, dismissed: 1 }, policy: 'ban', ban_score: 80, ban_minutes: 60,
  findings: [
    finding('address', '203.0.113.0/24', 'banned', 120, [reason('company', 60, { of: 40, suspicious: 38, never_browsed: 12, within_ms: 300 })], { ban_until_ms: now + 3_600_000 }),
    finding('user', 'bot-17@example.com', 'proposed', 60, [reason('pace', 30, { clicks: 12, within_ms: 800 }), reason('even', 30, { intervals: 9, mean_ms: 50, spread_permille: 8 })]),
    finding('user', 'bot-2', 'confirmed', 90, [reason('never_browsed', 90, { urls: 4, clicks: 9 })], { decided_by: 'supervisor' }),
    finding('user', 'lin', 'dismissed', 40, [reason('early', 40, { asked: 3 })], { decided_by: 'supervisor' }),
  ],
};
const proposal = {
  id: 7, round: '1', name: 'Noon', state: 'waiting', has_moved: false, reason: 'The second lorry came.', proposed_by: 'operator', proposed_ms: now - 60_000, titles: { 153: 'Phone' },
  changes: [{ field: '153.amount', from: 1_000, to: 1_500 }, { field: '153.text', from: 'Folds.', to: 'Folds twice.' }, { field: 'ends_ms', from: now, to: now + 60_000 }],
};
const PROPOSALS = { total: 2, proposals: [proposal, { ...proposal, id: 8, has_moved: true, reason: '' }] };
const group = { actors: 200, clicks: 1_400, ordered: 120, paid: 90, blocked: 0 };
const SIMULATION = {
  rounds: ['1'], demo_login: true, most: 5_000, wickedness: ['hammer', 'metronome', 'careful'],
  simulation: {
    state: 'running', asked: { round: '1', product: '153' }, by: 'supervisor', began_ms: now - 20_000, trouble: null,
    progress: { now_ms: now, until_ms: now + 25_000, requests: 18_000, gone: 40, actors: 250 }, report: { people: group, bots: { ...group, actors: 50, blocked: 31 }, groups: { shopper: group, hammer: { ...group, actors: 50, blocked: 31 } } },
  },
};

const [yuan, dollar] = [{ sign: '¥', digits: 2 }, { sign: '$', digits: 2 }];

const ORDER = {
  order: '4611686018427387904', state: 'paid', reason: null, user: 'li.wei@example.com', round: '1', product: '153', segment: 1, quantity: 2, price_cents: 99_900, total_cents: 199_800,
  request: 'c0ffee', permit: '', locked_ms: now - 70_000, created_ms: now - 65_000, pay_by_ms: now + 500_000,
};
const ORDERS = { orders: [ORDER, { ...ORDER, order: '4611686018427387905', state: 'created', user: 'x'.repeat(64), quantity: 1 }, { ...ORDER, order: '4611686018427387906', state: 'cancelled', reason: 'unpaid' }], next: '4611686018427387906' };
const ORDER_SEEN = {
  order: ORDER, details: { size: 'L', address: '长安街 1 号\n北京 100000', extra: { gift: true } },
  form: [
    { name: 'size', label: { zh: '尺码', en: 'Size' }, kind: 'select', required: true, max_length: 100, options: [{ value: 'L', label: { zh: '大号', en: 'Large' } }] },
    { name: 'address', label: { zh: '地址', en: 'Address' }, kind: 'textarea', required: true, max_length: 200 },
  ],
  history: [
    { at_ms: now - 70_000, what: 'purchase', detail: '2 items locked', facts: { quantity: 2 }, who: '' },
    { at_ms: now - 65_000, what: 'placed', detail: `to be paid by ${new Date(now + 500_000).toISOString()}`, facts: { pay_by_ms: now + 500_000 }, who: '' },
    { at_ms: now - 20_000, what: 'payment', detail: 'pi_3PabcdefghijklmnopQRSTUV, 1998.00 CNY, paid', facts: { payment: 'pi_3PabcdefghijklmnopQRSTUV', amount: { cents: 199_800, currency: yuan }, state: 'paid', reason: null }, who: '' },
    { at_ms: now - 19_000, what: 'confirm', detail: '1796023348332-1 confirm', facts: { quantity: 2, reason: null }, who: '' },
    { at_ms: now - 18_000, what: 'notification', detail: 'paid by webhook: sent after 1 attempts', facts: { kind: 'paid', channel: 'webhook', state: 'sent', attempts: 1, reason: null }, who: '' },
    { at_ms: now, what: 'note', detail: 'Asked for a gift wrap.', facts: {}, who: 'supervisor' },
  ],
};

const REFUNDS = {
  refunds: [
    { payment: 'pay-1', order: '7301446294561', amount: { cents: 199_800, currency: yuan }, reason: 'already_paid', received_ms: now },
    { payment: 'pi_3Pabcdef', order: '7301446294562', amount: { cents: 12_900, currency: dollar }, reason: 'wrong_currency', received_ms: now },
  ],
  all: 2, totals: [{ cents: 199_800, currency: yuan }, { cents: 12_900, currency: dollar }],
};

const answers = (path, body) => async (page) => {
  await page.route(`**/ops/api/${path}*`, (route) => (route.request().method() === 'GET' ? route.fulfill({ json: body }) : route.fallback()));
};

/** Each page's address, what it shows once loaded, and what is done before and after. */
const PAGES = {
  'board': { at: 'board', shows: '.board [data-tile]' },
  'rounds': { at: 'rounds', shows: 'tr[data-round]' },
  'round-new': { at: 'rounds/new', shows: '[data-field="products.0.id"]', then: (page) => page.frameLocator('.preview iframe').locator('h1').waitFor({ state: 'attached' }) },
  'round-mistakes': {
    at: 'rounds/new', shows: '[data-field="products.0.id"]',
    then: async (page) => {
      await page.click('[data-act=save]');
      await page.locator('[aria-invalid=true]').first().waitFor();
    },
  },
  'round-running': { at: 'rounds/1', shows: '[data-act=publish]' },
  'round-delete': {
    at: 'rounds/1', shows: '[data-act=copy]',
    then: async (page) => {
      await page.click('[data-act=copy]');
      await page.click('[data-act=delete]');
      await page.locator('dialog[open] .is-danger').waitFor();
    },
    leave: async (page) => {
      await page.click('dialog[open] .is-danger');
      await page.locator('tr[data-round]').first().waitFor();
    },
  },
  'approvals': { at: 'approvals', shows: '.waiting, .empty' },
  'proposals': { at: 'approvals', shows: '[data-proposal="7"] [data-act="proposal.approve"]', first: answers('proposals', PROPOSALS) },
  'orders': { at: 'orders', shows: 'tr[data-order]', first: answers('orders', ORDERS) },
  'order': {
    at: `orders/${ORDER.order}`, shows: '[data-detail=address]', first: answers('orders/', ORDER_SEEN),
    then: async (page) => {
      // In the reader's words, not in those of the server's log.
      assert.doesNotMatch(await page.locator('.history').textContent(), /items locked|T\d\d:\d\d|CNY|attempts/);
    },
  },
  'orders-empty': { at: 'orders/', shows: '.empty', first: answers('orders', { orders: [], next: null }) },
  'bans': { at: 'bans', shows: '#ban-form' },
  'dead-letters': { at: 'dead-letters', shows: 'h1' },
  'refunds': { at: 'refunds', shows: 'h2' },
  'refunds-due': {
    at: 'refunds/', shows: 'tr[data-payment="pi_3Pabcdef"]', first: answers('refunds', REFUNDS),
    then: async (page) => {
      assert.equal(await page.locator('tr[data-payment="pi_3Pabcdef"] td.num').textContent(), '$129.00');
      assert.match(await page.locator('.head .chip').textContent(), /¥1,998\.00 \+ \$129\.00/);
    },
  },
  'stock': { at: 'stock/1/154', shows: '#amount' },
  'accounts': { at: 'accounts', shows: '[data-account]' },
  'account': { at: 'account', shows: '[data-session]' },
  'audit': { at: 'audit', shows: 'tr' },
  'report': { at: 'report/1', shows: '.report-tiles' },
  'findings': { at: 'findings', shows: '.finding-why', first: answers('findings', FINDINGS) },
  'simulation': { at: 'simulation', shows: '.sim-bar', first: answers('simulation', SIMULATION) },
  'nowhere': { at: 'nowhere', shows: 'h1' },
};

async function logIn(page) {
  await page.fill('#login-name', 'supervisor');
  await page.fill('#login-password', process.env.SUPERVISOR_PASSWORD);
  await page.click('#login-form [type=submit]');
  await page.locator('#logout').waitFor();
}

for (const lang of ['zh-CN', 'en']) {
  describe(`in ${lang}`, () => {
    let page;
    before(async () => {
      const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: lang, viewport: { width: 1280, height: 900 } });
      page = await context.newPage();
      page.complaints = [];
      page.on('pageerror', (error) => page.complaints.push(String(error)));
    });
    after(async () => {
      assert.deepEqual(page.complaints, []);
      await page.context().close();
    });

    async function look(state) {
      await shoot(page, `console-${state}-${lang}`);
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        await isUsable(page, `${state} in ${lang}, ${colorScheme}`);
      }
      await page.emulateMedia({ colorScheme: 'light' });
      const text = await page.locator('body').innerText();
      assert.deepEqual(text.match(KEYS) ?? [], [], 'words that are missing stand as their keys');
    }

    test('the login is usable and has its screenshots', async () => {
      await page.goto('/console/');
      await page.fill('#login-name', 'supervisor');
      await page.fill('#login-password', 'not this one');
      await page.keyboard.press('Enter');
      await page.locator('#login-note:not(:empty)').waitFor();
      await look('login');
      await logIn(page);
    });

    for (const [state, { at, shows, first, then, leave }] of Object.entries(PAGES)) {
      test(`${state} is usable and has its screenshots`, async () => {
        await first?.(page);
        await page.goto(`/console/#/${at}`);
        await page.locator(`#main ${shows}`).first().waitFor();
        await then?.(page);
        await look(state);
        await leave?.(page);
        await page.unrouteAll({ behavior: 'ignoreErrors' });
      });
    }
  });
}

test('another language is a file and a line: what it lacks is English, and it may run from right to left', async () => {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: 'he-IL', viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.on('pageerror', (error) => assert.fail(String(error)));
  const script = (body) => (route) => route.fulfill({ contentType: 'text/javascript', body });
  const list = await (await page.request.get('/console/languages.js')).text();
  await page.route('**/console/languages.js', script(list.replace("en: { name: 'English' },", "$& he: { name: 'עברית', dir: 'rtl', load: () => import('./lang/he.js') },")));
  await page.route('**/console/lang/he.js', script("export const words = { 'nav.rounds': 'סבבים', 'rounds.title': 'סבבים', 'rounds.total': '{n|one=סבב אחד|other=סבבים}', 'logout': 'יציאה' };"));
  await page.goto('/console/');
  await logIn(page);
  await page.locator('html[lang=he][dir=rtl]').waitFor({ state: 'attached' });
  for (const [at, shows] of [['rounds', 'tr[data-round]'], ['board', '.board [data-tile]'], ['rounds/1', '[data-act=publish]']]) {
    await page.goto(`/console/#/${at}`);
    await page.locator(`#main ${shows}`).first().waitFor();
    await shoot(page, `console-rtl-${at.replace('/', '-')}`);
    await isUsable(page, `${at} from right to left`);
  }
  await page.locator('#nav', { hasText: 'סבבים' }).waitFor();
  await page.locator('#nav', { hasText: 'Live board' }).waitFor();
  const refused = await page.evaluate(async () => (await import('/console/i18n.js')).said({ code: 'not_found', message: 'There is no order 7.' }));
  assert.equal(refused, 'There is no order 7.');
  // The choice is kept.
  await page.selectOption('#lang', 'zh-CN');
  await page.locator('html[lang=zh-CN][dir=ltr]').waitFor({ state: 'attached' });
  await page.reload();
  await page.locator('html[lang=zh-CN]').waitFor({ state: 'attached' });
  await context.close();
});
