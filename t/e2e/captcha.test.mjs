// The puzzle at the click, in a real browser, from a shop with a captcha.
//
//   BASE_URL        where the shop is; its captcha is "slider"
//   ROUND, PRODUCT  a product that is open, or opens within two minutes
//   REDIS_SOCKET    the shop's Redis, which alone holds the answers: tests read them there

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { isUsable } from './axe.mjs';
import { close, launch, logIn, notice, scene, shoot, shopper } from './browser.mjs';

const ROUND = process.env.ROUND ?? '1';
const PRODUCT = process.env.PRODUCT ?? '153';
const PAGE = `/product/${ROUND}-${PRODUCT}.html`;
const REDIS = process.env.REDIS_SOCKET;
const UNTIL_OPEN = { timeout: 150_000 };

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const name = () => `puzzled-${Math.random().toString(36).slice(2, 10)}`;
const redis = (...words) => execFileSync('redis-cli', ['-s', REDIS, '--raw', ...words], { encoding: 'utf8' }).trim();

/** A shopper in front of an open product; `page.puzzles` collects the puzzles they are given. */
async function customer({ lang = 'zh-CN', dark = false } = {}) {
  const page = await shopper(browser, { lang });
  await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' });
  page.user = name();
  page.puzzles = [];
  page.on('response', async (response) => {
    const { pathname } = new URL(response.url());
    if (pathname === '/api/captcha' && response.request().method() === 'GET' && response.ok()) {
      page.puzzles.push(await response.json().catch(() => null));
    }
  });
  await logIn(page, page.user);
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').waitFor(UNTIL_OPEN);
  return page;
}

const state = (page, ...names) => page.locator(names.map((one) => `#captcha[open][data-state=${one}]`).join(','));

async function openPuzzle(page) {
  await page.click('#buy');
  await state(page, 'ready').waitFor();
}

/** Where the rail and the knob are, as soon as they stand still. */
async function places(page) {
  const look = async () => [await page.locator('.captcha-rail').boundingBox(), await page.locator('.captcha-knob').boundingBox()];
  for (let [before, now] = [null, await look()]; ; [before, now] = [now, await look()]) {
    if (JSON.stringify(before) === JSON.stringify(now)) return now;
    await pause(50);
  }
}

/** How far the knob has to go on the screen, by the answer that the server keeps. */
async function distance(page) {
  const [rail, knob] = await places(page);
  const puzzle = page.puzzles.at(-1);
  const answer = Number(redis('GET', `seckill::{captcha}::puzzle::${puzzle.id}`).split('|')[3]);
  const run = rail.width - knob.width;
  const most = puzzle.slider.width - puzzle.slider.size;
  return { px: (answer * run) / most, x: knob.x + knob.width / 2, y: knob.y + knob.height / 2 };
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Eyes first: the server knows when the picture was made. */
const look = () => pause(450 + Math.random() * 300);

/** A hand: quick, a little short, then a correction; it sways, and no two are alike. */
async function dragAsAHand(page) {
  const { px, x, y } = await distance(page);
  const jerk = (t) => {
    const u = Math.min(1, Math.max(0, t));
    return u ** 3 * (10 - 15 * u + 6 * u * u);
  };
  const [short, sway, phase] = [0.86 + Math.random() * 0.08, 3 + Math.random() * 4, Math.random() * 6];
  await look();
  await page.mouse.move(x, y);
  await page.mouse.down();
  const began = performance.now();
  for (let ms = 0; ms < 1_050; ms = performance.now() - began) {
    const way = px * (short * jerk(ms / 600) + (1 - short) * jerk((ms - 520) / 450));
    await page.mouse.move(x + way, y + sway * (Math.sin(ms / 300 + phase) - Math.sin(phase)) + Math.random());
    await pause(8 + Math.random() * 10);
  }
  await page.mouse.move(x + px, y + sway * Math.sin(phase));
  await pause(60 + Math.random() * 80);
  await page.mouse.up();
}

/**
 * Drags until the order is there. On a busy machine a hand's moves come late and in
 * bursts, which no hand does: like a person, it may have to try the next puzzle.
 */
async function buyByHand(page) {
  for (let attempt = 1; ; attempt += 1) {
    const puzzle = page.puzzles.at(-1);
    await dragAsAHand(page);
    const until = Date.now() + 30_000;
    while (!(await scene(page, 'ordered').isVisible()) && page.puzzles.at(-1) === puzzle && Date.now() < until) await pause(50);
    if (await scene(page, 'ordered').isVisible()) return;
    assert.ok(attempt < 4 && page.puzzles.at(-1) !== puzzle, `not bought after ${attempt} attempts by hand`);
    await state(page, 'ready').waitFor();
  }
}

/** A script: as far, but along a ruler and at one speed. */
async function dragAsAScript(page) {
  const { px, x, y } = await distance(page);
  await look();
  await page.mouse.move(x, y);
  await page.mouse.down();
  for (let step = 1; step <= 50; step += 1) {
    await page.mouse.move(x + (px * step) / 50, y);
    await pause(15);
  }
  await page.mouse.up();
}

for (const [lang, dark] of [['zh-CN', false], ['en', true]]) {
  test(`a shopper drags the piece into its hole and buys (${lang}, ${dark ? 'dark' : 'light'})`, async () => {
    const page = await customer({ lang, dark });
    await openPuzzle(page);
    await shoot(page, `captcha-ready-${lang}`);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await isUsable(page, `the open puzzle in ${lang}, ${colorScheme}`);
    }
    await buyByHand(page);
    assert.match(await page.textContent('#order'), /\S/);
    await close(page);
  });
}

