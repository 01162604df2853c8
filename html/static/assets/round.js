// A round's state by the edge's clock. Pure.

/** 'scheduled', 'open' or 'ended'. */
export function roundAt(round, now) {
  if (now < round.starts_ms) return 'scheduled';
  return now < round.ends_ms ? 'open' : 'ended';
}

/** A product's state in a round that is `where` by the clock, if the edge `said` last what it is. */
export function productAt(where, said) {
  if (said === 'withdrawn') return 'withdrawn';
  if (where === 'ended' || said === 'ended') return 'ended';
  if (said === 'paused' || (where === 'open' && said === 'sold_out')) return said;
  return where;
}

/** What is to be said of a round as a whole: that of all its products if nothing of it is sold. */
export function wholeAt(where, states) {
  const stopped = states.every((it) => ['paused', 'ended', 'withdrawn'].includes(it));
  if (!states.length || !stopped) return where;
  if (states.includes('paused')) return 'paused';
  return states.includes('ended') ? 'ended' : 'withdrawn';
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
