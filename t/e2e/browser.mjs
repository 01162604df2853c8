// Opens the shop in a real browser, and records what its pages do.
//
//   BASE_URL        where the shop is, default http://127.0.0.1:8080
//   ROUND, PRODUCT  a product that opens between 8 s and 2 min after the start of the tests
//   CHROMIUM        the browser, default /usr/bin/chromium
//   SCREENSHOTS     where pictures of every state go, default ./screenshots

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const BASE_URL = process.env.BASE_URL ?? 'http://127.0.0.1:8080';
export const ROUND = process.env.ROUND ?? '1';
export const PRODUCT = process.env.PRODUCT ?? '153';
export const PAGE = `/product/${ROUND}-${PRODUCT}.html`;
export const UNTIL_OPEN = { timeout: 120_000 };
const SHOTS = process.env.SCREENSHOTS ?? fileURLToPath(new URL('screenshots', import.meta.url));
const SIZES = { 390: { width: 390, height: 844 }, 1280: { width: 1280, height: 900 } };

/** How long anything may take that is waited for: a busy machine is slow, and not wrong. */
const PATIENCE_MS = 90_000;

export async function launch() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
  const newContext = browser.newContext.bind(browser);
  browser.newContext = async (options) => {
    const context = await newContext(options);
    context.setDefaultTimeout(PATIENCE_MS);
    return context;
  };
  return browser;
}

/** A fresh shopper with an own browser profile. `page.complaints` collects script errors. */
export async function shopper(browser, { lang = 'zh-CN', clockOffBy = 0 } = {}) {
  const context = await browser.newContext({ baseURL: BASE_URL, locale: lang, viewport: SIZES[390] });
  await context.addInitScript(watchPage);
  if (clockOffBy) await context.addInitScript(setClock, clockOffBy);
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => {
    // A refusal is an ordinary response here, though the browser logs its status.
    const ordinary = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !ordinary) page.complaints.push(message.text());
  });
  return page;
}

// Runs inside the page: records when the button opened, by a clock that no test
// overrides, and how far things moved about.
function watchPage() {
  window.seen = { openedAt: null, shift: 0 };
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.seen.shift += entry.value;
  }).observe({ type: 'layout-shift', buffered: true });
  new MutationObserver(() => {
    const button = document.querySelector('#buy');
    if (button?.getAttribute('aria-disabled') === 'false') {
      window.seen.openedAt ??= performance.timeOrigin + performance.now();
    }
  }).observe(document, { subtree: true, childList: true, attributeFilter: ['aria-disabled'] });
}

function setClock(offBy) {
  const Right = Date;
  window.Date = class extends Right {
    constructor(...given) {
      super(...(given.length ? given : [Right.now() + offBy]));
    }

    static now() {
      return Right.now() + offBy;
    }
  };
}

/** A name that no other shopper of these tests has. */
export const name = () => `e2e-${Math.random().toString(36).slice(2, 10)}`;

