// On every page of the shop: follows the purchases that this browser knows of,
// tells when one becomes an order, is paid or cancelled, and counts what waits
// to be paid. It asks for results, which Redis answers, never for order lists.

import { getResult } from './api.js';
import * as basket from './basket.js';
import { onLang, t } from './i18n.js';
import { toast } from './toast.js';

const LOOK_MS = 500;

/**
 * Starts following. `who()` is the shopper, `now()` the edge's time or null, and
 * `except` the purchase that the page shows by itself.
 */
export function watchPurchases(who, now, except = null) {
  const badge = document.querySelector('#badge');
  const link = document.querySelector('#orders-link');
  const asked = new Map();
  let asking = false;

  function draw() {
    const count = who() ? basket.unpaid(basket.read(who())) : 0;
    badge.textContent = String(count);
    badge.hidden = count === 0;
    link.setAttribute('aria-label', count ? t('orders.unpaid', { n: count }) : t('orders.link'));
  }

  async function look() {
    draw();
    const user = who();
    const at = now();
    if (asking || !user || at === null || document.visibilityState !== 'visible' || !navigator.onLine) return;
    asking = true;
    for (const [id, entry] of Object.entries(basket.read(user))) {
      const every = basket.every(entry, at);
      if (id === except || every === null || performance.now() - (asked.get(id) ?? -Infinity) < every) continue;
      asked.set(id, performance.now());
      await ask(user, id, entry);
    }
    asking = false;
  }

  async function ask(user, id, entry) {
    const [round, product] = split(id);
    const { data } = await getResult(round, product);
    if (!data?.status || user !== who()) return;
    const told = basket.news(entry.status, data.status);
    // "none" after a click may only mean that it is still under way.
    if (data.status === 'none' && !told) return;
    if (data.status === entry.status && (data.order ?? undefined) === entry.order) return;
    basket.note(user, id, { status: data.status, order: data.order ?? undefined, reason: data.reason }, now());
    if (told) tell(told, entry, data, id);
    draw();
  }

  function tell(word, entry, data, id) {
    toast(word === 'failed' || word === 'cancelled' ? 'warn' : 'good', t(`toast.${word}`), entry.title ?? '', {
      href: data.order ? `/order.html?order=${data.order}` : `/product/${id}.html`,
      text: t(word === 'ordered' ? 'toast.pay' : 'toast.see'),
    });
  }

  setInterval(look, LOOK_MS);
  onLang(draw);
  return {
    draw,
    /** Puts down how a purchase of this page stands, for the other pages to follow. */
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
