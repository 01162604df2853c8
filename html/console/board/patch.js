// The board's calculations, which need no browser. Pure: no page, no clock.

/**
 * The board after a merge patch (RFC 7386). What did not change is the same
 * object as before, so that a view sees by `===` what to draw again.
 */
export function patched(before, patch) {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const was = before !== null && typeof before === 'object' && !Array.isArray(before) ? before : {};
  const after = { ...was };
  for (const [name, change] of Object.entries(patch)) {
    if (change === null) delete after[name];
    else after[name] = patched(was[name] ?? null, change);
  }
  return after;
}

/**
 * The funnel in its two units, which are not steps of one another: one request may be
 * for several items. Each step has its share of the unit's first and of the step above.
 */
export function steps(funnel) {
  return {
    requests: shares([['received', funnel.received], ['admitted', funnel.admitted]]),
    items: shares([['offered', funnel.offered], ['purchased', funnel.purchased], ['ordered', funnel.ordered], ['paid', funnel.paid]]),
  };
}

/** How many edges are at work: of those that are listed, or, if none is, by their heartbeats. */
export function livingEdges({ edges, living_edges: living }) {
  const listed = Object.values(edges);
  return listed.length ? listed.filter((edge) => edge.up).length : living;
}

function shares(counts) {
  const most = Math.max(1, ...counts.map(([, n]) => n ?? 0));
  return counts.map(([name, n], at) => {
    const above = at > 0 ? counts[at - 1][1] : null;
    return {
      name,
      n: n ?? null,
      share: (n ?? 0) / most,
      ofAbove: above > 0 && n !== null && n !== undefined && n <= above ? n / above : null,
    };
  });
}

/** The parts of a product's amount, in percent of its bar. */
export function parts({ sale, locked, saled, in_transit: moving = 0, limit }) {
  const whole = Math.max(limit, sale + locked + saled + moving, 1);
  const percent = (n) => (Math.max(0, n) * 100) / whole;
  return { saled: percent(saled), locked: percent(locked), sale: percent(sale), moving: percent(moving) };
}

/** A round as people see it: what an operator stopped of it, else what the clock says. */
export const shownState = ({ state, stop }) => stop ?? state;

/** Where a round stands on the board; one that is paused stays where it is. */
const rank = ({ state, stop }) => (stop === 'withdrawn' ? 2 : { open: 0, scheduled: 1, ended: 2 }[state]);

/**
 * Rounds with their products: those that sell first, then those to come, then
 * those that are over; within each by time, products by position.
 */
export function grouped(rounds, products, { text = '', by = 'position' } = {}) {
  const wanted = text.trim().toLowerCase();
  const fits = (it) => !wanted || `${it.title} ${it.round} ${it.product}`.toLowerCase().includes(wanted);
  const left = (it) => it.sale / Math.max(1, it.limit);
  const order = {
    position: (a, b) => a.position - b.position || a.product.localeCompare(b.product),
    left: (a, b) => left(a) - left(b) || a.position - b.position,
    sold: (a, b) => b.locked + b.saled - (a.locked + a.saled) || a.position - b.position,
  }[by];
  const all = new Map();
  for (const [key, product] of Object.entries(products)) {
    if (!fits(product)) continue;
    if (!all.has(product.round)) all.set(product.round, []);
    all.get(product.round).push({ key, ...product, same: product });
  }
  return Object.entries(rounds)
    .filter(([id]) => all.has(id))
    .map(([id, round]) => ({ id, round, products: all.get(id).sort(order) }))
    .sort((a, b) => rank(a.round) - rank(b.round)
      || (rank(a.round) === 2 ? b.round.ends_ms - a.round.ends_ms : a.round.starts_ms - b.round.starts_ms));
}

/** Charts keep this many points: five minutes. */
export const KEPT = 750;
/** The columns beside those of the edges. */
const VALUES = ['admitted', 'orders', 'depth', 'age_ms'];
/** Between points further apart than this, in ms, nothing is known. */
const GAP_MS = 3000;

/** The charts' columns with another point; times in seconds, as charts take them. */
export class Columns {
  constructor(history) {
    this.at = [];
    this.edges = Object.fromEntries(Object.keys(history.edges).map((name) => [name, []]));
    for (const name of VALUES) this[name] = [];
    history.at_ms.forEach((ms, at) => {
      const pick = (columns, names) => Object.fromEntries(names.map((name) => [name, columns[name][at]]));
      this.put(ms / 1000, pick(history.edges, Object.keys(history.edges)), pick(history, VALUES));
    });
  }

  /** The point of this board, unless it is known already. */
  add(board) {
    const edges = {};
    let admitted = null;
    for (const [name, edge] of Object.entries(board.edges)) {
      edges[name] = edge.received_per_second ?? null;
      if (edge.admitted_per_second !== undefined) admitted = (admitted ?? 0) + edge.admitted_per_second;
    }
    this.put(board.at_ms / 1000, edges, {
      admitted,
      orders: board.orders.per_second ?? null,
      depth: board.queue.depth ?? null,
      age_ms: board.queue.age_ms ?? null,
    });
  }

  put(at, edges, values) {
    const last = this.at.at(-1);
    if (last !== undefined && at <= last) return;
    if (last !== undefined && (at - last) * 1000 > GAP_MS) this.push(last + 0.001, {}, {});
    this.push(at, edges, values);
  }

  push(at, edges, values) {
    for (const name of Object.keys(edges)) this.edges[name] ??= Array(this.at.length).fill(null);
    this.at.push(at);
    for (const [name, column] of Object.entries(this.edges)) column.push(edges[name] ?? null);
    for (const name of VALUES) this[name].push(values[name] ?? null);
    if (this.at.length > KEPT) {
      this.at.shift();
      for (const column of Object.values(this.edges)) column.shift();
      for (const name of VALUES) this[name].shift();
    }
  }
}