/** Whoever has the page leaves; nothing may have gone wrong in its script. */
export async function close(page) {
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

/** A picture at each width, named after the state, at which nothing is wider than the window. */
export async function shoot(page, name) {
  await mkdir(SHOTS, { recursive: true });
  const before = page.viewportSize();
  for (const [width, size] of Object.entries(SIZES)) {
    await page.setViewportSize(size);
    await page.screenshot({ path: join(SHOTS, `${name}-${width}.png`) });
    // A page that is wider than its window hides what stands at its end. It may take the
    // page a moment to follow the window; its policy forbids Playwright's waitForFunction.
    const until = Date.now() + 5_000;
    let over;
    do over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    while (over > 0 && Date.now() < until);
    assert.ok(over <= 0, `${name} is ${over} px wider than ${width} px: ${over > 0 ? await page.evaluate(widest) : ''}`);
  }
  await page.setViewportSize(before);
}

/** Runs inside the page: the innermost elements that stick out, for the message. */
function widest() {
  const end = document.documentElement.clientWidth;
  const out = [...document.querySelectorAll('body *')].filter((it) => it.getBoundingClientRect().right > end && ![...it.children].some((child) => child.getBoundingClientRect().right > end));
  return out.map((it) => `<${it.localName} class="${it.getAttribute('class') ?? ''}"> ${it.textContent.slice(0, 40)}`).slice(0, 9).join('; ');
}

export const scene = (page, name) => page.locator(`#product[data-scene=${name}]`);
export const notice = (page, code) => page.locator(`#product[data-notice=${code}]`);

/** How far the edge's clock is ahead of this machine's, by the quickest of several responses. */
export async function edgeAhead() {
  let best = { trip: Infinity, ahead: 0 };
  for (let i = 0; i < 8; i += 1) {
    const sent = performance.now();
    const answer = await fetch(`${BASE_URL}/api/time`);
    const { now_ms: edge } = await answer.json();
    const received = performance.now();
    const middle = performance.timeOrigin + (sent + received) / 2;
    if (received - sent < best.trip) best = { trip: received - sent, ahead: edge - middle };
  }
  return best.ahead;
}

/** Buys as a person does, once the button opens. */
export async function buy(page) {
  await page.locator('#buy[aria-disabled=false]').waitFor(UNTIL_OPEN);
  await page.click('#buy');
  await bought(page);
}

/**
 * Waits for the order of a purchase that was clicked, and clicks again when the page says
 * that the click did not get through, as it does on a busy machine. Fails with what the
 * page shows.
 */
export async function bought(page) {
  const until = Date.now() + 60_000;
  const again = page.locator('#product:is([data-notice=busy],[data-notice=unavailable],[data-notice=not_through]) #buy[aria-disabled=false]');
  while (!(await scene(page, 'ordered').isVisible())) {
    const shown = await page.locator('#product').evaluate(({ dataset }) => `${dataset.scene}, notice "${dataset.notice}"`);
    assert.ok(Date.now() < until, `not bought within a minute: the page shows ${shown}`);
    if (await again.isVisible()) await page.click('#buy');
    await new Promise((done) => setTimeout(done, 100));
  }
}

export async function logIn(page, user) {
  await page.goto('/');
  await page.fill('#user', user);
  await page.click('#login-form [type=submit]');
  await page.locator('#account.is-in').waitFor();
}

/**
 * Responds to the product's calls with what a live sale cannot show on demand. The
 * page, its assets and the clock stay the real ones. `show` may be changed later.
 */
export async function pretend(page, show) {
  const now = Date.now() + (await edgeAhead());
  const times = () => ({ opens_ms: now - 60_000, ends_ms: now + 600_000, ...show.times });
  const json = (body, status = 200, headers = {}) => ({
    status, headers, contentType: 'application/json', body: JSON.stringify(body),
  });
  const refusal = ([status, code, headers]) => json({ code, message: code }, status, headers);
  await page.route('**/api/session', (route) =>
    route.fulfill(show.user === null ? refusal([401, 'login_required']) : json({ user: 'pretender' })));
  await page.route('**/api/rounds/*/products/*/state', (route) =>
    route.fulfill(json({ state: show.state ?? 'open', now_ms: Math.round(now), ...times() })));
  await page.route('**/api/rounds/*/products/*/result', (route) =>
    route.fulfill(json({ status: 'none', order: null, reason: null, ...show.result })));
  await page.route('**/api/rounds/*/products/*/path', (route) =>
    route.fulfill(json({ path: `/buy/0/0/${Math.round(now) + 300_000}/nonce/k.digest`, opens_ms: times().opens_ms })));
  await page.route('**/api/orders/*', (route) =>
    route.fulfill(show.order ? json(show.order) : refusal([503, 'unavailable'])));
  await page.route('**/buy/**', (route) => {
    show.bought = [...(show.bought ?? []), route.request().headers()['idempotency-key']];
    if (show.buy === 'no answer') return route.abort('connectionreset');
    return route.fulfill(show.buy ? refusal(show.buy) : json({ status: 'processing', request: 'r' }, 202));
  });
  return show;
}
