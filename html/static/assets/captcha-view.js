// The puzzle's dialog: dragging, working, what went wrong. It calls the shop only through the
// functions that `open` is given.

import { showService } from './captcha-service.js';
import { begin, end, move, wayAt } from './captcha-track.js';
import { learn, t } from './i18n.js';
import * as words from './words-captcha.js';

/** A piece that was hardly moved was touched, not dragged. */
const TOUCH = 8;
const PASSED_MS = 420;
const SHAKE_MS = 450;
const CHECK_MS = 500;

const MARKUP = `
<h2 id="captcha-title" tabindex="-1"></h2>
<p id="captcha-how" class="captcha-how"></p>
<div class="captcha-stage" aria-hidden="true">
  <svg viewBox="0 0 340 170"><image class="captcha-picture" width="340" height="170"/>
    <g class="captcha-piece"><clipPath id="captcha-cut"><path/></clipPath><path class="captcha-shade"/>
      <image clip-path="url(#captcha-cut)"/><path class="captcha-edge"/></g></svg>
  <span class="captcha-badge"></span>
</div>
<div class="captcha-rail" aria-hidden="true"><span class="captcha-fill"></span><span class="captcha-hint"></span>
  <span class="captcha-knob"><svg viewBox="0 0 24 24"><path d="M5 12h13M12 6l6 6-6 6"/></svg></span></div>
<div class="captcha-service"></div>
<p class="captcha-say" role="status"></p>
<progress class="captcha-progress" aria-hidden="true"></progress>
<div class="captcha-row">
  <button type="button" class="captcha-work" aria-describedby="captcha-why"></button>
  <button type="button" class="captcha-new"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M19 12a7 7 0 1 1-2.1-5M19 4v4h-4"/></svg></button>
</div>
<p id="captcha-why" class="captcha-why"></p>
<button type="button" class="close">×</button>`;

