// Accounts of the console, for supervisors.

import { ApiError, api, mistakeText } from './api.js';
import { ask, el, fill, once, stays, submits, toast } from './dom.js';
import { addWords, moment, said, t } from './i18n.js';
import { whenOpened } from './lists.js';
import { sessionList } from './sessions.js';

addWords({
  zh: {
    'accounts.title': '账号', 'accounts.name': '用户名', 'accounts.role': '角色', 'accounts.state': '状态', 'accounts.since': '最近变更', 'accounts.add': '新建账号',
    'accounts.disabled': '已停用', 'accounts.factor': '两步验证', 'accounts.must': '待改密码', 'accounts.demo': '演示', 'accounts.sessions': '{n} 个会话',
    'accounts.disable': '停用', 'accounts.enable': '启用', 'accounts.reset': '重置密码', 'accounts.promote': '设为主管', 'accounts.demote': '设为运营',
    'accounts.ask.disable': '停用账号 {name}？', 'accounts.ask.enable': '启用账号 {name}？', 'accounts.ask.reset': '重置 {name} 的密码和两步验证？', 'accounts.ask.promote': '把 {name} 设为主管？', 'accounts.ask.demote': '把 {name} 设为运营？',
    'accounts.ask.text': '对方的会话会退出，并记入审计日志。此后一天内，对方不能审批您做的事。',
    'accounts.actions': '操作', 'accounts.sso': '单点登录', 'accounts.link': '关联单点登录', 'accounts.unlink': '解除关联', 'accounts.ask.link': '{name} 用谁的单点登录？', 'accounts.ask.unlink': '解除 {name} 的单点登录关联？', 'accounts.subject': '登录服务里的编号（sub）',
    'accounts.done': '已完成', 'accounts.given': '{name} 的首次登录密码', 'accounts.given.text': '只显示这一次，请当面或用电话告知；对方登录后要自己换一个。', 'accounts.noted': '已记下',
    'error.own_account': '这是您自己的账号，须由另一位主管修改。', 'error.account_too_new': '这个账号和参与这件事的账号可能在同一个人手里：不到一天前，密码、角色或状态直接或经由别的账号出自同一个人。须由另一位主管审批，或明天再批。',
    'mistake.account_name': '“{0}”不能作用户名，请用 1–64 位字母、数字或 _ . @ + -。', 'mistake.account_taken': '已有账号“{0}”，请换一个。', 'mistake.account_role': '没有角色“{0}”。', 'mistake.subject_length': '编号要 1–255 字节。',
    'error.no_single_sign_on': '本控制台没有单点登录，请先设置 console_oidc_issuer。', 'error.subject_taken': '此人已关联另一个账号，请先解除那个关联。',
  },
  en: {
    'accounts.title': 'Accounts', 'accounts.name': 'Name', 'accounts.role': 'Role', 'accounts.state': 'State', 'accounts.since': 'Last change', 'accounts.add': 'New account',
    'accounts.disabled': 'disabled', 'accounts.factor': 'second factor', 'accounts.must': 'has to choose a password', 'accounts.demo': 'demo', 'accounts.sessions': '{n} {n|session|sessions}',
    'accounts.disable': 'Disable', 'accounts.enable': 'Enable', 'accounts.reset': 'Reset', 'accounts.promote': 'Make supervisor', 'accounts.demote': 'Make operator',
    'accounts.ask.disable': 'Disable {name}?', 'accounts.ask.enable': 'Enable {name}?', 'accounts.ask.reset': 'Reset the password and the second factor of {name}?', 'accounts.ask.promote': 'Make {name} a supervisor?', 'accounts.ask.demote': 'Make {name} an operator?',
    'accounts.ask.text': 'Their sessions end, and the audit log notes it. For a day they cannot approve what you do.',
    'accounts.actions': 'Actions', 'accounts.sso': 'single sign-on', 'accounts.link': 'Link', 'accounts.unlink': 'Unlink', 'accounts.ask.link': 'Who logs in as {name} by single sign-on?', 'accounts.ask.unlink': 'Unlink {name} from single sign-on?', 'accounts.subject': 'Their id (sub) at the provider',
    'accounts.done': 'Done', 'accounts.given': 'First password of {name}', 'accounts.given.text': 'It is shown this once. Tell them in person or by telephone; they choose another one at their first login.', 'accounts.noted': 'I have noted it',
  },
});

