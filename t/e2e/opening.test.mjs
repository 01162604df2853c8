// A person waits for the opening and buys, in a real browser from a running shop.
//   SECKILL   the program, which puts the round up for sale

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  BASE_URL, bought, close, edgeAhead, launch, logIn, name, PAGE, pretend, scene, shopper, UNTIL_OPEN,
} from './browser.mjs';

// A round of its own, so that its opening is ahead however slow the machine is.
const OPENING = 'opening';
const OPENING_PAGE = `/product/${OPENING}-1.html`;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

async function putUpForSale() {
  const file = `${process.env.SECKILL_DATA}-opening.toml`;
  writeFileSync(file, `[[round]]
id = "${OPENING}"
name = "Opening"
starts = "+40s"
ends = "+2h"

[[round.product]]
id = "1"
title = "Opens soon"
amount = 100
price_cents = 99900
list_price_cents = 199900
per_buyer = 1
`);
  execFileSync(process.env.SECKILL, ['sale', 'import', file, '--approve'], { encoding: 'utf8' });
  const is = async (url) => (await fetch(`${BASE_URL}${url}`)).ok;
  // The start page reads the list once.
  const isListed = async () => (await (await fetch(`${BASE_URL}/api/rounds`)).text()).includes(`"${OPENING}"`);
  for (const deadline = Date.now() + 30_000; !(await is(OPENING_PAGE)) || !(await is(`/api/rounds/${OPENING}/products/1/state`)) || !(await isListed());) {
    assert.ok(Date.now() < deadline, 'page, state or listing of the round that opens soon is missing');
    await new Promise((done) => setTimeout(done, 100));
  }
}

// Both wait for the same opening, so they wait together.
describe('at the opening', { concurrency: true }, () => {
  before(putUpForSale);

  test('a shopper waits, buys and still sees the order after a reload', async () => {
    const page = await shopper(browser, { lang: 'en' });
    await logIn(page, name());
    await page.locator('.card').first().waitFor();

    await page.locator(`.card[href$="${OPENING_PAGE}"]`).first().click();
    await page.waitForURL(`**${OPENING_PAGE}`);
    // One look: between two, a slow machine may reach the opening.
    await page.locator('#product:is([data-scene=scheduled],[data-scene=soon]) #buy[aria-disabled=true]').waitFor();
    await page.waitForFunction(() => /\d/.test(document.querySelector('.box').textContent));

    await page.locator('#buy[aria-disabled=false]').waitFor(UNTIL_OPEN);
    // Every scene with its button, also those that pass before a slow machine looks.
    await page.evaluate(() => {
      const [product, button] = [document.querySelector('#product'), document.querySelector('#buy')];
      window.looks = [];
      const look = () => window.looks.push(`${product.dataset.scene} ${button.getAttribute('aria-disabled')}`);
      new MutationObserver(look).observe(product, { attributes: true, subtree: true });
    });
    await page.click('#buy');
    await bought(page);
    const underWay = (await page.evaluate(() => window.looks)).filter((look) => /^(sending|processing|reserved) /.test(look));
    assert.ok(underWay.length > 0, 'the page shows that the purchase is under way');
    assert.deepEqual(underWay.filter((look) => !look.endsWith(' true')), [], 'and the button waits meanwhile');
    const order = await page.textContent('#order');
    assert.match(order, /\S/);
    await page.locator('#pay-line:not([hidden])').waitFor();
    assert.match(await page.textContent('#pay-left'), /^(10:00|9:\d\d)$/);

    await page.reload();
    await scene(page, 'ordered').waitFor();
    assert.equal(await page.textContent('#order'), order);
    await page.goto('/');
    await page.locator('.card').first().waitFor();
    await page.goBack();
    await scene(page, 'ordered').waitFor();
    assert.equal(await page.textContent('#order'), order);
    assert.ok((await page.evaluate(() => window.seen.shift)) < 0.02, 'the page must not jump');
    await close(page);
  });

  test('two tabs of one shopper make one purchase', async () => {
    const first = await shopper(browser);
    await logIn(first, name());
    await first.goto(OPENING_PAGE);
    const second = await first.context().newPage();
    await second.goto(OPENING_PAGE);
    // Clicked from inside, at the opening: a tab that is late finds the other's order, and
    // there the same button would lead to the payment.
    const clicked = await Promise.all([first, second].map((page) => page.evaluate(() => new Promise((done) => {
      const [product, button] = [document.querySelector('#product'), document.querySelector('#buy')];
      const look = () => {
        if (['scheduled', 'soon', 'connecting'].includes(product.dataset.scene) || (product.dataset.scene === 'open' && button.getAttribute('aria-disabled') === 'true')) return;
        observer.disconnect();
        const isOpen = product.dataset.scene === 'open';
        if (isOpen) button.click();
        done(isOpen);
      };
      const observer = new MutationObserver(look);
      observer.observe(product, { attributes: true, subtree: true });
      look();
    }))));
    assert.ok(clicked.includes(true), 'at least one of them clicks');
    await Promise.all([first, second].map((page) => scene(page, 'ordered').waitFor()));
    assert.equal(await first.textContent('#order'), await second.textContent('#order'));
    await close(first);
  });
});

test('in a browser whose clock is five minutes fast the button opens within 50 ms of the edge\'s clock', async (t) => {
  const page = await shopper(browser, { clockOffBy: 300_000 });
  const show = await pretend(page, { state: 'scheduled' });
  const lates = [];
  // The edge's clock and the page's are the real ones; only the sale is moved, so
  // that there are several openings. A loaded machine is late now and then, while
  // a wrong clock would be wrong at all of them: the one in the middle counts.
  for (let i = 0; i < 5; i += 1) {
    const ahead = await edgeAhead();
    const opens = Math.round(Date.now() + ahead + 4_000);
    show.times = { opens_ms: opens, ends_ms: opens + 600_000 };
    await page.goto(PAGE);
    await page.locator('#buy[aria-disabled=false]').waitFor();
    const opened = await page.evaluate(() => window.seen.openedAt);
    lates.push(opened + (await edgeAhead()) - opens);
  }
  t.diagnostic(`opened after the edge's clock struck, in ms: ${lates.map((ms) => ms.toFixed(1)).join(' ')}`);
  const [, , middle] = lates.map(Math.abs).sort((a, b) => a - b);
  assert.ok(middle <= 50, `in the middle ${middle.toFixed(1)} ms off`);
  await close(page);
});
