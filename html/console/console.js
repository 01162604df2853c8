// The shell: who is logged in, the menu, the page that the address names.

import { ApiError, api, useLogin, wire } from './api.js';
import { el, fill, refill, toast } from './dom.js';
import { lang, onLang, said, speak, t, useCurrency, useZone } from './i18n.js';
import { comeBack, logIn, whenIn } from './login.js';
import { PAGES } from './nav.js';

const main = document.querySelector('#main');
const banner = document.querySelector('#banner');
const nav = document.querySelector('#nav');
let me = null;
let stop = null;
let shown = 0;
const counts = {};
let navShown = '';

function showWho() {
  const who = document.querySelector('#who');
  who.hidden = me === null;
  document.querySelector('#logout').hidden = me === null;
  if (me) fill(who, el('a', { href: '#/account' }, el('b', {}, me.name)), ' ', el('span.role', {}, t(`role.${me.role}`)));
}

function showNav() {
  const at = place().name;
  const entries = PAGES.filter((page) => !me?.must && !page.unlisted && (!page.for || page.for === me?.role));
  // The counts are read every half a minute: nothing moves where nothing changed.
  const now = JSON.stringify([at, lang(), entries.map((page) => [page.name, counts[page.name] ?? 0])]);
  if (now === navShown) return;
  navShown = now;
  refill(nav, entries.map((page) =>
    el('a', { href: `#/${page.name}`, 'aria-current': page.name === at ? 'page' : null }, t(`nav.${page.name}`),
      counts[page.name] ? [' ', el('span.count', {}, String(counts[page.name]))] : null)));
  // On a phone the menu is a strip that may be longer than the screen.
  const here = nav.querySelector('[aria-current]');
  if (here && nav.scrollWidth > nav.clientWidth) nav.scrollLeft = here.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2;
}

/** The numbers beside the menu's entries; one that cannot be read is left out. */
async function countAgain() {
  if (me?.must) return;
  for (const page of PAGES.filter((it) => it.count)) counts[page.name] = await page.count().catch(() => 0);
  showNav();
}

// What no page has words for is said all the same.
window.addEventListener('unhandledrejection', (event) => {
  if (!(event.reason instanceof ApiError)) return;
  event.preventDefault();
  toast(said(event.reason), 'bad');
});

/** `#/rounds/7/edit` → { name: 'rounds', params: ['7', 'edit'] } */
function place() {
  const parts = location.hash.replace(/^#\/?/, '').split('/').map(decode);
  return { name: parts[0] || PAGES[0]?.name || '', params: parts.slice(1) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

async function show() {
  const turn = (shown += 1);
  stop?.();
  stop = null;
  showWho();
  showNav();
  // Who has to choose a password or set up a second factor does that first.
  const { name, params } = me?.must ? { name: 'account', params: [] } : place();
  const page = PAGES.find((it) => it.name === name);
  if (!page) {
    fill(main, el('h1', {}, PAGES.length ? t('page.gone') : t('welcome', { name: me?.name ?? '' })), PAGES.length ? el('p.soft', {}, t('page.gone.do')) : null);
    return;
  }
  const root = el('div.page', { class: `page-${name}` });
  try {
    const module = await page.load();
    if (turn !== shown) return;
    showNav();
    fill(main, root);
    const ended = await module.show(root, { params, me, changed: (is) => {
      me = is;
      useLogin(is);
      showWho();
      showNav();
    } });
    if (turn === shown) stop = typeof ended === 'function' ? ended : null;
    else if (typeof ended === 'function') ended();
  } catch (error) {
    if (turn !== shown || error.name === 'AbortError') return;
    fill(main, el('h1', {}, t('page.failed')),
      el('p', {}, error instanceof ApiError ? said(error) : String(error)),
      el('button.button.is-main', { type: 'button', onclick: show }, t('retry')));
    if (!(error instanceof ApiError)) throw error;
  }
}

function showAway(error) {
  banner.hidden = error === null;
  if (error) banner.textContent = said(error);
}

async function begin() {
  await speak();
  comeBack();
  // Another operator gets their own page, not what the last one left open.
  wire({ onLogin: logIn, onAway: showAway, onOther: () => location.reload() });
  whenIn((in_) => {
    me = in_;
    showWho();
    showNav();
    if (in_.must) show();
  });
  // Somebody else may have logged in in another tab: the cookie is theirs, here too.
  document.addEventListener('visibilitychange', async () => {
    if (document.hidden || me === null) return;
    const now = await api.get('/me', { quiet: true }).catch(() => null);
    if (now) useLogin(now);
  });
  document.querySelector('#logout').addEventListener('click', async () => {
    let out = null;
    try {
      out = await api.post('/logout', {}, { quiet: true });
    } catch (error) {
      // Who is logged out already is all the same logged out.
      if (error.code !== 'login_required') return toast(said(error), 'bad');
    }
    // Who came from a login provider logs out there too, and comes back.
    if (/^https?:\/\//.test(out?.end_session_url ?? '')) return location.assign(out.end_session_url);
    return location.reload();
  });
  for (;;) {
    try {
      me = await api.get('/me');
      break;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      showAway(error);
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
  useLogin(me);
  if (me.time_zone) useZone(me.time_zone);
  if (me.currency) useCurrency(me.currency);
  Object.assign(document.documentElement.dataset, { shopUrl: me.shop_url ?? '', shopPort: me.shop_port ?? '' });
  onLang(show);
  window.addEventListener('hashchange', () => {
    // Leaving by the skip link is no change of page.
    if (location.hash === '#main') return;
    show().then(() => main.focus({ preventScroll: true }));
    countAgain();
  });
  await show();
  countAgain();
  setInterval(() => document.hidden || countAgain(), 30_000);
}

begin();
