// Accounts at the console: made by a supervisor, a password chosen, a second factor set up
// and wanted, a session ended.
//   CONSOLE_URL           of the console, such as http://127.0.0.1:8081
//   SUPERVISOR_PASSWORD   of the demo's account "supervisor"

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { isUsable } from '../axe.mjs';
import { launch, shoot } from '../browser.mjs';

const CONSOLE_URL = process.env.CONSOLE_URL ?? 'http://127.0.0.1:8081';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

async function fresh() {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: 'en', viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  await page.goto('/console/');
  return page;
}

async function logIn(page, name, password) {
  await page.fill('#login-name', name);
  await page.fill('#login-password', password);
  await page.click('#login-form [type=submit]');
}

/** The code of this secret now (RFC 6238), so many steps ahead. */
function code(secret, ahead = 0) {
  const bits = [...secret].map((it) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(it).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead));
  const digest = createHmac('sha1', key).update(step).digest();
  const at = digest[19] & 15;
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

test('a new operator chooses a password, sets up a second factor, and is asked for it', async () => {
  const name = `chen${Math.random().toString(36).slice(2, 8)}`;
  const supervisor = await fresh();
  await logIn(supervisor, 'supervisor', process.env.SUPERVISOR_PASSWORD);
  await supervisor.locator('#logout').waitFor();
  await supervisor.goto('/console/#/accounts');
  await supervisor.fill('#account-name', name);
  await supervisor.click('#account-form [type=submit]');
  const given = await supervisor.locator(`dialog[open] [data-password="${name}"]`).textContent();
  await isUsable(supervisor, 'a password that is given');
  await supervisor.locator('dialog[open] .is-main').click();
  await supervisor.locator(`[data-account="${name}"]`).waitFor();

  const page = await fresh();
  await logIn(page, name, given);
  const password = 'a password of my own';
  const form = page.locator('[data-form=password]');
  await form.waitFor();
  assert.equal(await page.locator('#nav a').count(), 0, 'nothing else is open yet');
  await isUsable(page, 'a password that has to be chosen');
  await form.locator('input').nth(0).fill(given);
  await form.locator('input').nth(1).fill(password);
  await form.locator('[type=submit]').click();
  await page.locator('#nav a').first().waitFor();

  await page.goto('/console/#/account');
  const factor = page.locator('[data-form=factor]');
  const off = page.locator('[data-act=factor-off]');
  await factor.waitFor();
  assert.equal(await off.count(), 0, 'what is off cannot be turned off');
  await factor.locator('input').fill(password);
  await factor.locator('[type=submit]').click();
  const secret = await page.locator('[data-secret]').getAttribute('data-secret');
  await shoot(page, 'console-factor');
  await isUsable(page, 'a second factor that is set up');
  await page.locator('[data-form=factor-code] input').fill(code(secret));
  await page.locator('[data-form=factor-code] [type=submit]').click();
  await page.locator('#toast.is-on', { hasText: 'second factor is on' }).waitFor();
  await off.waitFor();

  const other = await fresh();
  await logIn(other, name, password);
  await other.locator('#login-code:visible').waitFor();
  await isUsable(other, 'a login with a code');
  await other.fill('#login-code', code(secret, 1));
  await other.click('#login-form [type=submit]');
  await other.locator('#logout').waitFor();

  // The supervisor sees both sessions, and disables the account: both are over.
  await supervisor.reload();
  await supervisor.locator(`[data-sessions="${name}"] summary`).click();
  await supervisor.locator(`[data-sessions="${name}"] [data-session]`).nth(1).waitFor();
  await supervisor.locator(`[data-account="${name}"] [data-act="account.disable"]`).click();
  await supervisor.locator('dialog[open] [type=submit]').click();
  await supervisor.locator(`[data-account="${name}"] [data-act="account.enable"]`).waitFor();
  const wantsLogin = () => other.locator('#login[open]').waitFor({ timeout: 1_000 }).then(() => true, () => false);
  const deadline = Date.now() + 30_000;
  do await other.reload(); while (!(await wantsLogin()) && Date.now() < deadline);
  assert.ok(await wantsLogin(), 'whoever is disabled has to log in');
  for (const one of [supervisor, page, other]) assert.deepEqual(one.complaints, []);
});
