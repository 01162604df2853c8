// Where a round stands by the edge's clock. Pure.

/** 'scheduled', 'open' or 'ended'. */
export function roundAt(round, now) {
  if (now < round.starts_ms) return 'scheduled';
  return now < round.ends_ms ? 'open' : 'ended';
}

/** Rounds in the order a shopper cares: on now, then next, then over. */
export function inOrder(rounds, now) {
  const rank = { open: 0, scheduled: 1, ended: 2 };
  return [...rounds].sort(
    (a, b) => rank[roundAt(a, now)] - rank[roundAt(b, now)] || a.starts_ms - b.starts_ms,
  );
}

/** Until the next start or end, or null for a round that is over. */
export function leftOf(round, now) {
  const where = roundAt(round, now);
  if (where === 'ended') return null;
  return (where === 'scheduled' ? round.starts_ms : round.ends_ms) - now;
}

// Whether a day still has something to wait for; late in the evening it is the next day that counts.
export const hasMore = (rounds, now) => rounds.some((round) => now === null || now < round.ends_ms);

// The day after an ISO date; counted from noon in UTC, so that no time zone shifts it.
export function dayAfter(date) {
  const noon = new Date(`${date}T12:00:00Z`);
  noon.setUTCDate(noon.getUTCDate() + 1);
  return noon.toISOString().slice(0, 10);
}
