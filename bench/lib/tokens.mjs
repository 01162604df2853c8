// Tokens of a login provider (RS256), one for each of NUMBER buyers:
//
//   node bench/lib/tokens.mjs NUMBER JWKS
//
// Writes the provider's public key to JWKS and the tokens to standard output, a line each:
// of buyer1, buyer2 and so on, as in bench/lib/clicks.pl. They are good for a day.

import { createSign, generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const [number, jwks] = process.argv.slice(2);
if (!jwks) throw new Error('usage: tokens.mjs NUMBER JWKS');
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'RS256', use: 'sig' };
writeFileSync(jwks, JSON.stringify({ keys: [key] }));

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const header = part({ alg: 'RS256', typ: 'JWT', kid: 'bench' });
const exp = Math.floor(Date.now() / 1000) + 86_400;
const lines = Array.from({ length: Number(number) }, (_, n) => {
  const signed = `${header}.${part({ iss: 'https://login.example.com/', aud: 'shop', sub: `buyer${n + 1}`, exp })}`;
  return `${signed}.${createSign('RSA-SHA256').update(signed).sign(privateKey, 'base64url')}`;
});
process.stdout.write(`${lines.join('\n')}\n`);