/** The dialog, as soon as it can be shown. */
export async function captchaView() {
  learn(words);
  const style = document.createElement('link');
  style.rel = 'stylesheet';
  style.href = new URL('./captcha.css', import.meta.url);
  const loaded = new Promise((done, failed) => Object.assign(style, { onload: done, onerror: failed }));
  document.head.append(style);
  await loaded;
  const dialog = document.createElement('dialog');
  dialog.id = 'captcha';
  dialog.className = 'dialog captcha';
  dialog.setAttribute('aria-labelledby', 'captcha-title');
  dialog.setAttribute('aria-describedby', 'captcha-how');
  dialog.innerHTML = MARKUP;
  document.body.append(dialog);
  const $ = (name) => dialog.querySelector(`.captcha-${name}`);
  const [cut, shade, edge] = ['clipPath path', '.captcha-shade', '.captcha-edge'].map((at) => dialog.querySelector(at));
  const pieceImage = dialog.querySelector('.captcha-piece image');

  let round = null; // the opening that is under way: { calls, settle, puzzle, ... }
  let drag = null;
  let worker = null;
  let failures = 0;
  const timers = new Set();

  const later = (ms, what) => timers.add(setTimeout(what, ms));

  function show(state, key, values) {
    dialog.dataset.state = state;
    const text = key ? t(key, values) : '';
    if ($('say').textContent !== text) $('say').textContent = text;
  }

  function label() {
    const service = isService();
    dialog.querySelector('h2').textContent = t(service ? 'captcha.service' : 'captcha.title');
    dialog.querySelector('#captcha-how').textContent = t(service ? 'captcha.service.how' : 'captcha.how');
    $('hint').textContent = t('captcha.rail');
    $('work').textContent = t('captcha.work');
    dialog.querySelector('#captcha-why').textContent = t('captcha.work.why');
    $('new').setAttribute('aria-label', t('captcha.new'));
    $('new').title = t('captcha.new');
    dialog.querySelector('.close').setAttribute('aria-label', t('captcha.close'));
    dialog.classList.toggle('is-service', service);
  }

  const isService = () => round.calls.way.way !== 'slider';

  /** Opens the dialog. Resolves to { pass }, to null when it was closed, or to 'logged out'. */
  function open(calls) {
    return new Promise((done) => {
      const byKeyboard = document.activeElement?.matches(':focus-visible');
      round = { calls, settle: done, puzzle: null };
      failures = 0;
      label();
      dialog.showModal();
      (byKeyboard && !isService() ? $('work') : dialog.querySelector('h2')).focus();
      const watch = () => (calls.isOpen() ? later(CHECK_MS, watch) : close(null));
      later(CHECK_MS, watch);
      if (isService()) serve();
      else load();
    });
  }

  function close(won) {
    if (!round) return;
    const { settle, remove } = round;
    round = null;
    stopWork();
    remove?.();
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
    dialog.close();
    settle(won);
  }

  /** Fetches a puzzle and shows it; `key` says why there is a new one. */
  async function load(key = null) {
    const mine = round;
    stopWork();
    mine.puzzle = null;
    show('loading', key ?? 'captcha.loading');
    const answer = await mine.calls.fetch();
    if (mine !== round) return;
    if (!answer.data?.id) return troubled(answer);
    mine.puzzle = { ...answer.data, since: performance.now() };
    await picture(mine.puzzle.slider);
    if (mine !== round) return;
    show('ready', key);
    const { id } = mine.puzzle;
    later(answer.data.life_ms, () => {
      if (round?.puzzle?.id === id && dialog.dataset.state === 'ready' && !drag) expire();
    });
  }

  function expire() {
    round.puzzle = null;
    show('stuck', 'captcha.expired');
  }

  async function picture(slider) {
    const image = $('picture');
    image.setAttribute('href', slider.picture);
    pieceImage.setAttribute('href', slider.piece);
    pieceImage.setAttribute('width', slider.size);
    pieceImage.setAttribute('height', slider.size);
    for (const path of [cut, shade, edge]) path.setAttribute('d', slider.outline);
    place(0);
    await image.decode?.().catch(() => {});
  }

  /** Puts the piece where it is after this way, and the knob with it. */
  function place(way) {
    const { slider } = round?.puzzle ?? {};
    if (!slider) return;
    dialog.querySelector('.captcha-piece').setAttribute('transform', `translate(${way} ${slider.top})`);
    dialog.style.setProperty('--way', String(way / (slider.width - slider.size)));
  }

  /** Handles a response that is neither a puzzle nor a pass. */
  function troubled(answer) {
    if (answer.code === 'login_required') return close('logged out');
    if (['sold_out', 'ended', 'paused', 'withdrawn', 'not_found'].includes(answer.code)) return close(null);
    if (answer.code === 'busy') return rest(Math.ceil(answer.retryMs / 1000) || 1);
    return show('stuck', 'captcha.unavailable');
  }

  /** Too many attempts: counts the seconds down, then goes on. */
  function rest(seconds) {
    show('resting', 'captcha.limited', { s: seconds });
    later(1_000, () => round && (seconds > 1 ? rest(seconds - 1) : load()));
  }

  async function send(given) {
    const mine = round;
    show('checking', 'captcha.checking');
    const answer = await mine.calls.answer(given);
    if (mine !== round) return;
    mine.puzzle = null;
    if (answer.data?.pass) {
      show('passed', 'captcha.passed');
      later(PASSED_MS, () => close({ pass: answer.data.pass }));
    } else if (answer.code === 'captcha_required') {
      failures += answer.reason === 'gone' ? 0 : 1;
      const key = answer.reason === 'gone' ? 'captcha.gone' : failures > 1 ? 'captcha.failed.again' : 'captcha.failed';
      show('failed', key);
      later(SHAKE_MS, () => round && (isService() ? serve() : load(key)));
    } else {
      troubled(answer);
    }
  }

  // Dragging: the knob, or the piece itself.
  function take(event) {
    if (dialog.dataset.state !== 'ready' || !event.isPrimary || event.button > 0) return;
    const { slider } = round.puzzle;
    const scale = slider.width / $('picture').getBoundingClientRect().width;
    const most = slider.width - slider.size;
    // The knob has the rail to run along, the piece the picture: each follows the hand.
    const run = $('rail').clientWidth - $('knob').offsetWidth;
    const onRail = $('rail').contains(event.target);
    drag = begin(event.timeStamp, event.clientX, event.clientY, onRail ? most / run : scale, most);
    event.currentTarget.setPointerCapture(event.pointerId);
    dialog.dataset.dragging = '';
    event.preventDefault();
  }

  function follow(event) {
    if (!drag || !event.isPrimary) return;
    move(drag, event.timeStamp, event.clientX, event.clientY);
    place(wayAt(drag, event.clientX));
  }

  function release(event) {
    if (!drag || !event.isPrimary) return;
    const track = end(drag, event.timeStamp);
    drag = null;
    delete dialog.dataset.dragging;
    if (event.type === 'pointercancel' || track.at(-1)[1] < TOUCH) place(0);
    else if (round?.puzzle) send({ id: round.puzzle.id, track });
  }

  for (const handle of [$('rail'), dialog.querySelector('.captcha-piece')]) {
    handle.addEventListener('pointerdown', take);
    handle.addEventListener('pointermove', follow);
    handle.addEventListener('pointerup', release);
    handle.addEventListener('pointercancel', release);
  }

  // Working instead.
  function work() {
    if (dialog.dataset.state !== 'ready') return;
    const { id, work: task, since } = round.puzzle;
    try {
      worker = new Worker(new URL('./captcha-worker.js', import.meta.url));
    } catch {
      return show('ready', 'captcha.work.none');
    }
    show('working', 'captcha.working');
    const bar = $('progress');
    bar.setAttribute('aria-hidden', 'false');
    bar.max = task.parts;
    bar.value = 0;
    worker.onerror = () => {
      stopWork();
      show('ready', 'captcha.work.none');
    };
    worker.onmessage = ({ data }) => {
      if (data.done) bar.value = data.done;
      // The shop refuses an answer that comes sooner than people drag.
      else later(Math.max(0, task.after_ms + 100 - (performance.now() - since)), () => worker && finish(id, data.work));
    };
    worker.postMessage({ id, parts: task.parts, bits: task.part_bits });
  }

  function finish(id, numbers) {
    stopWork();
    if (round?.puzzle?.id === id) send({ id, work: numbers });
  }

  function stopWork() {
    worker?.terminate();
    worker = null;
    $('progress').setAttribute('aria-hidden', 'true');
  }

  async function serve() {
    show('service');
    const place = document.createElement('div');
    $('service').replaceChildren(place);
    const mine = round;
    mine.remove = await showService(
      mine.calls.way, place,
      (response) => mine === round && send({ response }),
      () => mine === round && show('stuck', 'captcha.service.lost'),
    );
  }

  $('work').addEventListener('click', work);
  $('new').addEventListener('click', () => {
    if (['ready', 'stuck', 'working'].includes(dialog.dataset.state)) isService() ? serve() : load();
  });
  dialog.querySelector('.close').addEventListener('click', () => close(null));
  dialog.addEventListener('cancel', (event) => {
    event.preventDefault();
    close(null);
  });
  return { open };
}
