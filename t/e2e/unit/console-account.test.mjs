// Whose requests the console sends: a login that expired may be followed by another person's.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

let api;
let sent;
let reloaded;
let session;
let dialog;
let copy = 0;

const response = (status, body) => new Response(JSON.stringify(body), { status });

beforeEach(async () => {
  // The modules know whose page it is, so that each test needs its own.
  copy += 1;
  api = await import(`../../../html/console/api.js?${copy}`);
  sent = [];
  reloaded = 0;
  session = { name: 'carl', csrf: 'c1' };
  globalThis.fetch = async (path, { method, headers }) => {
    if (path === '/ops/api/me') return session ? response(200, session) : response(401, { code: 'login_required' });
    sent.push([method, path, session?.name]);
    if (!session) return response(401, { code: 'login_required' });
    return headers['X-Seckill-Csrf'] === session.csrf ? response(200, {}) : response(403, { code: 'foreign_request' });
  };
  dialog = () => {
    api.useLogin(session);
    return session;
  };
  api.wire({ onLogin: async () => dialog(), onAway: () => {}, onOther: () => (reloaded += 1) });
  api.useLogin(session);
});

test('a request that met an expired login is sent again for the same person', async () => {
  session = null;
  dialog = () => {
    session = { name: 'carl', csrf: 'c2' };
    api.useLogin(session);
  };
  await api.api.post('/rounds/7/approve');
  assert.deepEqual(sent.map(([, , name]) => name), [undefined, 'carl']);
  assert.equal(reloaded, 0);
});

test('what one person began is not done in the name of another who logs in', async () => {
  session = null;
  dialog = () => {
    session = { name: 'dora', csrf: 'd1' };
    api.useLogin(session);
  };
  api.api.post('/rounds/7/approve');
  await turn();
  await turn();
  api.api.post('/rounds/7/reject');
  await turn();
  assert.deepEqual(sent, [['POST', '/ops/api/rounds/7/approve', undefined]]);
  assert.equal(reloaded, 1);
});

test('nor if they logged in in another tab', async () => {
  session = { name: 'dora', csrf: 'd1' };
  api.api.post('/rounds/7/approve');
  for (let n = 0; n < 5; n += 1) await turn();
  assert.equal(sent.length, 1);
  assert.equal(reloaded, 1);
});

test('what was typed and not saved is kept for the account that typed it', async () => {
  const store = new Map();
  globalThis.sessionStorage = { setItem: (key, value) => store.set(key, value), getItem: (key) => store.get(key) ?? null, removeItem: (key) => store.delete(key) };
  // The editor's own copy of the module.
  const page = await import('../../../html/console/api.js');
  const drafts = await import('../../../html/console/rounds/draft.js');
  page.wire({ onLogin: async () => {}, onAway: () => {}, onOther: () => {} });
  page.useLogin({ name: 'carl', csrf: 'c1' });
  drafts.keep('7', { name: 'Typed by carl' });
  assert.equal(drafts.kept('7').name, 'Typed by carl');
  const [[key, value]] = store;
  assert.match(key, /:carl:7$/);
  store.clear();
  store.set(key.replace('carl', 'dora'), value);
  assert.equal(drafts.kept('7'), null);
});
