// Vendure's login, at the sale: whoever is logged in here gets the sale's session cookie.

import { settings } from './settings.mjs';
import { sign } from './signature.mjs';

const SESSION_S = 1800;

/** Whose Vendure session a request has; undefined for a visitor. */
export async function customer(services, req) {
  const token = req.headers.authorization?.replace(/^Bearer /, '') ?? req.session?.token;
  const session = token && (await services.sessions.getSessionFromToken(token));
  if (!session?.user) return undefined;
  const ctx = await services.contexts.create({ apiType: 'shop' });
  return services.customers.findOneByUserId(ctx, session.user.id);
}

/** The `Set-Cookie` of the sale's session for a customer. */
export async function mint({ id }) {
  const body = JSON.stringify({ user: `vendure-${id}`, seconds: SESSION_S });
  const response = await fetch(`${settings.sale}/api/session/mint`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-seckill-signature': sign('login-keys', body) },
    body,
  });
  if (!response.ok) throw new Error(`the sale mints no session: ${response.status} ${await response.text()}`);
  return (await response.json()).set_cookie;
}

/** Only the sale's own pages are led back to. */
export function goal(to) {
  const base = `${settings.sale}/`;
  return to?.startsWith(base) ? to : base;
}

export const form = (to) => `<!doctype html><meta charset="utf-8"><title>Log in</title>
<form id="form"><label>E-mail <input name="username" type="email" required></label>
<label>Password <input name="password" type="password" required></label>
<button>Log in</button> <output id="said"></output></form>
<script type="module">
const query = 'mutation($username: String!, $password: String!) { login(username: $username, password: $password, rememberMe: true) { ... on ErrorResult { message } } }';
document.querySelector('#form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const variables = Object.fromEntries(new FormData(event.target));
  const response = await fetch('/shop-api', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }) });
  const refused = (await response.json()).data?.login?.message;
  if (refused) document.querySelector('#said').textContent = refused;
  else location.reload();
});
</script><!-- ${encodeURIComponent(to)} -->`;
