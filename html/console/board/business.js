// What a sale earns, in the words of a shop. Pure.

/** The numbers of the rounds that are on, or, if none is, of all on the board; cents and shares, null for what is not known. */
export function business({ rounds, products }) {
  const all = Object.values(products);
  const open = all.filter((it) => rounds[it.round]?.state === 'open');
  const some = open.length ? open : all;
  const sum = (of) => some.reduce((total, it) => total + of(it), 0);
  // Orders keep the price at which they were placed, and only the database knows it.
  const cents = (of) => (some.every((it) => Number.isFinite(of(it))) ? sum(of) : null);
  const offered = sum((it) => it.limit);
  const left = sum((it) => Math.max(0, it.sale));
  const pace = [...new Set(open.map(({ round }) => round))].reduce((total, id) => total + (rounds[id].items_per_second ?? 0), 0);
  return {
    revenue: cents((it) => it.paid_cents),
    awaiting: cents((it) => it.unpaid_cents),
    sold: offered > 0 ? sum((it) => it.saled + it.locked) / offered : null,
    // At the pace of this moment; nothing is promised while nothing is sold.
    out_s: open.length && left > 0 && pace > 0 ? Math.ceil(left / pace) : left === 0 && offered > 0 ? 0 : null,
  };
}

/** Seconds as people say them: 45 s, 12 min, 3 h. */
export function duration(seconds, t) {
  if (seconds < 90) return t('board.s', { n: seconds });
  if (seconds < 5_400) return t('board.min', { n: Math.round(seconds / 60) });
  return t('board.h', { n: Math.round(seconds / 3_600) });
}
