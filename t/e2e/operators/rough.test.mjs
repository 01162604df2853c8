// What operators do to a console that was not made for it: Escape at a question, two clicks
// for one, a filter that is changed before its list is there, and a network that answers for
// the console, or not at all.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isUsable } from '../axe.mjs';
import { launch, shoot } from '../browser.mjs';
import { eventually } from '../buyer.mjs';

const CONSOLE_URL = process.env.CONSOLE_URL ?? 'http://127.0.0.1:8081';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

async function supervisor({ lang = 'en', clock = null } = {}) {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: lang, viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  if (clock) await page.clock.install({ time: clock });
  await page.goto('/console/');
  await page.fill('#login-name', 'supervisor');
  await page.fill('#login-password', process.env.SUPERVISOR_PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('#nav a').first().waitFor();
  return page;
}

async function close(page) {
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

/** Records the bodies of requests that write to `path`, and answers each with `reply()`. */
async function writes(page, path, reply) {
  const sent = [];
  await page.route(`**/ops/api/${path}`, async (route) => {
    if (route.request().method() === 'GET') return route.fallback();
    sent.push(route.request().postDataJSON());
    return reply(route, sent.length);
  });
  return sent;
}

test('Escape at the withdrawal of a round withdraws nothing; what becomes of its orders is chosen with it', async () => {
  const page = await supervisor();
  const round = await (await page.request.get('/ops/api/rounds/1')).json();
  const sent = await writes(page, 'rounds/1/withdraw', (route) => route.fulfill({ json: round }));
  const withdraw = async () => {
    await page.click('[data-act="stop.withdraw"]');
    await page.fill('dialog[open] textarea', 'Wrong price.');
  };
  await page.goto('/console/#/rounds/1');
  await withdraw();
  await shoot(page, 'console-withdraw-en');
  await isUsable(page, 'the withdrawal of a round');
  await page.keyboard.press('Escape');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  await withdraw();
  await page.click('dialog[open] .is-danger');
  await eventually('the withdrawal is sent', () => sent.length === 1);
  await withdraw();
  await page.check('dialog[open] [value=unpaid]');
  await page.click('dialog[open] .is-danger');
  await eventually('the other withdrawal is sent', () => sent.length === 2);
  // At no time was there a second question.
  assert.equal(await page.locator('dialog[open]').count(), 0);
  assert.deepEqual(sent, [{ reason: 'Wrong price.', cancel: 'none' }, { reason: 'Wrong price.', cancel: 'unpaid' }]);
  await close(page);
});

test('however often Escape is pressed, the login stays', async () => {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: 'en' });
  const page = await context.newPage();
  await page.goto('/console/');
  await page.locator('#login[open]').waitFor();
  for (let n = 0; n < 3; n += 1) await page.keyboard.press('Escape');
  assert.equal(await page.locator('#login[open]').count(), 1);
  await context.close();
});
