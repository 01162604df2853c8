// The edge's clock, estimated from responses of the time service.
//
// All times are milliseconds. "mono" is the browser's monotonic clock
// (performance.now()), which nobody can set; "edge" is Unix time by the
// edge's clock. The wall clock of the browser plays no part: it may be minutes off.

// A response names a moment between sending and receiving, so the middle is
// wrong by at most half the round trip. That bound ages: two quartz clocks
// drift apart by up to this many ms in a ms.
const DRIFT = 0.0002;
const KEPT = 12;

// A correction is spread out so that the countdown neither jumps nor runs
// backwards, unless it is so large that showing it slowly would be a lie.
const SLEW = 0.1;
const STEP_MS = 250;

// The first responses come over a cold connection; until this many are in, each
// better one is adopted at once.
const SETTLED = 4;

export class EdgeClock {
  #samples = [];
  #taken = 0;
  #offset = 0;
  #at = 0;

  get ready() {
    return this.#taken > 0;
  }

  /** Adds one response: requested at `sent`, received at `received` (mono), with the edge's time `edgeMs`. */
  add(sent, received, edgeMs) {
    const fresh = {
      offset: edgeMs - (sent + received) / 2,
      doubt: (received - sent) / 2,
      at: received,
    };
    // Both intervals contain the truth as long as the monotonic clock kept
    // running. It does not while some machines sleep: then the new one is right.
    this.#samples = this.#samples.filter(
      (old) => Math.abs(old.offset - fresh.offset) <= doubtAt(old, received) + fresh.doubt + 1,
    );
    this.#samples.push(fresh);
    if (this.#samples.length > KEPT) this.#samples.shift();
    this.#taken += 1;

    const gap = this.#best(received).offset - this.#offsetAt(received);
    if (this.#taken <= SETTLED || Math.abs(gap) > STEP_MS) {
      this.#offset = this.#best(received).offset;
      this.#at = received;
    }
  }

  /** The edge's time at `mono`; never runs backwards except when it is corrected by a step. */
  now(mono) {
    return mono + this.#offsetAt(mono);
  }

  /** How far off `now` may be, in ms. */
  doubt(mono) {
    const best = this.#best(mono);
    return doubtAt(best, mono) + Math.abs(best.offset - this.#offsetAt(mono));
  }

  #best(mono) {
    return this.#samples.reduce((a, b) => (doubtAt(b, mono) < doubtAt(a, mono) ? b : a));
  }

  #offsetAt(mono) {
    if (this.#samples.length === 0) return this.#offset;
    const gap = this.#best(mono).offset - this.#offset;
    const reach = Math.max(0, mono - this.#at) * SLEW;
    this.#offset += Math.max(-reach, Math.min(reach, gap));
    this.#at = Math.max(this.#at, mono);
    return this.#offset;
  }
}

function doubtAt(sample, mono) {
  return sample.doubt + Math.max(0, mono - sample.at) * DRIFT;
}

/** Ms until the next request to the time service, `left` ms before the opening. */
export function resampleAfter(left) {
  if (left > 0 && left <= 10_000) return 3_000;
  if (left > 0 && left <= 60_000) return 10_000;
  return 30_000;
}
