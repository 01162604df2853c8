// The login dialog. It lies over the page, whose fields stay as they are. Who logs in by
// single sign-on leaves for the provider: at the start in this tab, and when a login has
// expired in another one, so that nothing typed here is lost.

import { ApiError, api, useLogin } from './api.js';
import { once, stays } from './dom.js';
import { find, said, t } from './i18n.js';

const box = document.querySelector('#login');
const form = document.querySelector('#login-form');
const note = document.querySelector('#login-note');
const refused = document.querySelector('#login-refused');
const part = (name) => document.querySelector(`#login-${name}`);
// The page that somebody wanted to see before they left for the provider.
const WANTED = 'seckill:console:wanted';

let waiting = null;
let onIn = () => {};
let refusal = null;

export function whenIn(call) {
  onIn = call;
}

/** Reads what single sign-on brought back: a refusal in the address, or the page to return to. */
export function comeBack() {
  const query = new URLSearchParams(location.search);
  refusal = query.get('login');
  query.delete('login');
  const wanted = take(WANTED);
  const hash = location.hash || (/^#\/[\w./%-]*$/.test(wanted) ? wanted : '');
  const rest = query.toString();
  history.replaceState(null, '', `${location.pathname}${rest ? `?${rest}` : ''}${hash}`);
}

function take(key) {
  try {
    const value = sessionStorage.getItem(key) ?? '';
    sessionStorage.removeItem(key);
    return value;
  } catch {
    return '';
  }
}

/** The field for the second factor's code is there for accounts that have one. */
function wantCode(is) {
  form.elements.code.value = '';
  for (const node of [form.elements.code, form.querySelector('[for=login-code]')]) node.hidden = !is;
}

/** Shows the ways that this console has: single sign-on, passwords, or both. */
async function showWays(again) {
  const { passwords, oidc } = await api.get('/login', { quiet: true }).catch(() => ({ passwords: 'all', oidc: null }));
  const go = part('sso-go');
  part('sso').hidden = oidc === null;
  part('sso-again').hidden = !again;
  part('or').hidden = passwords !== 'all';
  part('emergency').hidden = passwords !== 'one';
  part('password-part').hidden = oidc !== null && passwords !== 'all';
  form.querySelector('[type=submit]').classList.toggle('is-main', oidc === null);
  if (oidc === null) return;
  if (!again) part('why').textContent = t('login.why.sso');
  go.textContent = t('login.sso', { name: oidc.name });
  go.href = oidc.url;
  go.target = again ? '_blank' : '';
  go.rel = again ? 'noopener' : '';
  go.onclick = () => {
    try {
      if (!again) sessionStorage.setItem(WANTED, location.hash);
    } catch {
      // Without storage, the console opens at its first page.
    }
  };
  part('emergency').onclick = () => {
    part('password-part').hidden = false;
    part('emergency').hidden = true;
    form.elements.name.focus();
  };
}

function focusFirst() {
  if (part('password-part').hidden || !part('sso').hidden) return part('sso-go').focus();
  return (form.elements.name.value ? form.password : form.elements.name).focus();
}

/** Shows the dialog until somebody is logged in; called twice, it is one dialog. */
export function logIn({ again = false } = {}) {
  waiting ??= new Promise((resolve) => {
    document.querySelector('#login-title').textContent = t(again ? 'login.again' : 'login.title');
    document.querySelector('#login-why').textContent = t(again ? 'login.why.again' : 'login.why');
    refused.textContent = refusal === null ? '' : find(`error.${refusal}`) ?? t('login.refused');
    refusal = null;
    note.textContent = '';
    form.password.value = '';
    wantCode(false);
    const isIn = (me) => {
      form.password.value = '';
      waiting = null;
      document.removeEventListener('visibilitychange', look);
      box.close();
      // Another account's login begins another page; what waits for this one is dropped.
      if (!useLogin(me)) return;
      onIn(me);
      resolve(me);
    };
    // Somebody may have logged in in another tab.
    const look = async () => {
      if (document.hidden || waiting === null) return;
      const me = await api.get('/me', { quiet: true }).catch(() => null);
      if (me !== null && waiting !== null) isIn(me);
    };
    document.addEventListener('visibilitychange', look);
    showWays(again).then(() => {
      if (waiting === null) return;
      box.showModal();
      focusFirst();
    });
    const submit = once(form, async () => {
      const name = form.elements.name.value.trim();
      const password = form.password.value;
      if (!name) return form.elements.name.focus();
      if (!password) return form.password.focus();
      note.textContent = '';
      try {
        const code = form.elements.code.value.trim();
        isIn(await api.post('/login', { name, password, ...(code ? { code } : {}) }, { quiet: true }));
      } catch (error) {
        note.textContent = error instanceof ApiError ? said(error) : String(error);
        if (['code_required', 'wrong_code'].includes(error.code)) {
          wantCode(true);
          form.elements.code.select();
          form.elements.code.focus();
        } else {
          form.password.select();
        }
      }
      return undefined;
    });
    form.onsubmit = (event) => {
      event.preventDefault();
      submit();
    };
  });
  return waiting;
}

// Escape must not leave a page that silently does nothing.
stays(box);
