// Keeps an EdgeClock fed from the time service for as long as the page lives.

import { getTime } from './api.js';
import { EdgeClock, resampleAfter } from './clock.js';
import { isReached, onReach } from './reach.js';

const FIRST_BURST = 5;
const BURST = 3;
const GAP_MS = 120;
const LOST_RETRY_MS = 1_000;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Starts sampling. `opensIn()` is how many ms are left until what the page waits for. */
export function keepTime(opensIn, onFirst) {
  const clock = new EdgeClock();
  let timer = 0;
  let running = false;

  async function sample() {
    const sent = performance.now();
    const answer = await getTime();
    const received = performance.now();
    if (!Number.isFinite(answer.data?.now_ms)) return false;
    const first = !clock.ready;
    clock.add(sent, received, answer.data.now_ms);
    if (first) onFirst?.();
    return true;
  }

  async function burst() {
    if (running) return;
    running = true;
    clearTimeout(timer);
    let heard = false;
    for (let left = clock.ready ? BURST : FIRST_BURST; left > 0; left -= 1) {
      const answered = await sample();
      heard = answered || heard;
      // One failure may be chance; the next request decides. More would only wait.
      if (!answered && !isReached()) break;
      if (left > 1) await pause(GAP_MS);
    }
    running = false;
    timer = setTimeout(burst, heard ? resampleAfter(clock.ready ? opensIn() : 0) : LOST_RETRY_MS);
  }

  burst();
  // While the shop is not reached, this is the one call that keeps trying. What the
  // browser says of its network is only a reason to look.
  onReach((reached) => reached || burst());
  window.addEventListener('offline', burst);
  window.addEventListener('online', burst);
  return {
    /** The edge's time, or null while it is unknown. */
    now: () => (clock.ready ? clock.now(performance.now()) : null),
    doubt: () => clock.doubt(performance.now()),
    resample: burst,
  };
}
