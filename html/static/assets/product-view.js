// Draws the product page for a purchase state. Text is written only when it changes,
// so that an idle second costs nothing and screen readers stay quiet.

import { count, countdown, dayAndTime, isoDay, remaining, span, timeOfDay } from './format.js';
import { lang, onLang, t } from './i18n.js';
import { hasReminder } from './remind.js';
import { buttonAt, noticeAt, payLeft, saleAt, sceneAt } from './purchase.js';

const TONE = {
  connecting: 'plain', scheduled: 'plain', soon: 'warm', open: 'hot',
  sending: 'work', processing: 'work', reserved: 'work', lost: 'warn', overdue: 'warn',
  ordered: 'good', paid: 'good', sold_out: 'over', ended: 'over', paused: 'warn', withdrawn: 'over',
};
// Which step of the row the shopper has reached: clicked, in progress, order, payment,
// paid; 0 when there is nothing to do yet or any more.
const STEP = {
  connecting: 0, scheduled: 0, soon: 0, open: 1,
  sending: 1, processing: 2, lost: 2, overdue: 2, reserved: 3,
  ordered: 4, paid: 5, sold_out: 0, ended: 0, paused: 0, withdrawn: 0,
};
const WORKING = ['sending', 'processing', 'reserved', 'lost'];

const $ = (id) => document.getElementById(id);

