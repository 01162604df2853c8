// Many suspects at once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isUsable } from '../axe.mjs';
import { launch, shoot } from '../browser.mjs';

const CONSOLE_URL = process.env.CONSOLE_URL ?? 'http://127.0.0.1:8081';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

test('twenty-eight suspects are one decision, found by reason, for a chosen time', async () => {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: 'en', viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.goto('/console/');
  await page.fill('#login-name', 'supervisor');
  await page.fill('#login-password', process.env.SUPERVISOR_PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('#logout').waitFor();
  const now = Date.now();
  const finding = (n, code) => ({
    kind: 'user', subject: `bot-${n}`, state: 'proposed', score: 60, first_ms: now, last_ms: now, ban_until_ms: null, decided_by: null,
    reasons: [{ code, points: 60, sentence: `says the server: ${code}` }],
  });
  const findings = [...Array.from({ length: 28 }, (_, n) => finding(n, 'pace')), finding('lin', 'early')];
  await page.route('**/ops/api/findings*', (route) => route.fulfill({ json: { findings, counts: { proposed: findings.length }, policy: 'propose', ban_score: 80, ban_minutes: 60 } }));
  const asked = [];
  await page.route('**/ops/api/findings/decide', (route) => {
    asked.push(route.request().postDataJSON());
    return route.fulfill({ json: { decided: 28, refused: [] } });
  });
  await page.goto('/console/#/findings');
  await page.locator('.finding-why').first().waitFor();
  await page.locator('button:has-text("Too fast 28")').click();
  await page.locator('.bulk [type=checkbox]').check();
  await shoot(page, 'suspects-chosen');
  await isUsable(page, 'chosen suspects');
  await page.click('.bulk .is-danger');
  await page.selectOption('#finding-time', '10080');
  await page.click('dialog[open] .is-danger');
  await page.locator('#toast.is-on').waitFor();
  assert.equal(asked.length, 1, 'one dialog, one call');
  assert.equal(asked[0].decision, 'confirm');
  assert.equal(asked[0].minutes, 10_080);
  assert.equal(asked[0].findings.length, 28);
  assert.ok(asked[0].findings.every(({ subject }) => subject !== 'bot-lin'));
  await context.close();
});

test('the charts show the recorded past, with a mark for what happened', async () => {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: 'en', viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto('/console/');
  await page.fill('#login-name', 'supervisor');
  await page.fill('#login-password', process.env.SUPERVISOR_PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('#logout').waitFor();
  await page.goto('/console/#/board');
  await page.locator('[data-state=live]').waitFor();
  for (const range of ['1h', '7d']) {
    const answered = page.waitForResponse((answer) => answer.url().includes('/board/history'));
    await page.click(`[data-range="${range}"]`);
    const past = await (await answered).json();
    assert.ok(past.at_ms.length <= 1_000);
    // The system was started within this time.
    assert.ok(past.marks.some(({ kind }) => kind === 'system.start'));
    await page.locator('.marks-box:not([hidden])').waitFor();
  }
  await shoot(page, 'board-past');
  await isUsable(page, 'the recorded past');
  await page.click('[data-range=live]');
  await page.locator('.marks-box[hidden]').waitFor({ state: 'attached' });
  assert.deepEqual(complaints, []);
  await context.close();
});
