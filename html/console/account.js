// One's own account: password, second factor, sessions.

import { ApiError, api, mistakeText } from './api.js';
import { el, fill, once, submits, toast } from './dom.js';
import { addWords, said, t } from './i18n.js';
import { sessionList } from './sessions.js';

addWords({
  zh: {
    'account.title': '我的账号', 'account.must.password': '密码是别人给的，请先换一个只有您知道的。', 'account.must.factor': '控制台要求两步验证，请先设置。',
    'account.password': '修改密码', 'account.now': '现在的密码', 'account.new': '新密码', 'account.new.hint': '至少 10 个字符。其他会话会退出。', 'account.change': '修改', 'account.changed': '密码已修改',
    'account.factor': '两步验证', 'account.factor.why': '登录时除密码外，还要输入手机上身份验证器应用显示的六位数字。', 'account.factor.begin': '设置', 'account.factor.off': '关闭', 'account.factor.is_off': '两步验证已关闭',
    'account.factor.scan': '用身份验证器应用扫描，或手动输入密钥：', 'account.factor.qr': '两步验证的二维码', 'account.factor.code': '应用显示的验证码', 'account.factor.confirm': '完成', 'account.factor.on': '两步验证已开启',
    'account.sessions': '会话', 'account.sso': '您用单点登录进入控制台；密码和两步验证在登录服务那里设置。', 'error.wrong_password': '密码不对，请检查后再试。', 'error.factor_expired': '设置用时太久，请重新开始。',
    'mistake.same_password': '与现在的密码相同，请换一个。', 'mistake.password_length': '密码要 10 个字符以上、256 字节以内。',
  },
  en: {
    'account.title': 'My account', 'account.must.password': 'Somebody else gave you this password. Choose one that only you know first.', 'account.must.factor': 'This console wants a second factor. Set it up first.',
    'account.password': 'Change the password', 'account.now': 'Password now', 'account.new': 'New password', 'account.new.hint': 'At least 10 characters. Other sessions end.', 'account.change': 'Change', 'account.changed': 'The password is changed',
    'account.factor': 'Second factor', 'account.factor.why': 'At each login you also type the six digits that an authenticator app on your phone shows.', 'account.factor.begin': 'Set it up', 'account.factor.off': 'Turn it off', 'account.factor.is_off': 'The second factor is off',
    'account.factor.scan': 'Scan this with an authenticator app, or type the secret:', 'account.factor.qr': 'QR code of the second factor', 'account.factor.code': 'Code that the app shows', 'account.factor.confirm': 'Done', 'account.factor.on': 'The second factor is on',
    'account.sessions': 'Sessions', 'account.sso': 'You logged in by single sign-on. Your password and your second factor are set there.',
  },
});

/** The rows of a QR code as a picture. */
function picture(rows) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const size = rows.length + 8;
  svg.setAttribute('viewBox', `-4 -4 ${size} ${size}`);
  svg.setAttribute('class', 'qr');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', t('account.factor.qr'));
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', rows.flatMap((row, y) => [...row].map((bit, x) => (bit === '1' ? `M${x} ${y}h1v1h-1z` : ''))).join(''));
  svg.append(path);
  return svg;
}

let fields = 0;

function field(words, type, more = {}) {
  const id = `account-${(fields += 1)}`;
  const input = el('input', { id, type, required: true, maxlength: 256, ...more });
  return { input, node: el('div.w6', {}, el('label', { for: id }, t(words)), input) };
}

export async function show(root, { me, changed }) {
  const cards = el('div');

  /** A form whose refusals stand in it. */
  function form(name, parts, words, work) {
    const note = el('p.mistake', { role: 'alert' });
    const node = el('form', { novalidate: true, 'data-form': name }, el('div.fields', {}, parts), note,
      el('div.row.is-end', {}, el('button.button.is-main', { type: 'submit' }, t(words))));
    submits(node, async () => {
      note.textContent = '';
      try {
        await work();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        note.textContent = error.mistakes.length ? mistakeText(error.mistakes[0]) : said(error);
      }
    });
    return node;
  }

  async function done(is, words) {
    const wasFirst = me.must;
    me = is;
    changed(is);
    toast(t(words));
    // What was asked for at the beginning follows now.
    if (wasFirst && !is.must) location.reload();
    else await draw();
  }

  function passwordCard() {
    const [now, next] = [field('account.now', 'password', { autocomplete: 'current-password' }), field('account.new', 'password', { autocomplete: 'new-password' })];
    return el('section.card', {}, el('h2', {}, t('account.password')), el('p.soft', {}, t('account.new.hint')),
      form('password', [now.node, next.node], 'account.change', async () => {
        await done(await api.post('/me/password', { password: now.input.value, new: next.input.value }), 'account.changed');
      }));
  }

  function factorCard() {
    const now = field('account.now', 'password', { autocomplete: 'current-password' });
    const card = el('section.card', {}, el('h2', {}, t('account.factor')), el('p.soft', {}, t('account.factor.why')));
    const begin = form('factor', [now.node], 'account.factor.begin', async () => {
      const factor = await api.post('/me/factor', { password: now.input.value });
      const code = field('account.factor.code', 'text', { inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: 12 });
      const confirm = form('factor-code', [code.node], 'account.factor.confirm', async () => {
        await done(await api.post('/me/factor/confirm', { code: code.input.value }), 'account.factor.on');
      });
      begin.replaceWith(el('div', {}, el('p', {}, t('account.factor.scan')), picture(factor.qr), el('p', {}, el('code', { 'data-secret': factor.secret }, factor.secret)), confirm));
      code.input.focus();
    });
    const off = el('button.button', { type: 'button', 'data-act': 'factor-off', onclick: once(card, async () => {
      try {
        await done(await api.call('DELETE', '/me/factor', { password: now.input.value }), 'account.factor.is_off');
      } catch (error) {
        toast(said(error), 'bad');
      }
    }) }, t('account.factor.off'));
    card.append(begin, ...(me.factor ? [el('div.row.is-end', {}, off)] : []));
    return card;
  }

  async function draw() {
    fill(cards,
      me.must ? el('p.note', { 'data-tone': 'warn' }, t(`account.must.${me.must}`)) : null,
      me.by === 'oidc' ? el('p.soft', {}, t('account.sso')) : [me.must === 'factor' ? null : passwordCard(), me.must === 'password' ? null : factorCard()],
      me.must ? null : el('section.card', {}, el('h2', {}, t('account.sessions')), await sessionList(me.name)));
  }

  fill(root, el('div.head', {}, el('h1', {}, t('account.title'), ' ', el('span.soft.small', {}, me.name))), cards);
  await draw();
}
