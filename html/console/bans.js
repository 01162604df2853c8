// Bans: who, why, until when; adding one, lifting one.

import { ApiError, api, filters, mistakeText } from './api.js';
import { ask, el, fill, once, refill, submits, toast } from './dom.js';
import { addWords, moment, number, said, t } from './i18n.js';
import { listIn } from './lists.js';

addWords({
  zh: {
    'bans.title': '封禁',
    'bans.do': '被封禁的地址与账号在一秒内被所有边缘节点拒绝。',
    'bans.kind': '封禁对象',
    'bans.kind.address': '地址或网段',
    'bans.kind.user': '账号',
    'bans.kind.all': '全部',
    'bans.value': '地址或账号',
    'bans.value.address': '例如 203.0.113.7 或 203.0.113.0/24',
    'bans.value.user': '例如 eve',
    'bans.reason': '原因',
    'bans.reason.hint': '写给以后查看的人，例如：每秒点击 90 次',
    'bans.for': '时长',
    'bans.for.1h': '1 小时',
    'bans.for.1d': '1 天',
    'bans.for.7d': '7 天',
    'bans.for.30d': '30 天',
    'bans.for.good': '永久',
    'bans.add': '封禁',
    'bans.added': '已封禁：{value}',
    'bans.lift': '解除',
    'bans.lift.title': '解除对 {value} 的封禁？',
    'bans.lift.text': '所有边缘节点在一秒内重新放行。原因是：{reason}',
    'bans.lifted': '已解除：{value}',
    'bans.gone': '{value} 已不在封禁之列。',
    'bans.search': '按地址、账号、原因或操作人查找；输入地址也能找到包含它的网段',
    'bans.until': '截至',
    'bans.forever': '永久',
    'bans.since': '自',
    'bans.by': '操作人',
    'bans.count': '共 {all} 条，符合 {matching} 条',
    'bans.none': '没有封禁',
    'bans.none.do': '没有人被封禁，或没有符合条件的。',
    'bans.garbage': '另有 {n} 条记录不是有效的封禁，已跳过；请在服务器上运行 seckill bans list 查看。',
    'page.before': '上一页',
    'page.after': '下一页',
    'page.at': '第 {page} 页，共 {pages} 页',
    'mistake.ban_value': '“{0}” 不是可以封禁的地址、网段或账号。',
    'mistake.ban_behind': '网段的主机位不为零；如果要封禁整个网段，请写 {0}。', 'mistake.ban_wide': '{0} 太大，会挡住很多无关的人；IPv4 网段从 /8 起，IPv6 网段从 /19 起。',
    'mistake.ban_reason': '请写明原因，1 到 {0} 个字符，不含 “|” 和换行。',
    'mistake.ban_time': '“{0}” 不是时长；请写数字加 s、m、h 或 d，例如 1h。',
  },
  en: {
    'bans.title': 'Bans',
    'bans.do': 'Every edge refuses banned addresses and accounts within a second.',
    'bans.kind': 'What',
    'bans.kind.address': 'Address or network',
    'bans.kind.user': 'Account',
    'bans.kind.all': 'All',
    'bans.value': 'Address or account',
    'bans.value.address': 'e.g. 203.0.113.7 or 203.0.113.0/24',
    'bans.value.user': 'e.g. eve',
    'bans.reason': 'Reason',
    'bans.reason.hint': 'For those who read it later, e.g. 90 clicks a second',
    'bans.for': 'Duration',
    'bans.for.1h': '1 hour',
    'bans.for.1d': '1 day',
    'bans.for.7d': '7 days',
    'bans.for.30d': '30 days',
    'bans.for.good': 'Permanent',
    'bans.add': 'Ban',
    'bans.added': 'Banned: {value}',
    'bans.lift': 'Lift',
    'bans.lift.title': 'Lift the ban of {value}?',
    'bans.lift.text': 'Every edge lets it pass again within a second. The reason was: {reason}',
    'bans.lifted': 'Lifted: {value}',
    'bans.gone': '{value} was no longer banned.',
    'bans.search': 'Find by address, account, reason or who banned; an address also finds its networks',
    'bans.until': 'Until',
    'bans.forever': 'Permanent',
    'bans.since': 'Since',
    'bans.by': 'By',
    'bans.count': '{matching} of {all}',
    'bans.none': 'No bans',
    'bans.none.do': 'Nobody is banned, or no ban matches.',
    'bans.garbage': '{n} more entries are no bans and are skipped; run "seckill bans list" on the box to see them.',
    'page.before': 'Newer',
    'page.after': 'Older',
    'page.at': 'Page {page} of {pages}',
  },
});

const TIMES = ['1h', '1d', '7d', '30d', 'good'];
const PER_PAGE = 50;
/** A search starts when nothing was typed for this long. */
const TYPED_MS = 250;

