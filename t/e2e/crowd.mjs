// Shoppers without a browser: they log in, fetch the hidden URL, and click.

import { BASE_URL } from './browser.mjs';

const json = { 'Content-Type': 'application/json' };

/** Logs a shopper in: returns the session cookie. */
export async function enter(user) {
  const answer = await fetch(`${BASE_URL}/api/session`, { method: 'POST', headers: json, body: JSON.stringify({ user }) });
  if (!answer.ok) throw new Error(`${user} cannot log in: ${answer.status}`);
  return (answer.headers.get('set-cookie') ?? '').split(/, *(?=[^;, ]+=)/).map((cookie) => cookie.split(';')[0]).join('; ');
}

/** One click; returns the response's status and body. */
export async function click(cookie, { round, product }) {
  const headers = { Cookie: cookie };
  const response = await fetch(`${BASE_URL}/api/rounds/${round}/products/${product}/path`, { headers });
  const body = await response.json();
  if (!response.ok) return { status: response.status, body };
  const answer = await fetch(`${BASE_URL}${body.path}`, { method: 'POST', headers });
  return { status: answer.status, body: await answer.json() };
}

/** Pays the newest order of this shopper once it is there. */
export async function pay(cookie, { round, product }, patience = 30_000) {
  const headers = { Cookie: cookie };
  const until = Date.now() + patience;
  while (Date.now() < until) {
    const result = await (await fetch(`${BASE_URL}/api/rounds/${round}/products/${product}/result`, { headers })).json();
    if (result.status === 'ordered') {
      return (await fetch(`${BASE_URL}/api/orders/${result.order}/pay`, { method: 'POST', headers })).ok;
    }
    if (!['processing', 'succeeded', 'unknown'].includes(result.status)) return false;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return false;
}
