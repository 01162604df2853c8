// Who is shopping: the chip in the header and the demo login form.

import { getLoginWay, getSession, logIn, logOut } from './api.js';
import { onLang, t } from './i18n.js';
import { freshKey, load, onSavedElsewhere, save } from './store.js';

const RETRY_MS = 2_000;
/** Who logged in here last; every login and logout changes it, so that all tabs notice. */
const STORED_USER = 'seckill:account';

/**
 * Wires the page's login. `changed(user)` is called with a name, with null when nobody
 * is logged in, or with '' when the shop would not say; `ask` shows the form.
 */
export function watchAccount(changed, ask) {
  const form = document.querySelector('#login-form');
  const chip = document.querySelector('#account');
  const note = document.querySelector('#login-note');
  const door = document.createElement('button');
  door.type = 'button';
  door.className = 'tool login-door';
  note.after(door);
  let user;
  let problem = null;
  let way = {};

  function draw() {
    chip.textContent = user || t('account.login');
    chip.classList.toggle('is-in', Boolean(user));
    note.textContent = problem ? t(problem) : user ? t('login.done', { user }) : way.way === 'page' ? '' : t('login.why');
    note.classList.toggle('is-bad', Boolean(problem));
    form.hidden = problem === 'login.elsewhere' || way.way === 'page';
    // To the shop's own login, and out again.
    door.hidden = !user && way.way !== 'page';
    door.textContent = t(user ? 'account.logout' : 'account.login');
    form.querySelector('[type=submit]').textContent = t(user ? 'account.switch' : 'login.submit');
  }

  function set(next) {
    if (next !== user) problem = null;
    user = next;
    draw();
    changed(user);
  }

  async function check() {
    const answer = await getSession();
    if (answer.lost) setTimeout(check, RETRY_MS);
    else if (answer.code === 'login_required') found(null);
    else if (answer.data?.user) found(answer.data.user);
    else set('');
  }

  /** Of a login or logout on a page of the shop's own, the other tabs learn from the first that sees it. */
  function found(next) {
    if ((load(STORED_USER)?.user ?? null) !== next) tellTabs(next);
    set(next);
  }

  function tellTabs(next) {
    save(STORED_USER, { user: next, key: freshKey() });
  }

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const name = form.elements.user.value.trim();
    problem = name ? null : 'login.bad';
    if (!problem) {
      const answer = await logIn(name);
      // The shop logged them in; only a second call shows whether the browser kept it.
      const kept = answer.data ? await getSession() : null;
      if (kept?.data || kept?.lost) {
        form.elements.user.value = '';
        set(kept.data?.user ?? answer.data.user ?? name);
        tellTabs(user);
        return;
      }
      problem = kept ? 'login.cookies' : answer.status === 404 ? 'login.elsewhere' : answer.code === 'bad_request' ? 'login.bad' : 'login.lost';
    }
    draw();
  });
  /** Leads to a page of the shop's, which leads back here. */
  const leave = (url) => location.assign(url.replace('{return}', encodeURIComponent(location.href)));

  door.addEventListener('click', async () => {
    if (!user) return leave(way.login_url);
    const answer = await logOut();
    // Who is logged out already is all the same logged out.
    problem = answer.data || answer.code === 'login_required' ? null : 'logout.lost';
    if (problem) {
      draw();
      return check();
    }
    tellTabs(null);
    return way.logout_url ? leave(way.logout_url) : check();
  });
  chip.addEventListener('click', () => (way.way === 'page' && !user ? leave(way.login_url) : ask()));
  getLoginWay().then(({ data }) => {
    way = data ?? {};
    draw();
  });
  // Another tab logged in, as somebody else perhaps, or out.
  onSavedElsewhere(STORED_USER, check);
  // A session may also end, or begin, where no tab of the shop sees it.
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && check());
  window.addEventListener('pageshow', (event) => event.persisted && check());
  onLang(draw);
  check();
  return { check, expired: () => set(null) };
}
