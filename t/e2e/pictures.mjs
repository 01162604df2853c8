// Takes the pictures of README.md: a product page while its sale is on, and the
// console's board while a crowd buys. scripts/screenshots.sh starts the shop.
//
//   BASE_URL, CONSOLE_URL   a demo shop that opens within a minute, and its console
//   SUPERVISOR_PASSWORD     of the demo's account "supervisor"
//   SECKILL                 the program, whose "load" is the crowd
//   PICTURES                the folder for shop.png and board.png
//   CHROMIUM                the browser

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { launch } from './browser.mjs';

const { BASE_URL, CONSOLE_URL, SUPERVISOR_PASSWORD, SECKILL, PICTURES } = process.env;

/** The picture of the board is taken once so many orders are placed. */
const ORDERS = 3000;
const PATIENCE = { timeout: 180_000 };

/** People with some bots among them for the scarce products, steady buyers for the large one. */
const CROWD = [
  ['shop', '--product', '153', '--shoppers', '900', '--bots', '100', '--seconds', '120'],
  ['shop', '--product', '155', '--shoppers', '300', '--seconds', '120', '--prefix', 'w', '--seed', '2'],
  ['race', '--product', '154', '--buyers', '5000', '--rate', '150', '--concurrency', '64', '--prefix', 'r'],
];

async function open(browser, baseURL, viewport) {
  const context = await browser.newContext({ baseURL, locale: 'en', timezoneId: 'Asia/Shanghai', viewport });
  return context.newPage();
}

async function logInAtConsole(browser) {
  const page = await open(browser, CONSOLE_URL, { width: 1280, height: 1180 });
  await page.goto('/console/');
  await page.fill('#login-name', 'supervisor');
  await page.fill('#login-password', SUPERVISOR_PASSWORD);
  await page.click('#login-form [type=submit]');
  await page.locator('#logout').waitFor(PATIENCE);
  await page.goto('/console/#/board');
  await page.locator('[data-state=live]').waitFor(PATIENCE);
  return page;
}

async function ordersOn(board) {
  const count = await board.locator('.funnel [data-step=ordered] b').textContent();
  return Number(count.replace(/\D/g, ''));
}

const browser = await launch();
const board = await logInAtConsole(browser);
const crowd = CROWD.map(([kind, ...options]) =>
  spawn(SECKILL, ['load', kind, '--base', BASE_URL, '--round', '1', ...options], { stdio: ['ignore', 'ignore', 'inherit'] }));
try {
  const shop = await open(browser, BASE_URL, { width: 1000, height: 768 });
  await shop.request.post('/api/session', { data: { user: 'li.wei' } });
  await shop.goto('/product/1-154.html');
  await shop.locator('#buy[aria-disabled=false]').waitFor(PATIENCE);
  await shop.screenshot({ path: join(PICTURES, 'shop.png') });

  const until = Date.now() + PATIENCE.timeout;
  while (await ordersOn(board) < ORDERS) {
    if (Date.now() > until) throw new Error(`fewer than ${ORDERS} orders after three minutes`);
    await board.waitForTimeout(100);
  }
  await board.screenshot({ path: join(PICTURES, 'board.png') });
} finally {
  for (const child of crowd) child.kill();
  await browser.close();
}
