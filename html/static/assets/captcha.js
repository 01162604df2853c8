// Gets the pass that a purchase needs: asks which captcha the shop uses, opens the puzzle at the
// click, keeps a pass that was not spent. The dialog is in captcha-view.js, which is loaded behind
// everything else, and only where it is needed.

import * as api from './api.js';

const PUZZLE_RETRY_MS = 150;
const PUZZLE_RETRIES = 8;
/** A pass is good for two minutes; what is nearly over is not used any more. */
const PASS_KEPT_MS = 110_000;

/**
 * The passes for one product. `isOpen()` says whether it can still be bought; `loggedOut()`
 * is called when the session is over.
 */
export function passesFor(round, product, { isOpen, loggedOut }) {
  let wanted = null; // { way } as the shop answered
  let kept = null; // { pass, until } by the performance clock
  let view = null;

  const ready = readWay();
  async function readWay() {
    const answer = await api.getCaptchaWay();
    wanted = answer.data ?? null;
    if (wanted && wanted.way !== 'off') loadView().catch(() => {});
  }

  /** Loads the dialog; if that fails, the next click tries again. */
  function loadView() {
    view ??= import('./captcha-view.js').then(({ captchaView }) => captchaView());
    view.catch(() => (view = null));
    return view;
  }

  /** A pass; '' when the shop wants none, null when the shopper did not get one. */
  async function pass() {
    if (kept && kept.until > performance.now()) return kept.pass;
    await ready;
    if (!wanted) await readWay();
    // Not known yet: the edge will refuse if it wants a pass.
    return !wanted || wanted.way === 'off' ? '' : solve();
  }

  /** The edge refused the pass that was sent, or its absence: gets another one. */
  async function another() {
    kept = null;
    await readWay();
    return (wanted && wanted.way !== 'off' && (await solve())) || null;
  }

  async function solve() {
    const dialog = await loadView().catch(() => null);
    // The edge will refuse, and the page says so.
    if (!dialog) return '';
    const won = await dialog.open({ way: wanted, isOpen, fetch: puzzle, answer: send });
    if (won === 'logged out') loggedOut();
    if (!won?.pass) return null;
    kept = { pass: won.pass, until: performance.now() + PASS_KEPT_MS };
    return kept.pass;
  }

  async function puzzle() {
    for (let early = 0; ; early += 1) {
      const answer = await api.getCaptcha(round, product);
      if (answer.code !== 'too_early' || early >= PUZZLE_RETRIES) return answer;
      await new Promise((done) => setTimeout(done, PUZZLE_RETRY_MS));
    }
  }

  const send = (given) => api.answerCaptcha(given.response ? { round, product, ...given } : given);

  /** Notes how the purchase ended: a pass that bought nothing is still good. */
  function used(answer) {
    if (answer.lost || !answer.code || answer.code === 'captcha_required') kept = null;
  }

  /** Whether a click would open a puzzle, as far as is known. */
  const isWanted = () => Boolean(wanted) && wanted.way !== 'off' && !(kept?.until > performance.now());

  return { pass, another, used, isWanted };
}
