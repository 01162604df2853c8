// What a sale earns, in the words of a shop. Pure.

/** The numbers of the rounds that are on, or, if none is, of all on the board; cents and shares, null for what is not known. */
export function business({ rounds, products }) {
  const all = Object.values(products);
  const on = all.filter(({ round }) => rounds[round]?.state === 'open' && rounds[round].stop !== 'withdrawn');
  const some = on.length ? on : all;
  // What was stopped for good takes in no more, but what it took in stays.
  const offers = some.filter(({ round, stop }) => stop !== 'withdrawn' && (stop !== 'ended' || rounds[round]?.state === 'ended'));
  const selling = on.filter(({ round, stop }) => !stop && !rounds[round].stop);
  const sum = (of, among = offers) => among.reduce((total, it) => total + of(it), 0);
  // Orders keep the price at which they were placed, and only the database knows it.
  const cents = (of) => (some.every((it) => Number.isFinite(of(it))) ? sum(of, some) : null);
  const offered = sum((it) => it.limit);
  const left = (among) => sum((it) => Math.max(0, it.sale), among);
  const pace = [...new Set(selling.map(({ round }) => round))].reduce((total, id) => total + (rounds[id].items_per_second ?? 0), 0);
  return {
    revenue: cents((it) => it.paid_cents),
    awaiting: cents((it) => it.unpaid_cents),
    sold: offered > 0 ? sum((it) => it.saled + it.locked) / offered : null,
    // At the pace of this moment; nothing is promised while nothing is sold.
    out_s: offered > 0 && left(offers) === 0 ? 0 : left(selling) > 0 && pace > 0 ? Math.ceil(left(selling) / pace) : null,
  };
}

/** Seconds as people say them: 45 s, 12 min, 3 h. */
export function duration(seconds, t) {
  if (seconds < 90) return t('board.s', { n: seconds });
  if (seconds < 5_400) return t('board.min', { n: Math.round(seconds / 60) });
  return t('board.h', { n: Math.round(seconds / 3_600) });
}
