// The proof of work and the track, without a browser.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import vm from 'node:vm';
import { MOST, begin, end, move, wayAt } from '../../../html/static/assets/captcha-track.js';

test('the worker finds numbers whose SHA-256 begins with enough zero bits', async () => {
  const said = [];
  const worker = vm.createContext({ postMessage: (message) => said.push(message) });
  vm.runInContext(await readFile(new URL('../../../html/static/assets/captcha-worker.js', import.meta.url), 'utf8'), worker);
  const id = '0123456789abcdef0123456789abcdef';
  worker.onmessage({ data: { id, parts: 8, bits: 11 } });
  assert.deepEqual(said.map(({ done }) => done), [1, 2, 3, 4, 5, 6, 7, 8, undefined]);
  const work = [...said.at(-1).work];
  work.forEach((number, part) => {
    const digest = createHash('sha256').update(`${id}.${part}.${number}`).digest();
    assert.equal(digest.readUInt32BE(0) >>> (32 - 11), 0, `part ${part}`);
  });
  assert.ok(work.some((number) => number > 999), 'numbers of several lengths are tried');
});

test('a drag is kept in pixels of the picture and ends where the hand let go', () => {
  const drag = begin(1_000, 50, 300, 2, 270);
  move(drag, 1_016.66, 60, 301);
  move(drag, 1_033.3, 90.5, 302.5);
  assert.equal(wayAt(drag, 90.5), 81);
  assert.equal(wayAt(drag, 9_999), 270, 'the piece stays inside of the picture');
  assert.deepEqual(end(drag, 1_200), [[0, 0, 0], [16.7, 20, 2], [33.3, 81, 5], [200, 81, 5]]);
});

test('a long drag is thinned out and keeps its end', () => {
  const drag = begin(0, 0, 0, 1, 270);
  for (let i = 1; i <= 1_000; i += 1) move(drag, i * 8, i / 4, Math.sin(i));
  const track = end(drag, 8_500);
  assert.ok(track.length <= MOST + 1, `${track.length} moments`);
  assert.equal(track.at(-1)[1], 250);
  assert.ok(track.every(([at], i) => i === 0 || at >= track[i - 1][0]));
  assert.ok(JSON.stringify({ id: '0'.repeat(32), track }).length < 8_000, 'it fits into a request');
});
