// Operators log in to the console at an OpenID provider.
//   CONSOLE_URL   of the console, such as http://127.0.0.1:8081

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

async function fresh(path = '/console/', locale = 'en', prepare = () => {}) {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale, viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await prepare(page);
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  await page.goto(path);
  await page.locator('#login[open] #login-sso-go').waitFor();
  return page;
}

/** Logs in at the provider's own pages; it asks once whether the console may know who they are. */
async function logInAtProvider(page, name) {
  await page.locator('input[name=login]').fill(name);
  await page.locator('input[name=password]').fill('whatever');
  await page.locator('[type=submit]').click();
  await page.locator('[type=submit]').click();
}

test('people of two groups log in, see what their role may see, and their sessions say how they began', async () => {
  const page = await fresh('/console/#/rounds');
  await page.locator('#login-sso-go', { hasText: 'Log in with Example ID' }).waitFor();
  await page.locator('#login-or', { hasText: 'or with a password' }).waitFor();
  await page.click('#login-sso-go');
  await logInAtProvider(page, 'ops-li');
  await page.waitForURL('**/console/#/rounds');
  await page.locator('#who', { hasText: 'ops-li' }).waitFor();
  await page.locator('#who', { hasText: 'Operator' }).waitFor();
  await page.goto('/console/#/account');
  await page.locator('.page-account', { hasText: 'You logged in by single sign-on' }).waitFor();
  await page.locator('[data-session] .chip', { hasText: 'single sign-on' }).waitFor();
  await isUsable(page, 'the account of somebody who logged in by single sign-on');

  const boss = await fresh();
  await boss.click('#login-sso-go');
  await logInAtProvider(boss, 'boss-wang');
  await boss.locator('#who', { hasText: 'Supervisor' }).waitFor();
  await boss.goto('/console/#/accounts');
  await boss.locator('[data-account="ops-li"] .chip', { hasText: 'single sign-on' }).waitFor();
  await boss.locator('[data-sessions="ops-li"] summary').click();
  await boss.locator('[data-sessions="ops-li"] [data-session] button').click();
  await boss.locator('#toast.is-on', { hasText: 'Ended' }).waitFor();
  await page.reload();
  await page.locator('#login[open]').waitFor();
  await shoot(boss, 'console-sso-accounts');
  for (const one of [page, boss]) assert.deepEqual(one.complaints, []);
});

test('who logs out is asked at the provider, comes back, and has to log in there again', async () => {
  const page = await fresh();
  await page.click('#login-sso-go');
  await logInAtProvider(page, 'ops-wu');
  await page.locator('#who', { hasText: 'ops-wu' }).waitFor();
  await page.goto('/console/#/rounds/new');
  await page.locator('label', { hasText: 'List price ($)' }).waitFor();
  await page.click('#logout');
  // The provider's own page asks whether they want to log out there.
  await page.locator('[name=logout][value=yes]').click();
  await page.waitForURL('**/console/*');
  await page.locator('#login[open] #login-sso-go').waitFor();
  await page.click('#login-sso-go');
  await page.locator('input[name=password]').waitFor();
  assert.deepEqual(page.complaints, []);
});

