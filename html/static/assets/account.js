// Who is shopping: the chip in the header and the demo login form.

import { getSession, logIn } from './api.js';
import { onLang, t } from './i18n.js';

const USER = /^[A-Za-z0-9_.@+-]{1,64}$/;
const RETRY_MS = 2_000;

/**
 * Wires the page's login. `changed(user)` is called with a name, with null when nobody
 * is logged in, or with '' when the shop would not say; `ask` shows the form.
 */
export function watchAccount(changed, ask) {
  const form = document.querySelector('#login-form');
  const chip = document.querySelector('#account');
  const note = document.querySelector('#login-note');
  let user;
  let problem = null;

  function draw() {
    chip.textContent = user || t('account.login');
    chip.classList.toggle('is-in', Boolean(user));
    note.textContent = problem ? t(problem) : user ? t('login.done', { user }) : t('login.why');
    note.classList.toggle('is-bad', Boolean(problem));
    form.hidden = problem === 'login.elsewhere';
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
    else if (answer.code === 'login_required') set(null);
    else set(answer.data?.user ?? '');
  }

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const name = form.elements.user.value.trim();
    problem = USER.test(name) ? null : 'login.bad';
    if (!problem) {
      const answer = await logIn(name);
      if (answer.data) {
        form.elements.user.value = '';
        set(answer.data.user ?? name);
        return;
      }
      problem = answer.status === 404 ? 'login.elsewhere' : answer.code === 'bad_request' ? 'login.bad' : 'login.lost';
    }
    draw();
  });
  chip.addEventListener('click', ask);
  onLang(draw);
  check();
  return { check, expired: () => set(null) };
}
