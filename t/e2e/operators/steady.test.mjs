// Pages of the console that stay as they are: under the keyboard while they are read
// again, within the screen whatever things are called, and with a clock that is wrong.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, shoot } from '../browser.mjs';

const CONSOLE_URL = process.env.CONSOLE_URL ?? 'http://127.0.0.1:8081';
const ARABIC = 'هاتف قابل للطي 2026 (أسود) 128GB';
const LONG = `Super${'califragilistic'.repeat(9)}`;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

async function operator({ clock = null, ...more } = {}) {
  const context = await browser.newContext({ baseURL: CONSOLE_URL, locale: 'en', viewport: { width: 1280, height: 900 }, ...more });
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

const focused = (page) => page.evaluate(() => [document.activeElement.closest('[data-proposal]')?.dataset.proposal ?? '', document.activeElement.dataset.act ?? document.activeElement.tagName]);

test('a list that is read again leaves the keyboard where it is, also when something came', async () => {
  const page = await operator({ clock: Date.now() });
  const proposal = (id) => ({ id, round: '1', name: 'Noon', proposed_by: 'operator', proposed_ms: Date.now(), reason: 'More came.', changes: [{ field: 'name', from: 'a', to: 'b' }], titles: {}, has_moved: false });
  let proposals = [proposal(7)];
  await page.route('**/ops/api/proposals?*', (route) => route.fulfill({ json: { proposals, total: proposals.length } }));
  await page.route('**/ops/api/rounds?*', (route) => route.fulfill({ json: { rounds: [], total: 0 } }));
  let announcement = { text: 'Soon.', by: 'operator', until_ms: Date.now() + 600_000 };
  await page.route('**/ops/api/announcement', (route) => route.fulfill({ json: { announcement } }));
  await page.goto('/console/#/approvals');
  const approve = page.locator('[data-proposal="7"] [data-act="proposal.approve"]');
  await approve.focus();
  const again = async (path) => {
    const read = page.waitForResponse((it) => it.url().includes(path));
    await page.clock.runFor(10_500);
    await read;
    await page.clock.runFor(100);
  };
  await approve.evaluate((it) => (it.wasHere = true));
  await again('/proposals?');
  assert.ok(await approve.evaluate((it) => it.wasHere), 'nothing changed, and nothing was drawn');
  proposals = [proposal(8), proposal(7)];
  await again('/proposals?');
  await page.locator('[data-proposal="8"]').waitFor();
  assert.deepEqual(await focused(page), ['7', 'proposal.approve']);

  await page.goto('/console/#/board');
  await page.locator('.announcement summary').click();
  const end = page.locator('[data-act="announcement.end"]');
  await end.focus();
  await again('/announcement');
  assert.deepEqual(await focused(page), ['', 'announcement.end']);
  announcement = { ...announcement, text: 'Sooner.' };
  await again('/announcement');
  await page.locator('[data-announcement]', { hasText: 'Sooner.' }).waitFor();
  assert.deepEqual(await focused(page), ['', 'announcement.end']);

  // Nor is it lost by what one presses oneself.
  await page.locator('[data-range="1h"]').focus();
  await page.keyboard.press('Enter');
  await page.locator('[data-range="1h"][aria-pressed=true]').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.dataset.range), '1h');
  await close(page);
});

for (const width of [390, 1280]) {
  test(`titles without spaces, or from right to left, stay within a board ${width} wide`, async () => {
    const page = await operator({ viewport: { width, height: 900 } });
    const { board, history } = await (await page.request.get('/ops/api/board')).json();
    const [key, other] = Object.keys(board.products);
    board.products[key].title = ARABIC;
    board.products[other].title = LONG;
    board.rounds[board.products[key].round].name = LONG;
    board.visitors.hot = [[other, 12], [key, 7]];
    board.alerts.push({ code: 'negative', level: 'critical', subject: other, values: {}, message: `${other} is below zero.` });
    await page.route('**/ops/api/board/stream', (route) => route.fulfill({ contentType: 'text/event-stream', body: `event: snapshot\ndata: ${JSON.stringify({ board, history })}\n\n` }));
    await page.goto('/console/#/board');
    await page.locator('.hot li').nth(1).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0);
    const out = await page.evaluate(() => [...document.querySelectorAll('.board .card, .board-round')].filter((it) => it.scrollWidth > it.clientWidth + 1).map((it) => it.className));
    assert.deepEqual(out, []);
    for (const title of [page.locator('.hot span', { hasText: ARABIC }), page.locator('.shelf-head b', { hasText: ARABIC })]) {
      assert.equal(await title.first().evaluate((it) => getComputedStyle(it).direction), 'rtl');
    }
    await page.locator('.hot').scrollIntoViewIfNeeded();
    await shoot(page, `board-titles-${width}`);
    await close(page);
  });
}

test('the last hour is the server’s hour, whatever the operator’s clock says', async () => {
  const page = await operator({ clock: Date.now() - 5 * 3_600_000 });
  await page.goto('/console/#/board');
  await page.locator('[data-state=live]').waitFor();
  const asked = page.waitForRequest((it) => it.url().includes('/board/history'));
  await page.click('[data-range="1h"]');
  const to = Number(new URL((await asked).url()).searchParams.get('to_ms'));
  assert.ok(Math.abs(to - Date.now()) < 60_000, `${new Date(to)}`);
  await close(page);
});
