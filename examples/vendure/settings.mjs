// What the example is set up with; run.sh sets the variables.

import { readFileSync } from 'node:fs';
import path from 'node:path';

const data = path.resolve(process.env.SECKILL_DATA ?? 'data');

export const settings = {
  data,
  /** This shop, as browsers know it. */
  shop: process.env.VENDURE_URL ?? 'http://localhost:3000',
  port: Number(process.env.VENDURE_PORT ?? 3000),
  /** The sale, as browsers know it. */
  sale: process.env.SECKILL_SITE_URL ?? 'http://localhost:8080',
  admin: { identifier: 'superadmin', password: secret('vendure-admin') },
};

/** A secret of the shop's own: the whole of a file. */
export function secret(file) {
  return readFileSync(path.join(data, file), 'utf8').trim();
}

/** The first key of one of the sale's key rings: `{ kid, secret }`. */
export function key(ring) {
  const line = readFileSync(path.join(data, ring), 'utf8').split('\n').find((it) => it.trim() && !it.startsWith('#'));
  const [kid, secret] = line.trim().split(/\s+/);
  return { kid, secret };
}
