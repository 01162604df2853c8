// A shop's own login, as it may be anywhere: an OpenID provider (oidc-provider), and the
// shop's login page, which has it log a shopper in and keeps the ID token in a cookie. The
// console's people log in there too; their names begin with their group: ops-li, boss-wang.
//
//   node provider.mjs PROVIDER_PORT LOGIN_PORT CONSOLE_PORT

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [providerPort, loginPort, consolePort] = process.argv.slice(2).map(Number);
const issuer = `http://127.0.0.1:${providerPort}`;
const callback = `http://127.0.0.1:${loginPort}/callback`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'shop',
    client_secret: 'a secret of the shop and its provider',
    redirect_uris: [callback],
    grant_types: ['authorization_code'],
    response_types: ['code'],
  }, {
    client_id: 'console',
    client_secret: 'a secret of the console: 100 % random',
    redirect_uris: [`http://127.0.0.1:${consolePort}/ops/api/login/oidc/callback`],
    post_logout_redirect_uris: [`http://127.0.0.1:${consolePort}/console/`],
    grant_types: ['authorization_code'],
    response_types: ['code'],
  }],
  claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
  // The console reads the ID token, not the userinfo endpoint.
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  // Sessions of the provider may be found by programs too: this one is for tests.
  cookies: { keys: [randomBytes(16).toString('hex')] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, preferred_username: id.split('@')[0], groups: [id.split('-')[0]] }) }),
});
provider.listen(providerPort, '127.0.0.1');

// Logins under way: state → where to return, and the proof that the code is ours.
const pending = new Map();

async function begin(url, response) {
  const [state, verifier] = [randomBytes(16).toString('hex'), randomBytes(32).toString('base64url')];
  pending.set(state, { verifier, back: url.searchParams.get('to') });
  const query = new URLSearchParams({
    client_id: 'shop', response_type: 'code', scope: 'openid', redirect_uri: callback, state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  });
  response.writeHead(302, { Location: `${issuer}/auth?${query}` }).end();
}

async function finish(url, response) {
  const begun = pending.get(url.searchParams.get('state'));
  if (!begun) return response.writeHead(400).end('This login was not begun here.');
  const credentials = Buffer.from(`shop:${encodeURIComponent('a secret of the shop and its provider')}`).toString('base64');
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { Authorization: `Basic ${credentials}`, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'authorization_code', code: url.searchParams.get('code'), redirect_uri: callback,
      code_verifier: begun.verifier,
    }),
  });
  const { id_token: token, error_description: why } = await answer.json();
  if (!token) return response.writeHead(502).end(`The provider gave no token: ${why}`);
  response.writeHead(302, {
    Location: begun.back,
    'Set-Cookie': `token=${token}; Path=/; HttpOnly; SameSite=Lax`,
  }).end();
}

function leave(url, response) {
  response.writeHead(302, {
    Location: url.searchParams.get('to'),
    'Set-Cookie': 'token=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0',
  }).end();
}

const pages = { '/login': begin, '/callback': finish, '/logout': leave };
createServer((request, response) => {
  const url = new URL(request.url, `http://127.0.0.1:${loginPort}`);
  const page = pages[url.pathname];
  if (!page) return response.writeHead(404).end();
  Promise.resolve(page(url, response)).catch((error) => response.writeHead(502).end(String(error)));
}).listen(loginPort, '127.0.0.1', () => console.log('ready'));
