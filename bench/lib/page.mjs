// Measures a running shop's product page in a browser: one JSON object of medians,
// in milliseconds.
//
//   BASE_URL=… node page.mjs ROUNDS

import { createServer } from 'node:http';
import {
  close, edgeAhead, launch, PAGE, pretend, shopper,
} from '../../t/e2e/browser.mjs';

// Slow 4G as Lighthouse has it, and a phone with a quarter of this machine's pace.
const SLOW_4G = { offline: false, latency: 150, downloadThroughput: 1_600_000 / 8, uploadThroughput: 750_000 / 8 };
const SLOWER = 4;
const rounds = Number(process.argv[2]);

/** A page of one file whose button opens a dialog, and nothing else. */
const ONE_FILE = `<!doctype html><title>One file</title><button id="account">Log in</button>
<dialog id="login">Log in</dialog>
<script>document.querySelector('#account').onclick = () => document.querySelector('#login').showModal();</script>`;

const peer = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end(ONE_FILE));
await new Promise((listening) => peer.listen(0, '127.0.0.1', listening));
const browser = await launch();

/** Milliseconds from the address entered until the dialog is open. */
async function respondsAfter(url) {
  const page = await shopper(browser);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Network.enable');
  await devtools.send('Network.emulateNetworkConditions', SLOW_4G);
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: SLOWER });
  await page.addInitScript(tapUntilAnswered);
  await page.goto(url, { waitUntil: 'commit' });
  await page.locator('#login[open]').waitFor();
  const after = await page.evaluate(() => window.answeredAt);
  await page.context().close();
  return after;
}

// Runs inside the page: an impatient finger on "Log in" until the dialog opens.
function tapUntilAnswered() {
  const finger = setInterval(() => {
    document.querySelector('#account')?.click();
    if (!document.querySelector('#login')?.open) return;
    window.answeredAt = performance.now();
    clearInterval(finger);
  }, 10);
}

/** Milliseconds that the button opened after the edge's clock struck. */
async function opensLate(page, show) {
  const opens = Math.round(Date.now() + (await edgeAhead()) + 3_000);
  show.times = { opens_ms: opens, ends_ms: opens + 600_000 };
  await page.goto(PAGE);
  await page.locator('#buy[aria-disabled=false]').waitFor();
  const opened = await page.evaluate(() => window.seen.openedAt);
  return opened + (await edgeAhead()) - opens;
}

const median = (of) => [...of].sort((a, b) => a - b)[Math.floor(of.length / 2)];
const pages = [];
const peers = [];
for (let i = 0; i < rounds; i += 1) {
  peers.push(await respondsAfter(`http://127.0.0.1:${peer.address().port}/`));
  pages.push(await respondsAfter(PAGE));
}
const lates = [];
const page = await shopper(browser, { clockOffBy: 300_000 });
const show = await pretend(page, { state: 'scheduled' });
for (let i = 0; i < rounds; i += 1) lates.push(await opensLate(page, show));
await close(page);
await browser.close();
peer.close();
console.log(JSON.stringify({
  page: Math.round(median(pages)),
  peer: Math.round(median(peers)),
  ratio: Number(median(pages.map((ms, i) => ms / peers[i])).toFixed(2)),
  late: Number(median(lates.map(Math.abs)).toFixed(1)),
}));