test('a script that drags along a ruler fails, is told why, and a second attempt by hand is accepted', async () => {
  const page = await customer({ lang: 'en' });
  await openPuzzle(page);
  await dragAsAScript(page);
  await page.locator('.captcha-say:has-text("Not quite")').waitFor();
  await state(page, 'ready').waitFor();
  await shoot(page, 'captcha-failed-en');
  assert.equal(page.puzzles.length, 2, 'it has a new puzzle');
  await buyByHand(page);
  await close(page);
});

test('a track that has bought once does not buy again for another', async () => {
  const first = await customer();
  let recorded;
  await first.route('**/api/captcha', (route) => {
    const body = route.request().postDataJSON();
    if (body?.track) recorded = body.track;
    return route.continue();
  });
  await openPuzzle(first);
  await buyByHand(first);
  await close(first);

  const second = await customer();
  const send = (track) => second.evaluate(async ([round, product, moments]) => {
    const puzzle = await (await fetch(`/api/captcha?round=${round}&product=${product}`)).json();
    return { id: puzzle.id, track: moments };
  }, [ROUND, PRODUCT, track]);
  // The very puzzle that it fits, as a bot would wait for: only the times are old.
  const given = await send(recorded);
  const key = `seckill::{captcha}::puzzle::${given.id}`;
  const kept = redis('GET', key).split('|');
  kept[3] = String(Math.round(recorded.at(-1)[1]));
  kept[4] = String(Number(kept[4]) - 10_000);
  redis('SET', key, kept.join('|'), 'PX', '50000');
  const response = await second.evaluate(async (body) => {
    const answer = await fetch('/api/captcha', { method: 'POST', body: JSON.stringify(body) });
    return { status: answer.status, ...(await answer.json()) };
  }, given);
  assert.equal(response.status, 403);
  assert.equal(response.code, 'captcha_required');
  assert.equal(response.reason, 'failed');
  await close(second);
});

