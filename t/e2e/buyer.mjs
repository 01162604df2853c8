// A shopper without a page: the calls that the pages make, without a browser.

import { BASE_URL, ROUND, PRODUCT } from './browser.mjs';

/** Polls `check` until it returns something, for at most a minute. */
export async function eventually(what, check) {
  const until = Date.now() + 60_000;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > until) throw new Error(`${what}: not within a minute`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Calls of the shopper whose cookies the page's context holds. */
export function callsOf(page) {
  const { request } = page.context();
  const get = async (path) => (await request.get(`${BASE_URL}${path}`)).json();
  const post = async (path) => {
    const answer = await request.post(`${BASE_URL}${path}`);
    return { status: answer.status(), body: await answer.json() };
  };
  return { get, post };
}

/** Buys `product` in this shopper's name and returns the order's number. */
export async function buys(page, product = PRODUCT) {
  const { get, post } = callsOf(page);
  const api = `/api/rounds/${ROUND}/products/${product}`;
  const { path } = await eventually('the path is given out', async () => {
    const answer = await get(`${api}/path`);
    return answer.path && answer.opens_ms <= (await get('/api/time')).now_ms ? answer : null;
  });
  const answer = await post(path);
  if (answer.status !== 202) throw new Error(`the purchase was refused: ${JSON.stringify(answer)}`);
  const { order } = await eventually('the order is written', async () => {
    const result = await get(`${api}/result`);
    return result.status === 'ordered' ? result : null;
  });
  return order;
}