/** Shows a password that was given, once. */
function given({ name, password }) {
  return new Promise((resolve) => {
    const box = el('dialog.dialog', {}, el('h2', {}, t('accounts.given', { name })), el('p.soft', {}, t('accounts.given.text')),
      el('p', {}, el('code', { 'data-password': name }, password)),
      el('div.row.is-end', {}, el('button.button.is-main', { type: 'button', onclick: () => box.close() }, t('accounts.noted'))));
    // Closed by accident, the password would be gone.
    stays(box);
    box.addEventListener('close', () => {
      box.remove();
      resolve();
    });
    document.body.append(box);
    box.showModal();
  });
}

export async function show(root, { me }) {
  const list = el('div.card');
  const { oidc } = await api.get('/login');
  async function read() {
    const accounts = await api.get('/accounts');
    fill(list, el('table.table', {},
      el('thead', {}, el('tr', {}, ['name', 'role', 'state', 'since'].map((name) => el('th', { scope: 'col' }, t(`accounts.${name}`))), el('th', {}, el('span.unseen', {}, t('accounts.actions'))))),
      el('tbody', {}, accounts.map(row))));
  }
  const act = once(list, async (name, words, work) => {
    const reason = words === 'link' ? t('accounts.subject') : null;
    const answer = await ask({ title: t(`accounts.ask.${words}`, { name }), text: t('accounts.ask.text'), yes: t(`accounts.${words}`), no: t('cancel'), danger: words === 'disable', reason });
    if (!answer) return;
    try {
      const is = await work(answer);
      if (is.password) await given(is);
      toast(t('accounts.done'));
    } catch (error) {
      toast(error.mistakes?.length ? mistakeText(error.mistakes[0]) : said(error), 'bad');
    }
    await read();
  });
  function row(it) {
    const path = `/accounts/${encodeURIComponent(it.name)}`;
    const button = (words, work) => el('button.button', { type: 'button', 'data-act': `account.${words}`, onclick: () => act(it.name, words, work) }, t(`accounts.${words}`));
    const states = [['disabled', it.disabled], ['factor', it.factor], ['must', it.must_change], ['demo', it.demo], ['sso', it.identity]].filter(([, is]) => is);
    const sessions = el('details', { 'data-sessions': it.name }, el('summary', {}, t('accounts.sessions', { n: it.sessions })));
    whenOpened(sessions, () => sessionList(it.name));
    const tools = it.name === me.name ? [] : [
      button(it.role === 'operator' ? 'promote' : 'demote', () => api.put(path, { role: it.role === 'operator' ? 'supervisor' : 'operator' })),
      button(it.disabled ? 'enable' : 'disable', () => api.put(path, { disabled: !it.disabled })),
      button('reset', () => api.post(`${path}/reset`)),
      it.identity ? button('unlink', () => api.put(path, { subject: '' })) : oidc && button('link', (subject) => api.put(path, { subject })),
    ];
    return el('tr', { 'data-account': it.name },
      el('td', {}, el('b', { dir: 'auto' }, it.name)), el('td.whole', { 'data-label': t('accounts.role') }, t(`role.${it.role}`)),
      el('td', { 'data-label': t('accounts.state') }, el('div', {}, states.map(([name]) => [el('span.chip', {}, t(`accounts.${name}`)), ' ']), sessions)),
      el('td', { 'data-label': t('accounts.since') }, moment(it.changed_ms)), el('td', {}, el('div.row', {}, tools)));
  }
  const note = el('p.mistake', { role: 'alert' });
  const name = el('input', { id: 'account-name', maxlength: 64, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', required: true });
  const role = el('select', { id: 'account-role' }, ['operator', 'supervisor'].map((it) => el('option', { value: it }, t(`role.${it}`))));
  const form = el('form.card', { id: 'account-form', novalidate: true }, el('h2', {}, t('accounts.add')),
    el('div.fields', {}, el('div.w6', {}, el('label', { for: 'account-name' }, t('accounts.name')), name, note), el('div.w6', {}, el('label', { for: 'account-role' }, t('accounts.role')), role)),
    el('div.row.is-end', {}, el('button.button.is-main', { type: 'submit' }, t('accounts.add'))));
  submits(form, async () => {
    note.textContent = '';
    try {
      const is = await api.post('/accounts', { name: name.value.trim(), role: role.value });
      name.value = '';
      await given(is);
      await read();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      note.textContent = error.mistakes.length ? mistakeText(error.mistakes[0]) : said(error);
    }
  });
  fill(root, el('div.head', {}, el('h1', {}, t('accounts.title'))), list, form);
  await read();
}
