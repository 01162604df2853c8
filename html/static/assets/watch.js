// On every page of the shop: follows the purchases that this browser knows of,
// shows a message when one becomes an order, is paid or cancelled, and counts
// those to be paid. It polls results, which Redis serves, never order lists.

import { getResult, getRounds } from './api.js';
import * as basket from './basket.js';
import { onLang, t } from './i18n.js';
import { isReached } from './reach.js';
import { giveReminders, hasReminders, moveReminders } from './remind.js';
import { BASKET, onSavedElsewhere } from './store.js';
import { toast } from './toast.js';

const POLL_MS = 500;
/** How often the starts are looked up of which somebody wants to be reminded. */
const STARTS_MS = 60_000 * (0.8 + 0.4 * Math.random());

/**
 * Starts following. `who()` is the shopper, `now()` the edge's time or null, and
 * `except` the purchase that the page shows by itself; `changed` is called when one
 * changed, in this tab or another.
 */
export function watchPurchases(who, now, except = null, changed = () => {}) {
  const badge = document.querySelector('#badge');
  const link = document.querySelector('#orders-link');
  const polled = new Map();
  let asking = false;
  let startsAt = -Infinity;

  function draw() {
    const count = who() ? basket.unpaid(basket.read(who())) : 0;
    badge.textContent = String(count);
    badge.hidden = count === 0;
    link.setAttribute('aria-label', count ? t('orders.unpaid', { n: count }) : t('orders.link'));
  }

  async function poll() {
    draw();
    const user = who();
    const at = now();
    if (at !== null) giveReminders(at, remind);
    followStarts(at);
    if (asking || !user || at === null || document.visibilityState !== 'visible' || !isReached()) return;
    asking = true;
    for (const [id, entry] of Object.entries(basket.read(user))) {
      const every = basket.every(entry, at);
      if (id === except || every === null || performance.now() - (polled.get(id) ?? -Infinity) < every) continue;
      polled.set(id, performance.now());
      await ask(user, id, entry);
    }
    asking = false;
  }

  /** An edit may move the opening of which a reminder was set. */
  async function followStarts(at) {
    if (at === null || performance.now() - startsAt < STARTS_MS || !hasReminders(at) || document.visibilityState !== 'visible' || !isReached()) return;
    startsAt = performance.now();
    const { data } = await getRounds();
    moveReminders(Object.fromEntries((data?.rounds ?? []).map((it) => [it.id, it.starts_ms])));
  }

  async function ask(user, id, entry) {
    const [round, product] = split(id);
    const { data } = await getResult(round, product);
    if (!data?.status || user !== who() || basket.isOfAnother(entry.request, data)) return;
    const news = basket.news(entry.status, data.status);
    // "none" after a click may only mean that the request is still under way.
    if (data.status === 'none' && !news) return;
    if (data.status === entry.status && (data.order ?? undefined) === entry.order) return;
    basket.note(user, id, { status: data.status, order: data.order ?? undefined, reason: data.reason }, now());
    if (news) show(news, entry, data, id);
    draw();
    changed();
  }

  function show(word, entry, data, id) {
    toast(word === 'failed' || word === 'cancelled' ? 'warn' : 'good', t(`toast.${word}`), entry.title ?? '', {
      href: data.order ? `/order.html?order=${data.order}` : `/product/${id}.html`,
      text: t(word === 'ordered' ? 'toast.pay' : 'toast.see'),
    });
  }

  function remind({ title, text, url }) {
    toast('good', title, text, { href: url, text: t('toast.see') });
  }

  setInterval(poll, POLL_MS);
  onSavedElsewhere(BASKET, changed);
  onLang(draw);
  return {
    draw,
    /** Notes the state of this page's purchase, so that the other pages follow it. */
    note(id, entry) {
      if (now() === null) return;
      basket.note(who(), id, entry, now());
      draw();
    },
  };
}

function split(id) {
  const cut = id.indexOf('-');
  return [id.slice(0, cut), id.slice(cut + 1)];
}
