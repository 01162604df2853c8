// What the console says of a response that it cannot read, or that never comes: not that
// nothing was changed.

import assert from 'node:assert/strict';
import { after, beforeEach, mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { api, useLogin, wire } from '../../../html/console/api.js';
import { said } from '../../../html/console/i18n.js';
import { speaks } from './speaks.mjs';

let away;
beforeEach(() => {
  away = [];
  wire({ onLogin: async () => {}, onAway: (error) => away.push(error?.code ?? null), onOther: () => {} });
  useLogin({ name: 'carl', csrf: 'c1' });
});
after(() => speaks('en'));

const answers = (status, body, type = 'text/html') => {
  globalThis.fetch = async () => new Response(body, { status, headers: { 'Content-Type': type } });
};
const refused = (work) => work.then(() => assert.fail('it was not refused'), (error) => error);

test('the page of a proxy does not say what became of a request', async () => {
  for (const [status, body] of [[502, '<h1>502</h1>'], [200, '<h1>Log in</h1>'], [504, ''], [500, '"x"'], [502, 'null']]) {
    answers(status, body);
    await speaks('zh');
    const write = await refused(api.post('/rounds/7/withdraw'));
    assert.equal(write.code, 'unclear', `${status} ${body}`);
    assert.match(said(write), /不知道是否已经执行/);
    assert.doesNotMatch(said(write), /没有做任何更改/);
    await speaks('en');
    assert.match(said(await refused(api.del('/rounds/7'))), /not known whether this was done/);
    const read = await refused(api.get('/rounds'));
    assert.equal(read.code, 'unread');
    assert.match(said(read), /Try again in a moment/);
  }
  answers(503, '<h1>503</h1>');
  await refused(api.get('/rounds'));
  assert.deepEqual(away, ['unread']);
});

test('a connection that broke is said once for all, and of a write that its outcome is not known', async () => {
  globalThis.fetch = async () => {
    throw new TypeError('Failed to fetch');
  };
  assert.equal((await refused(api.get('/rounds'))).code, 'offline');
  // What is said of a page, that it keeps trying, is not true of a withdrawal.
  assert.equal((await refused(api.post('/rounds/7/withdraw'))).code, 'unclear');
  assert.equal((await refused(api.post('/login', {}, { quiet: true }))).code, 'offline');
  assert.deepEqual(away, ['offline', 'offline', 'offline']);
});

test('a refusal of the console’s own keeps its code and its sentence', async () => {
  answers(500, JSON.stringify({ code: 'internal', message: 'The console failed.' }), 'application/json');
  const error = await refused(api.post('/bans'));
  assert.deepEqual([error.code, error.message, error.status], ['internal', 'The console failed.', 500]);
});

test('a file is no file if a proxy answers in its place', async () => {
  answers(200, '<h1>Log in</h1>');
  assert.equal((await refused(api.get('/orders/export', { as: 'blob' }))).code, 'unread');
  answers(200, 'order,state\n', 'text/csv');
  assert.equal(await (await api.get('/orders/export', { as: 'blob' })).text(), 'order,state\n');
});

test('nobody waits for ever: a read is given up, a write is not', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const signals = [];
    globalThis.fetch = (path, { signal }) => new Promise((resolve, reject) => {
      signals.push(signal);
      signal.addEventListener('abort', () => reject(signal.reason));
    });
    const both = [refused(api.get('/audit')), refused(api.post('/bans'))];
    // A file on a slow line takes its time.
    let sent = false;
    const file = refused(api.post('/pictures', new Blob(['x']))).then((error) => {
      sent = true;
      return error;
    });
    await turn();
    mock.timers.tick(30_000);
    assert.deepEqual((await Promise.all(both)).map((it) => it.code), ['unread', 'unclear']);
    assert.deepEqual(signals.map((it) => it.aborted), [true, false, false]);
    assert.equal(sent, false);
    mock.timers.tick(600_000);
    assert.equal((await file).code, 'unclear');
  } finally {
    mock.timers.reset();
  }
});

test('who gives a request up hears so, and the page says nothing', async () => {
  globalThis.fetch = (path, { signal }) => new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });
  const stop = new AbortController();
  const checking = refused(api.post('/rounds/check', {}, { signal: stop.signal }));
  stop.abort();
  assert.equal((await checking).name, 'AbortError');
  assert.deepEqual(away, []);
});
