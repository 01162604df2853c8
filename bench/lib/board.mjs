// Opens boards on a running shop and says what they cost: one JSON object.
//
//   node board.mjs CONSOLE_URL NAME PASSWORD PID REDIS_SOCKET ITEM BOARDS SECONDS
//
// PID is the back end's. ITEM's stock in REDIS_SOCKET is changed by hand to see how
// long a change takes to arrive at every board.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const [url, name, password, pid, socket, item, boards, seconds] = process.argv.slice(2);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const redis = (...command) => execFileSync('redis-cli', ['-s', socket, ...command], { encoding: 'utf8' }).trim();

/** CPU seconds that the back end has used. */
function used() {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The share of a core that the back end takes meanwhile, in percent. */
async function share() {
  const [before, began] = [used(), performance.now()];
  await wait(seconds * 1000);
  return ((used() - before) * 100) / ((performance.now() - began) / 1000);
}

async function logIn() {
  const answer = await fetch(`${url}/ops/api/login`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name, password }),
  });
  if (!answer.ok) throw new Error(`cannot log in as ${name}: ${answer.status}`);
  return (answer.headers.get('set-cookie') ?? '').split(/, *(?=[^;, ]+=)/).map((cookie) => cookie.split(';')[0]).join('; ');
}

/** A board: `seen(text)` is called with what arrives. */
async function watch(cookie, stop, seen) {
  const answer = await fetch(`${url}/ops/api/board/stream`, { headers: { Cookie: cookie }, signal: stop });
  if (!answer.ok) throw new Error(`no stream: ${answer.status}`);
  const reading = (async () => {
    const decoder = new TextDecoder();
    try {
      for await (const chunk of answer.body) seen(decoder.decode(chunk, { stream: true }));
    } catch (error) {
      if (!stop.aborted) throw error;
    }
  })();
  return reading;
}

const cookie = await logIn();
const stop = new AbortController();
const idle = await share();
let bytes = 0;
let looked = () => {};
for (let n = 0; n < boards; n += 1) {
  watch(cookie, stop.signal, (text) => {
    bytes += text.length;
    looked(n, text);
  });
}
await wait(2000);
bytes = 0;
const watched = await share();
const perBoard = bytes / boards / seconds;

const took = [];
const stock = `seckill::{${item}::01}::stock`;
const before = redis('HGET', stock, 'sale_stock_amount');
for (let n = 0; n < 15; n += 1) {
  const sale = String(7_000 + n);
  const all = new Set();
  const arrived = new Promise((done) => {
    looked = (board, text) => {
      if (text.includes(`"sale":${sale}`)) all.add(board);
      if (all.size === Number(boards)) done(performance.now());
    };
  });
  redis('HSET', stock, 'sale_stock_amount', sale);
  const changed = performance.now();
  took.push((await arrived) - changed);
  await wait(100 + Math.random() * 400);
}
redis('HSET', stock, 'sale_stock_amount', before);
stop.abort();
took.sort((a, b) => a - b);
console.log(JSON.stringify({
  idle: Number(idle.toFixed(2)),
  watched: Number(watched.toFixed(2)),
  median: Math.round(took[Math.floor(took.length / 2)]),
  longest: Math.round(took.at(-1)),
  bytes: Math.round(perBoard),
}));
process.exit(0);
