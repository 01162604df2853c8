// Signing and verifying as the sale does: `t={epoch ms},v1={hex}`, the HMAC-SHA256 of
// `{epoch ms}.{body}` under a shared secret; of a request without a body its path is signed.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { key } from './settings.mjs';

const WINDOW_MS = 300_000;

const digest = (secret, at, text) => createHmac('sha256', secret).update(`${at}.`).update(text).digest('hex');

export function sign(ring, text) {
  const at = Date.now();
  return `t=${at},v1=${digest(key(ring).secret, at, text)}`;
}

export function isSigned(ring, header, text, windowMs = WINDOW_MS) {
  const [, at, given] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(header ?? '') ?? [];
  if (!given || Math.abs(Date.now() - Number(at)) > windowMs) return false;
  return timingSafeEqual(Buffer.from(given), Buffer.from(digest(key(ring).secret, at, text)));
}
