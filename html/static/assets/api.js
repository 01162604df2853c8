// Calls of the edge. Every call ends in one plain object and none throws:
//   { status, data }                       a 2xx response
//   { status, code, retryMs }              a refusal of the contract
//   { status, lost: true }                 the outcome is unknown: nobody replied, or somebody
//                                          in between, such as a portal or a proxy

import { noteCall } from './reach.js';

const TIMEOUT_MS = 5_000;
// A purchase may have to wait in line; giving up sooner would only make more unknowns.
const PURCHASE_TIMEOUT_MS = 12_000;

// Where the API is: on this page's own name, unless the page says otherwise.
const BASE = globalThis.document?.querySelector('meta[name="seckill-api"]')?.content.replace(/\/$/, '') ?? '';

const productUrl = (round, product, what) =>
  `/api/rounds/${encodeURIComponent(round)}/products/${encodeURIComponent(product)}/${what}`;

export const getTime = () => call('GET', '/api/time');
// What is on and what comes next, by the shop's own calendar, which need not be the shopper's.
// Browsers may keep it for five minutes; the version in the address changes with
// every approval and edit, so that nobody misses one for that long.
export async function getRounds() {
  const { data } = await call('GET', '/version.json', { cache: 'no-cache' });
  if (typeof data?.version !== 'string') return call('GET', '/api/rounds', { cache: 'no-cache' });
  return call('GET', `/api/rounds?version=${encodeURIComponent(data.version)}`, { cache: 'default' });
}
/** The text of a page, as it is published now; unchanged it costs hardly a byte. */
export const getPage = (path) => call('GET', path, { cache: 'no-cache', as: 'text' });
export const getLeft = () => call('GET', '/left.json', { cache: 'default' });
export const getAnnouncement = () => call('GET', '/announcement.json', { cache: 'default' });
export const getSession = () => call('GET', '/api/session');
/** How a shopper logs in here: by a page of the shop's, by the demo's form, or not at all. */
export const getLoginWay = () => call('GET', '/api/session/way', { cache: 'default' });
export const logOut = () => call('POST', '/api/session/logout');
export const getPath = (round, product) => call('GET', productUrl(round, product, 'path'));
export const getState = (round, product) => call('GET', productUrl(round, product, 'state'));
export const getResult = (round, product) => call('GET', productUrl(round, product, 'result'));

export const logIn = (user) =>
  call('POST', '/api/session', {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user }),
  });

export const getCaptchaWay = () => call('GET', '/api/captcha/way', { cache: 'default' });
export const getCaptcha = (round, product) =>
  call('GET', `/api/captcha?round=${encodeURIComponent(round)}&product=${encodeURIComponent(product)}`);
export const answerCaptcha = (given) =>
  call('POST', '/api/captcha', { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(given) });

const orderUrl = (order, what = '') => `/api/orders/${encodeURIComponent(order)}${what}`;
export const getOrders = (page) => call('GET', `/api/orders?page=${page}`);
export const getOrder = (order) => call('GET', orderUrl(order));
export const payOrder = (order) => call('POST', orderUrl(order, '/pay'));
/** Where the buyer pays with this provider: `data.pay_url`. */
export const payWith = (order, provider) =>
  call('POST', orderUrl(order, '/pay'), { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ provider }) });
export const cancelOrder = (order) => call('POST', orderUrl(order, '/cancel'));
/** Keeps what the order needs from its buyer. */
export const keepDetails = (order, details) =>
  call('PUT', orderUrl(order, '/details'), { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(details) });

/** Buys; `more` are further headers, such as the language in which the buyer reads. */
export const buy = (path, key, quantity, more = {}) =>
  call('POST', quantity > 1 ? `${path}?quantity=${quantity}` : path, {
    headers: { 'Idempotency-Key': key, ...more },
    // Leaving the page must not recall a purchase that was already clicked.
    keepalive: true,
    timeout: PURCHASE_TIMEOUT_MS,
  });

async function call(method, url, { timeout = TIMEOUT_MS, as = 'json', ...options } = {}) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeout);
  try {
    const response = await fetch(url.startsWith('/api/') || url.startsWith('/buy/') ? BASE + url : url, {
      method,
      cache: 'no-store',
      credentials: BASE ? 'include' : 'same-origin',
      signal: stop.signal,
      ...options,
    });
    noteCall(true);
    const data = await response[as]().catch(() => null);
    return read(response.status, data, response.headers.get('Retry-After'), method);
  } catch {
    noteCall(false);
    return { status: 0, lost: true };
  } finally {
    clearTimeout(timer);
  }
}

/** What a response means; apart from `call` so that it can be tested without a network. */
export function read(status, data, retryAfter, method = 'POST') {
  const isDone = status >= 200 && status < 300;
  // Every response of the shop's can be read.
  if (isDone && data !== null) return { status, data };
  if (typeof data?.code === 'string') {
    const retryMs = Math.max(0, Number(retryAfter) || 0) * 1000;
    return { status, code: data.code, ...(data.reason && { reason: data.reason }), ...(data.field && { field: data.field }), retryMs };
  }
  // A page of somebody in between: a proxy does not know what became of the request, a portal
  // answers in the shop's place, and what was refused on the way may be read in a moment.
  if (isDone || status >= 500 || (method === 'GET' && status !== 404)) return { status, lost: true };
  return { status, code: status === 404 ? 'not_found' : 'bad_request', retryMs: 0 };
}
