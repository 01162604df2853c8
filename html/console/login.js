// The login dialog. It lies over the page, whose fields stay as they are.

import { ApiError, api, useToken } from './api.js';
import { said, t } from './i18n.js';

const box = document.querySelector('#login');
const form = document.querySelector('#login-form');
const note = document.querySelector('#login-note');

let waiting = null;
let onIn = () => {};

export function whenIn(call) {
  onIn = call;
}

/** The field for the second factor's code is there for accounts that have one. */
function wantCode(is) {
  form.elements.code.value = '';
  for (const node of [form.elements.code, form.querySelector('[for=login-code]')]) node.hidden = !is;
}

/** Shows the dialog until somebody is logged in; called twice, it is one dialog. */
export function logIn({ again = false } = {}) {
  waiting ??= new Promise((resolve) => {
    document.querySelector('#login-title').textContent = t(again ? 'login.again' : 'login.title');
    document.querySelector('#login-why').textContent = t(again ? 'login.why.again' : 'login.why');
    note.textContent = '';
    form.password.value = '';
    wantCode(false);
    box.showModal();
    (form.elements.name.value ? form.password : form.elements.name).focus();
    form.onsubmit = async (event) => {
      event.preventDefault();
      const name = form.elements.name.value.trim();
      const password = form.password.value;
      if (!name) return form.elements.name.focus();
      if (!password) return form.password.focus();
      form.classList.add('is-busy');
      note.textContent = '';
      try {
        const code = form.elements.code.value.trim();
        const me = await api.post('/login', { name, password, ...(code ? { code } : {}) }, { quiet: true });
        useToken(me.csrf);
        form.password.value = '';
        waiting = null;
        box.close();
        onIn(me);
        resolve(me);
      } catch (error) {
        note.textContent = error instanceof ApiError ? said(error) : String(error);
        if (['code_required', 'wrong_code'].includes(error.code)) {
          wantCode(true);
          form.elements.code.select();
          form.elements.code.focus();
        } else {
          form.password.select();
        }
      } finally {
        form.classList.remove('is-busy');
      }
      return undefined;
    };
  });
  return waiting;
}

// Escape must not leave a page that silently does nothing.
box.addEventListener('cancel', (event) => event.preventDefault());