/** `key`, or the key of its form for an order that costs nothing. */
const wordOf = (key, s) => (s.outcome?.cents === 0 && has(`${key}.free`) ? `${key}.free` : key);

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function set(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Wires the page's controls; `act` has `buy(quantity)`, `pay()`, `login()`, `share()` and `remind()`. */
export function productView(page, act) {
  const root = $('product');
  const button = $('buy');
  const boxes = [...document.querySelectorAll('.countdown .box')];
  const steps = [...document.querySelectorAll('.steps li')];
  let quantity = 1;
  let doing = null;
  let said = '';
  let lastLeft = Infinity;
  // The pictures whose dots are wired.
  let wired = null;
  // The day by the edge's clock, once it is known.
  let today = Number(page.opens);
  // What the edge says of the times; until then, what the page was published with.
  let sale = { opens: Number(page.opens), ends: Number(page.ends) };

  button.addEventListener('click', () => doing && act[doing](quantity));
  $('action').addEventListener('click', () => act.login());
  $('share').addEventListener('click', () => act.share());
  $('remind').addEventListener('click', () => act.remind());
  $('login-close').addEventListener('click', () => $('login').close());
  gallery();
  $('less').addEventListener('click', () => choose(quantity - 1));
  $('more').addEventListener('click', () => choose(quantity + 1));
  onLang(() => {
    facts();
    said = '';
  });

  function facts() {
    put($('amount'), t('fact.amount.value', { n: count(Number(page.amount), lang()) }));
    put($('per-buyer'), t('fact.per_buyer.value', { n: page.perBuyer }));
    $('quantity').hidden = Number(page.perBuyer) <= 1;
    choose(quantity);
    hours();
  }

  /** The dots below several pictures: which is shown, and a click shows another. */
  function gallery() {
    const photos = $('photos');
    if (photos === wired) return;
    wired = photos;
    const dots = [...($('dots')?.children ?? [])];
    dots.forEach((dot, i) => dot.addEventListener('click', () => photos.scrollTo({ left: photos.children[i].offsetLeft, behavior: 'smooth' })));
    photos?.addEventListener('scroll', () => {
      const at = Math.round(Math.abs(photos.scrollLeft) / photos.clientWidth);
      dots.forEach((dot, i) => (i === at ? dot.setAttribute('aria-current', 'true') : dot.removeAttribute('aria-current')));
    }, { passive: true });
  }

  function hours() {
    put($('hours'), span(sale.opens, sale.ends, today, lang()));
  }

  function choose(n) {
    const most = Number(page.perBuyer);
    quantity = Math.min(most, Math.max(1, n));
    put($('chosen'), String(quantity));
    $('less').disabled = quantity === 1;
    $('more').disabled = quantity === most;
  }

  function drawCountdown(s, now) {
    const where = now === null ? null : saleAt(s, now);
    const end = where === 'scheduled' ? s.sale.opens : s.sale.ends;
    const left = where === null || where === 'ended' || where === 'withdrawn' ? null : Math.max(0, end - now);
    const blank = where === null ? '--' : '00';
    const shown = left === null ? { days: 0, boxes: [blank, blank, blank], last: false } : countdown(left);
    shown.boxes.forEach((text, i) => put(boxes[i], text));
    put($('left-label'), t(where === 'scheduled' || where === null ? 'left.opens' : where === 'ended' || where === 'withdrawn' ? 'left.over' : 'left.ends'));
    put($('left-days'), shown.days > 0 ? t('left.days', { days: shown.days }) : '');
    $('countdown').classList.toggle('is-last', shown.last && where === 'scheduled');
    return where === 'scheduled' ? left : null;
  }

  function drawPanel(s, now, scene) {
    const notice = noticeAt(s, scene);
    const wants = s.user === null && ['scheduled', 'soon', 'open'].includes(scene);
    // Once it is open, the big button itself is the way to log in.
    const login = (wants && scene !== 'open') || ['login_required', 'login_again'].includes(notice?.code);
    const { title, text } = notice ? refusal(notice, scene) : story(s, now, scene, wants);
    const tone = notice ? 'warn' : TONE[scene];
    set($('panel'), 'data-tone', tone);
    put($('panel-title'), title);
    put($('panel-text'), text);
    drawSteps(scene, s, now);
    $('action').hidden = !login;
    $('home').hidden = scene !== 'ended' && scene !== 'withdrawn';
    $('see-orders').hidden = !(scene === 'overdue' || notice?.code === 'duplicate');
    const order = ['ordered', 'paid'].includes(scene) ? s.outcome.order : null;
    $('order-line').hidden = !order;
    put($('order'), order ?? '');
    return [title, order ? `${t('order')} ${order}.` : '', text];
  }

  function drawSteps(scene, s, now) {
    const step = STEP[scene];
    set($('panel'), 'data-step', String(step));
    steps.forEach((item, i) => {
      if (i + 1 === step) set(item, 'aria-current', 'step');
      else item.removeAttribute('aria-current');
    });
    const left = payLeft(s, now);
    $('pay-line').hidden = left === null;
    if (left === null) return;
    put($('pay-line').firstElementChild, t(wordOf('pay.left', s)));
    put($('pay-left'), remaining(left, t));
    $('pay-line').classList.toggle('is-short', left <= 60_000);
  }

  /** Announces a change of scene to screen readers, not the seconds within it. */
  function announce(name, sentences, left) {
    if (name !== said) {
      said = name;
      put($('say'), sentences.filter(Boolean).join(' '));
    } else if (left !== null && ((lastLeft > 60_000 && left <= 60_000) || (lastLeft > 10_000 && left <= 10_000))) {
      put($('say'), t(left <= 10_000 ? 'tell.ten' : 'tell.minute'));
    }
    lastLeft = left ?? Infinity;
  }

  function drawButton(s, now) {
    const { scene, act: next, wait, lasting } = buttonAt(s, now);
    doing = next;
    let label = t(`button.${scene}`, { time: opening(s, now) });
    if (next === 'login') label = t('button.login');
    else if (next === 'pay') label = t(wordOf('button.pay', s));
    else if (lasting) label = t(`button.${lasting}`);
    // Whoever has the product already is not invited to try again.
    else if (wait > 0 && noticeAt(s, scene)?.code === 'duplicate') label = t('button.duplicate');
    else if (wait > 0) label = t('button.wait', { s: wait });
    else if (!s.online && scene === 'open') label = t('button.offline');
    put($('buy-text'), label);
    // Not `disabled`: a shopper on the keyboard waits with the focus on it.
    set(button, 'aria-disabled', String(next === null));
    set(button, 'data-busy', String(WORKING.includes(scene)));
  }

  return {
    draw(s, now, time) {
      const scene = sceneAt(s, now);
      set(root, 'data-scene', scene);
      set(root, 'data-notice', noticeAt(s, scene)?.code ?? '');
      $('remind').hidden = scene !== 'scheduled';
      put($('remind'), t(hasReminder(page.round) ? 'remind.on' : 'remind'));
      const left = drawCountdown(s, now);
      const sentences = drawPanel(s, now, scene);
      drawButton(s, now);
      announce(`${scene} ${root.dataset.notice}`, sentences, left);
      if (s.sale.opens !== sale.opens || s.sale.ends !== sale.ends || isoDay(now ?? today) !== isoDay(today)) {
        sale = s.sale;
        today = now ?? today;
        hours();
      }
      if (now !== null) {
        put($('shop-time'), timeOfDay(now, lang(), true));
        put($('shop-doubt'), t('clock.doubt', { ms: Math.max(1, Math.ceil(time.doubt())) }));
      }
    },
    /** The page was published anew, and its parts were replaced. */
    published() {
      gallery();
      facts();
    },
    /** Shows what is left; null is nothing to show. */
    drawLeft(share) {
      put($('left'), share ? t('left.items', { n: count(share.left, lang()) }) : '\u00a0');
    },
    askLogin() {
      if (!$('login').open) $('login').showModal();
      $('user').focus();
    },
    loggedIn() {
      if ($('login').open) $('login').close();
    },
  };
}

const opening = (s, now) => (now === null ? '' : dayAndTime(s.sale.opens, now, lang()));

function story(s, now, scene, wants) {
  const values = {
    time: opening(s, now),
    s: s.grab && s.grab.since !== null && now !== null ? Math.max(0, Math.floor((now - s.grab.since) / 1000)) : 0,
  };
  const where = scene === 'open' ? 'open' : 'scheduled';
  if (scene === 'ordered' && payLeft(s, now) === 0) {
    return { title: t(wordOf('scene.late', s)), text: t(wordOf('scene.late.do', s)) };
  }
  if (scene === 'ordered' && payLeft(s, now) !== null) {
    return { title: t('scene.ordered'), text: t(wordOf('scene.ordered.clock', s)) };
  }
  const does = wants ? `scene.${where}.login` : `scene.${scene}.do`;
  return { title: t(wordOf(`scene.${scene}`, s), values), text: t(wordOf(does, s), values) };
}

function refusal({ code, reason }, scene) {
  const known = has(`refused.${code}`) ? code : 'bad_request';
  const because = `refused.${known}.${reason}`;
  const text = t(has(because) ? because : `refused.${known}.do`);
  // Shoppers without an order want to know whether they may try again.
  const again = ['failed', 'cancelled'].includes(code) ? t(`again.${scene}`) : null;
  return { title: t(`refused.${known}`), text: [text, again].filter(Boolean).join(' ') };
}

function has(key) {
  return t(key) !== null;
}
