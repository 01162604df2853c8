// The sessions of an account, each with a button that ends it.

import { api } from './api.js';
import { el, fill, once, toast } from './dom.js';
import { addWords, moment, said, t } from './i18n.js';

addWords({
  zh: { 'sessions.began': '开始', 'sessions.used': '最近使用', 'sessions.from': '来自', 'sessions.this': '当前会话', 'sessions.end': '退出', 'sessions.ended': '已退出', 'sessions.none': '没有会话。', 'sessions.oidc': '单点登录' },
  en: { 'sessions.began': 'Began', 'sessions.used': 'Last used', 'sessions.from': 'From', 'sessions.this': 'this one', 'sessions.end': 'End', 'sessions.ended': 'Ended', 'sessions.none': 'No sessions.', 'sessions.oidc': 'single sign-on' },
});

export async function sessionList(account) {
  const path = `/sessions/${encodeURIComponent(account)}`;
  const box = el('div');
  async function read() {
    const sessions = await api.get(path);
    if (!sessions.length) return fill(box, el('p.soft', {}, t('sessions.none')));
    const cell = (name, ...what) => el('td', { 'data-label': t(`sessions.${name}`) }, el('span', {}, what));
    return fill(box, el('table.table', {},
      el('thead', {}, el('tr', {}, ['began', 'used', 'from'].map((name) => el('th', { scope: 'col' }, t(`sessions.${name}`))), el('th', {}, el('span.unseen', {}, t('sessions.end'))))),
      el('tbody', {}, sessions.map((it) => el('tr', { 'data-session': it.id },
        cell('began', moment(it.began_ms), it.by === 'oidc' ? [' ', el('span.chip', {}, t('sessions.oidc'))] : ''), cell('used', moment(it.used_ms)), cell('from', it.address, ' ', el('span.soft.small', { dir: 'auto' }, it.agent)),
        el('td', {}, it.is_this ? el('span.chip', {}, t('sessions.this')) : el('button.button', { type: 'button', onclick: () => end(it.id) }, t('sessions.end'))))))));
  }
  const end = once(box, async (id) => {
    try {
      await api.del(`${path}/${id}`);
      toast(t('sessions.ended'));
    } catch (error) {
      toast(said(error), 'bad');
    }
    await read();
  });
  await read();
  return box;
}
