// What this browser knows of a shopper's purchases, so that every page of the
// shop can show their state without a query to the order database. Pure but for
// `load` and `save`; the rules are tested without a browser.

import { BASKET, load, save } from './store.js';

/** A purchase that cannot change any more is forgotten after this long. */
export const KEPT_MS = 24 * 3_600_000;
/** A purchase without any result is given up after this long: the round is long over. */
export const PENDING_MS = 15 * 60_000;

const SETTLED = ['paid', 'cancelled', 'failed', 'none'];

/** The purchases of `user`, by `round-product`. */
export function read(user) {
  const kept = load(BASKET);
  return kept?.user === user && user ? kept.items : {};
}

function write(user, items) {
  save(BASKET, { user, items });
}

/**
 * Notes the state of a purchase. What is known already is not saved again: each of two
 * tabs follows what the other one saves, and they would go on for ever.
 */
export function note(user, id, entry, now) {
  if (!user) return;
  const items = fresh(read(user), now);
  const before = items[id];
  if (before && Object.keys(entry).every((field) => before[field] === entry[field])) return;
  items[id] = { ...before, ...entry, at: now };
  write(user, items);
}

/** The purchases that are still worth keeping at `now`. */
export function fresh(items, now) {
  return Object.fromEntries(Object.entries(items).filter(([, it]) => now - it.at <= KEPT_MS));
}

/** Ms between two polls of this purchase, or null when nothing can change any more. */
export function every(entry, now) {
  if (SETTLED.includes(entry.status)) return null;
  if (entry.status === 'ordered') return entry.payBy && now >= entry.payBy ? 2_000 : 10_000;
  return now - entry.at <= PENDING_MS ? 1_000 : null;
}

/** The message for the shopper when `before` became `status`: a word, or null for none. */
export function news(before, status) {
  if (before === status) return null;
  if (['ordered', 'paid', 'cancelled'].includes(status)) return status;
  return status === 'failed' && before !== 'none' ? 'failed' : null;
}

/**
 * Whether a result is what became of another purchase than this accepted request. While Redis
 * is away it waits in the journal of the role that accepted it; the other roles do not know of
 * it, and report what ended before.
 */
export function isOfAnother(request, answer) {
  return ['failed', 'cancelled'].includes(answer.status) && Boolean(request && answer.request) && answer.request !== request;
}

/** How many orders wait to be paid. */
export function unpaid(items) {
  return Object.values(items).filter((it) => it.status === 'ordered').length;
}