/** A form that adds a ban; `done` is called afterwards. */
function adding(done) {
  const kind = el('select', { id: 'ban-kind' }, ['address', 'user'].map((name) => el('option', { value: name }, t(`bans.kind.${name}`))));
  const value = el('input', { id: 'ban-value', maxlength: 100, autocapitalize: 'none', spellcheck: 'false', 'aria-describedby': 'ban-value-mistake' });
  const reason = el('input', { id: 'ban-reason', maxlength: 200, placeholder: t('bans.reason.hint'), 'aria-describedby': 'ban-reason-mistake' });
  const time = el('select', { id: 'ban-for', 'aria-describedby': 'ban-for-mistake' }, TIMES.map((name) => el('option', { value: name }, t(`bans.for.${name}`))));
  time.value = '1d';
  const notes = Object.fromEntries(['value', 'reason', 'for'].map((name) => [name, el('p.mistake', { id: `ban-${name}-mistake` })]));
  const inputs = { value, reason, for: time };
  const field = (id, label, input, note, wide) => el('div', { class: wide }, el('label', { for: id }, label), input, note ?? null);
  const form = el('form.card', { novalidate: true, id: 'ban-form' },
    el('div.fields', {},
      field('ban-kind', t('bans.kind'), kind, null, 'w3'),
      field('ban-value', t('bans.value'), value, notes.value, 'is-long w3'),
      field('ban-reason', t('bans.reason'), reason, notes.reason, 'is-long w4'),
      field('ban-for', t('bans.for'), time, notes.for, 'w2')),
    el('div.row.is-end', {}, el('button.button.is-danger', { type: 'submit' }, t('bans.add'))));
  const hint = () => {
    value.placeholder = t(`bans.value.${kind.value}`);
  };
  kind.addEventListener('change', hint);
  hint();

  function mark(mistakes) {
    for (const [name, note] of Object.entries(notes)) {
      const mistake = mistakes.find((it) => it.field === name);
      note.textContent = mistake ? mistakeText(mistake) : '';
      if (mistake) inputs[name].setAttribute('aria-invalid', 'true');
      else inputs[name].removeAttribute('aria-invalid');
    }
    inputs[mistakes[0]?.field]?.focus();
  }

  submits(form, async () => {
    try {
      const ban = { kind: kind.value, value: value.value.trim(), reason: reason.value.trim(), for: time.value === 'good' ? null : time.value };
      await api.post('/bans', ban);
      mark([]);
      toast(t('bans.added', { value: ban.value }));
      value.value = '';
      reason.value = '';
      done();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      mark(error.mistakes);
      if (!error.mistakes.length) toast(said(error), 'bad');
    }
  });
  return form;
}

export async function show(root) {
  const state = { page: 1, search: '', kind: '' };
  const count = el('span.soft.small.num', { role: 'status' });
  const search = el('input', { type: 'search', 'aria-label': t('bans.search'), placeholder: t('bans.search') });
  const only = el('select', { 'aria-label': t('bans.kind') }, ['', 'address', 'user'].map((name) => el('option', { value: name }, t(`bans.kind.${name || 'all'}`))));
  const body = el('div');
  const turn = el('div.row.is-end');
  const list = el('section.card', {}, el('div.row.finder', {}, search, only, count), body, turn);
  fill(root, el('div.head', {}, el('h1', {}, t('bans.title'))), el('p.soft.lead', {}, t('bans.do')), adding(() => read(1)), list);

  const reads = listIn(body);
  function read(page = state.page) {
    state.page = page;
    const query = filters({ page, per_page: PER_PAGE, search: state.search, kind: state.kind });
    return reads(() => api.get(`/bans?${query}`), draw);
  }

  const lift = once(list, async (ban) => {
    const name = { value: ban.value, reason: ban.reason };
    if (!(await ask({ title: t('bans.lift.title', name), text: t('bans.lift.text', name), yes: t('bans.lift'), no: t('cancel') }))) return;
    try {
      const { was_banned: was } = await api.post('/bans/lift', { kind: ban.kind, value: ban.value });
      toast(t(was ? 'bans.lifted' : 'bans.gone', name));
      await read();
    } catch (error) {
      toast(said(error), 'bad');
    }
  });

  function row(ban) {
    const cell = (label, ...what) => el('td', { 'data-label': t(label) }, el('span', {}, what));
    return el('tr', { 'data-ban': `${ban.kind}:${ban.value}` },
      el('td', {}, el('bdi', {}, el('b', {}, ban.value)), ' ', el('span.chip', {}, t(`bans.kind.${ban.kind}`))),
      cell('bans.reason', el('bdi', {}, ban.reason || '–')),
      cell('bans.until', ban.expires_ms ? moment(ban.expires_ms) : t('bans.forever')),
      cell('bans.since', ban.at_ms ? moment(ban.at_ms) : '–'),
      cell('bans.by', el('bdi', {}, ban.by || '–')),
      el('td', {}, el('button.button.is-small', { type: 'button', 'aria-label': `${t('bans.lift')} ${ban.value}`, onclick: () => lift(ban) }, t('bans.lift'))));
  }

  function draw(found) {
    count.textContent = t('bans.count', { all: number(found.all), matching: number(found.matching) });
    const heads = ['bans.value', 'bans.reason', 'bans.until', 'bans.since', 'bans.by'];
    const table = el('table.table', {},
      el('thead', {}, el('tr', {}, heads.map((name) => el('th', { scope: 'col' }, t(name))), el('th', {}, el('span.unseen', {}, t('bans.lift'))))),
      el('tbody', {}, found.bans.map(row)));
    fill(body, found.bans.length ? table : el('div.empty', {}, el('h2', {}, t('bans.none')), el('p', {}, t('bans.none.do'))),
      found.garbage ? el('p.hint', {}, t('bans.garbage', { n: number(found.garbage) })) : null);
    const pages = Math.max(1, Math.ceil(found.matching / PER_PAGE));
    const go = (label, to, off) => el('button.button.is-small', { type: 'button', disabled: off, onclick: () => read(to) }, t(label));
    turn.hidden = pages === 1;
    refill(turn, go('page.before', found.page - 1, found.page <= 1), el('span.small.soft.num', {}, t('page.at', { page: number(found.page), pages: number(pages) })), go('page.after', found.page + 1, found.page >= pages));
  }

  let typed = 0;
  search.addEventListener('input', () => {
    clearTimeout(typed);
    typed = setTimeout(() => {
      state.search = search.value.trim();
      read(1);
    }, TYPED_MS);
  });
  only.addEventListener('change', () => {
    state.kind = only.value;
    read(1);
  });
  await read(1);
  return () => clearTimeout(typed);
}
