// What is left of the products that sell now: a small file that the shop writes every
// second, the same for all, so that a crowd costs no more than a file.

import { getLeft } from './api.js';

/** Numbers older than this, by the edge's clock, are not shown, in ms. */
export const OLD_MS = 5_000;

/** What to say of a product: items left and the share that is sold; null when it is not known. Pure. */
export function shareOf(file, id, now) {
  const counted = file?.left?.[id];
  if (!counted || now === null || now - file.at_ms > OLD_MS) return null;
  const [left, amount] = counted;
  if (amount <= 0) return null;
  // Rounded down: "100 %" means that nothing is left.
  return { left, percent: Math.floor((100 * (amount - left)) / amount) };
}

/** The file as it is now; null when it cannot be read. */
export async function readLeft() {
  return (await getLeft()).data ?? null;
}
