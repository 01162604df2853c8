// A round's state by the edge's clock. Pure.

/** 'scheduled', 'open' or 'ended'. */
export function roundAt(round, now) {
  if (now < round.starts_ms) return 'scheduled';
  return now < round.ends_ms ? 'open' : 'ended';
}

/** Rounds in the order that matters to shoppers: on now, then next, then over. */
export function inOrder(rounds, now) {
  const rank = { open: 0, scheduled: 1, ended: 2 };
  return [...rounds].sort(
    (a, b) => rank[roundAt(a, now)] - rank[roundAt(b, now)] || a.starts_ms - b.starts_ms,
  );
}

/** Ms until the next start or end, or null for a round that is over. */
export function leftOf(round, now) {
  const where = roundAt(round, now);
  if (where === 'ended') return null;
  return (where === 'scheduled' ? round.starts_ms : round.ends_ms) - now;
}