test('a supervisor links an account to a person, who then logs in with it, and unlinks it', async () => {
  const boss = await fresh();
  await boss.click('#login-sso-go');
  await logInAtProvider(boss, 'boss-liu');
  await boss.locator('#who', { hasText: 'boss-liu' }).waitFor();
  await boss.goto('/console/#/accounts');
  await boss.fill('#account-name', 'night-shift');
  await boss.click('#account-form [type=submit]');
  await boss.locator('dialog[open] [data-password="night-shift"]').waitFor();
  await boss.locator('dialog[open] button').click();
  const row = boss.locator('[data-account="night-shift"]');
  const link = async (subject) => {
    await row.locator('[data-act="account.link"]').click();
    await boss.locator('dialog[open] textarea').fill(subject);
    await shoot(boss, 'console-sso-link');
    await isUsable(boss, 'linking an account');
    await boss.locator('dialog[open] [type=submit]').click();
  };
  await link('boss-liu');
  await boss.locator('#toast[data-tone=bad].is-on', { hasText: 'Another account is linked to this person' }).waitFor();
  await link('ops-sun');
  await row.locator('.chip', { hasText: 'single sign-on' }).waitFor();

  const sun = await fresh();
  await sun.click('#login-sso-go');
  await logInAtProvider(sun, 'ops-sun');
  await sun.locator('#who', { hasText: 'night-shift' }).waitFor();

  await row.locator('[data-act="account.unlink"]').click();
  await boss.locator('dialog[open] [type=submit]').click();
  await row.locator('[data-act="account.link"]').waitFor();
  await boss.goto('/console/#/audit');
  await boss.locator('.page-audit', { hasText: 'unlinked an account' }).waitFor();
  for (const one of [boss, sun]) assert.deepEqual(one.complaints, []);
});

test('where passwords are off, the account for emergencies is behind a button', async () => {
  for (const [passwords, buttons] of [['one', 1], ['none', 0]]) {
    const page = await fresh('/console/', 'zh-CN', (it) => it.route('**/ops/api/login', async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: { ...(await answer.json()), passwords } });
    }));
    await page.locator('#login-sso-go').waitFor();
    assert.equal(await page.locator('#login-emergency').isVisible(), buttons === 1);
    for (const id of ['login-password', 'login-or']) assert.equal(await page.locator(`#${id}`).isVisible(), false, `${passwords}: ${id}`);
    await shoot(page, `console-sso-passwords-${passwords}`);
    await isUsable(page, `a login page where passwords are for ${passwords}`);
    if (buttons === 0) continue;
    await page.click('#login-emergency');
    await page.locator('#login-password').waitFor();
    assert.equal(await page.locator('#login-emergency').isVisible(), false);
    assert.deepEqual(page.complaints, []);
  }
});

test('who has no role is told so, in both languages, and the address keeps nothing of it', async () => {
  for (const [locale, words] of [['en', 'has no role at this console'], ['zh-CN', '没有本控制台的角色']]) {
    const page = await fresh('/console/', locale);
    await shoot(page, `console-sso-${locale}`);
    await isUsable(page, 'a login page with single sign-on');
    await page.click('#login-sso-go');
    await logInAtProvider(page, 'guest-chen');
    await page.locator('#login-refused', { hasText: words }).waitFor();
    assert.equal(new URL(page.url()).search, '');
    await shoot(page, `console-sso-refused-${locale}`);
    await isUsable(page, 'a refusal of single sign-on');
    assert.deepEqual(page.complaints, []);
  }
});

test('who logs in again does so in another tab, and what they had open stays', async () => {
  const page = await fresh('/console/#/rounds');
  await page.click('#login-sso-go');
  await logInAtProvider(page, 'ops-zhao');
  await page.locator('#who', { hasText: 'ops-zhao' }).waitFor();
  await page.goto('/console/#/rounds/new');
  const title = page.locator('[data-field="products.0.title"]');
  await title.fill('Typed before');
  await page.context().clearCookies({ name: 'seckill_console' });
  // The check of what is typed meets the login that has ended.
  await title.dispatchEvent('input');
  await page.locator('#login[open] #login-sso-again').waitFor({ timeout: 60_000 });
  await shoot(page, 'console-sso-again');
  await isUsable(page, 'a login that has expired, with single sign-on');
  const [other] = await Promise.all([page.context().waitForEvent('page'), page.click('#login-sso-go')]);
  // The provider remembers them.
  await other.locator('#who', { hasText: 'ops-zhao' }).waitFor();
  await other.close();
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await page.locator('#login:not([open])').waitFor({ state: 'attached' });
  assert.equal(await title.inputValue(), 'Typed before');
  assert.deepEqual(page.complaints, []);
});
