// What a purchase page requests from the edge, and how often. A waiting crowd
// requests only what can change what it sees. Pure, like purchase.js.

import { PATH_WINDOW_MS, payLeft, sceneAt, saleAt } from './purchase.js';

/** A path with less than this left is replaced. */
export const PATH_MARGIN_MS = 30_000;
/** The crowd spreads its requests for paths over this much of the last minute. */
export const PATH_JITTER_MS = 5_000;

/** Ms between two polls of a shopper who waits for what is sold out or paused; with JITTER at most 750 ms. */
export const REOPEN_MS = 675;
/** By how much each pause is made longer or shorter, so that a crowd does not poll in step. */
export const JITTER = 0.11;

const WAITING = ['scheduled', 'soon', 'open', 'sold_out', 'paused'];

/** Scenes after which nothing is waited for on this page. What is sold out may come back. */
const OVER = ['ended', 'withdrawn', 'paid'];

/** Whether a shopper has something to wait for here, and is told what operators announce. */
export const isAwaited = (s, now) => !OVER.includes(sceneAt(s, now));

/** Ms between two polls of the product's state, or null for none. */
export function stateEvery(s, now, visible) {
  const scene = sceneAt(s, now);
  if (!visible || !s.online || !WAITING.includes(scene)) return null;
  // The edge polls Redis four times a second: together they are within a second.
  if (scene === 'sold_out' || scene === 'paused') return REOPEN_MS;
  if (scene === 'open') return 2_000;
  const left = s.sale.opens - now;
  if (left <= 5_000) return 1_000;
  return left <= PATH_WINDOW_MS ? 10_000 : 30_000;
}

/** Ms between two looks at the page itself, which an edit changes. */
export const OFFER_MS = 30_000;
const OFFER_BEHIND_MS = 2_000;
/** In the last moments before the opening nobody's line is used for it. */
const OFFER_REST_MS = 10_000;

/** Ms between two looks at the page itself, or null for none; `behind` says that the edge named other times. */
export function offerEvery(s, now, visible, behind) {
  if (!visible || !s.online || now === null || !WAITING.includes(sceneAt(s, now))) return null;
  if (behind) return OFFER_BEHIND_MS;
  return Math.abs(s.sale.opens - now) < OFFER_REST_MS ? null : OFFER_MS;
}

/** Ms between two polls of the result, or null for none. */
export function resultEvery(s, now, visible) {
  if (!s.online || s.user === null) return null;
  const scene = sceneAt(s, now);
  if (scene === 'overdue') return 5_000;
  if (s.grab && scene !== 'sending' && scene !== 'connecting') return 1_000;
  if (scene === 'ordered' && payLeft(s, now) === 0) return 2_000;
  // An order changes when it is paid or cancelled; nobody waits for that by the second.
  return scene === 'ordered' && visible ? 15_000 : null;
}

/** Whether the order should be fetched, to learn until when it is to be paid. */
export function wantsOrder(s) {
  return s.online && Boolean(s.user) && s.outcome?.status === 'ordered' && Boolean(s.outcome.order) && !s.outcome.payBy;
}

/** Whether the hidden path should be fetched now; `jitter` is this page's share of PATH_JITTER_MS. */
export function wantsPath(s, now, jitter) {
  if (!s.user || !s.online || s.grab) return false;
  const scene = sceneAt(s, now);
  if (scene !== 'soon' && scene !== 'open') return false;
  if (s.path && s.path.expires - now >= PATH_MARGIN_MS) return false;
  if (s.path || saleAt(s, now) === 'open') return true;
  return now >= s.sale.opens - PATH_WINDOW_MS + jitter;
}