test('with the keyboard alone a shopper has the device work, and buys', async (t) => {
  const page = await customer({ lang: 'en' });
  await page.locator('#buy').focus();
  await page.keyboard.press('Enter');
  await state(page, 'ready').waitFor();
  // With the keyboard, the focus starts on the way that needs no mouse.
  assert.equal(await page.evaluate(() => document.activeElement.className), 'captcha-work');
  for (let i = 0; i < 6; i += 1) {
    await page.keyboard.press('Tab');
    assert.ok(await page.evaluate(() => document.activeElement === document.body || document.querySelector('#captcha').contains(document.activeElement)), 'the focus stays inside');
  }
  await page.locator('.captcha-work').focus();
  await page.evaluate(() => {
    window.worst = 0;
    let last = performance.now();
    const tick = () => {
      const now = performance.now();
      if (document.querySelector('#captcha[data-state=working]')) window.worst = Math.max(window.worst, now - last);
      last = now;
      setTimeout(tick);
    };
    tick();
  });
  const began = performance.now();
  await page.keyboard.press('Enter');
  await state(page, 'working').waitFor();
  await shoot(page, 'captcha-working-en');
  await scene(page, 'ordered').waitFor({ timeout: 120_000 });
  const worst = await page.evaluate(() => window.worst);
  t.diagnostic(`the page stood still for ${worst.toFixed(0)} ms at most`);
  assert.ok(worst > 0 && worst < 1_000, 'work goes on beside the page');
  t.diagnostic(`from Enter to the order: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  await close(page);
});

test('a puzzle that is too old is replaced, and the page says so', async () => {
  const page = await customer();
  await openPuzzle(page);
  const going = dragAsAHand(page);
  await pause(400);
  // What a minute does, while the hand is on its way.
  redis('DEL', `seckill::{captcha}::puzzle::${page.puzzles[0].id}`);
  await going;
  await page.locator('.captcha-say:has-text("上一张拼图已失效")').waitFor();
  await state(page, 'ready').waitFor();
  await shoot(page, 'captcha-gone-zh');
  await close(page);
});

test('a puzzle left alone for a minute says that it no longer counts', async () => {
  const page = await customer();
  await page.route('**/api/captcha?*', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), life_ms: 1_200 } });
  });
  await openPuzzle(page);
  await state(page, 'stuck').waitFor();
  assert.match(await page.textContent('.captcha-say'), /已过期/);
  await shoot(page, 'captcha-expired-zh');
  await page.click('.captcha-new');
  await state(page, 'ready').waitFor();
  await close(page);
});

test('a pass that was used already opens another puzzle instead of an error', async () => {
  const page = await customer({ lang: 'en' });
  let clicks = 0;
  await page.route('**/buy/**', (route) => {
    clicks += 1;
    if (clicks > 1) return route.continue();
    return route.fulfill({ status: 403, json: { code: 'captcha_required', message: '' } });
  });
  await openPuzzle(page);
  await buyByHand(page);
  assert.equal(clicks, 2);
  await close(page);
});

test('after too many attempts the page says how long to wait', async () => {
  const page = await customer();
  redis('SET', `seckill::{captcha}::issued::user:${page.user}`, '99', 'PX', '2500');
  await page.click('#buy');
  await state(page, 'resting').waitFor();
  assert.match(await page.textContent('.captcha-say'), /\d 秒后/);
  await shoot(page, 'captcha-limited-zh');
  await state(page, 'ready').waitFor();
  await close(page);
});

test('a shopper who closes the puzzle has ordered nothing and can click again at once', async () => {
  const page = await customer();
  await openPuzzle(page);
  await page.keyboard.press('Escape');
  await page.locator('#captcha:not([open])').waitFor({ state: 'attached' });
  assert.equal(await page.getAttribute('#buy', 'aria-disabled'), 'false');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'buy');
  await openPuzzle(page);
  await page.click('#captcha .close');
  await scene(page, 'open').waitFor();
  assert.equal(await notice(page, 'captcha_required').count(), 0);
  await close(page);
});

test('on a phone the dialog fits and nothing of it is cut off', async () => {
  const page = await customer({ lang: 'en' });
  await page.setViewportSize({ width: 360, height: 640 });
  await openPuzzle(page);
  const box = await page.locator('#captcha').boundingBox();
  assert.ok(box.x >= 0 && box.x + box.width <= 360 && box.y >= 0 && box.y + box.height <= 640, JSON.stringify(box));
  assert.ok(await page.evaluate(() => document.querySelector('#captcha').scrollHeight <= document.querySelector('#captcha').clientHeight + 1));
  await close(page);
});
