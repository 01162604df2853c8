// Dead letters: messages of which no order could be made, each with its reason,
// and redriving them.

import { api } from './api.js';
import { ask, el, fill, once, toast } from './dom.js';
import { addWords, moment, number, said, t } from './i18n.js';
import { listIn } from './lists.js';

addWords({
  zh: {
    'letters.title': '下单失败消息',
    'letters.do': '未能生成订单的消息。消除原因后重新投递；同一条投递两次不会生成两个订单。',
    'letters.count': '共 {n} 条',
    'letters.all': '全部重新投递',
    'letters.all.title': '重新投递全部 {n} 条失败消息？',
    'letters.all.text': '每条都会回到它来的队列，再试一次。',
    'letters.one': '重新投递',
    'letters.sent': '已投递 {n} 条',
    'letters.stay': '已投递 {n} 条；有 {m} 条未能投递：{reason}',
    'letters.came': '到达',
    'letters.from': '来自',
    'letters.attempts': '已尝试',
    'letters.attempts.n': '{n} 次',
    'letters.message': '消息内容',
    'letters.none': '没有失败消息',
    'letters.none.do': '每次抢购都已生成订单，或仍在处理。',
    'letters.more': '更多',
    'error.letter_stays': '这条消息未能投递，仍留在此处。',
  },
  en: {
    'letters.title': 'Failed order messages',
    'letters.do': 'Messages of which no order could be made. Fix the cause, then redrive them; redriving one twice places no second order.',
    'letters.count': '{n} {n|message|messages}',
    'letters.all': 'Redrive all',
    'letters.all.title': 'Send all {n} failed messages again?',
    'letters.all.text': 'Each is sent to the queue that it came from, and tried once more.',
    'letters.one': 'Redrive',
    'letters.sent': 'Redriven: {n}',
    'letters.stay': 'Redriven: {n}. Not redriven: {m}. {reason}',
    'letters.came': 'Arrived',
    'letters.from': 'From',
    'letters.attempts': 'Attempts',
    'letters.attempts.n': '{n} ×',
    'letters.message': 'The message',
    'letters.none': 'No failed messages',
    'letters.none.do': 'Every purchase has its order, or is still in the queue.',
    'letters.more': 'More',
  },
});

const PER_PAGE = 50;

/** JSON in lines, anything else as it is. */
function readable(message) {
  try {
    return JSON.stringify(JSON.parse(message), null, 2);
  } catch {
    return message;
  }
}

export async function show(root) {
  const count = el('span.chip.num', { role: 'status' });
  const all = el('button.button.is-main', { type: 'button', hidden: true, onclick: () => sendAll() }, t('letters.all'));
  const list = el('ul.letters');
  const more = el('button.button', { type: 'button', hidden: true }, t('letters.more'));
  const card = el('section.card');
  const reads = listIn(card);
  fill(root, el('div.head', {}, el('h1', {}, t('letters.title')), count, all), el('p.soft.lead', {}, t('letters.do')), card);

  let total = 0;
  function read(after = null) {
    const query = new URLSearchParams({ limit: PER_PAGE, ...(after ? { after } : {}) });
    return reads(() => api.get(`/dead-letters?${query}`), (page) => show(page, after), after !== null);
  }

  function show(page, after) {
    total = page.all;
    count.textContent = t('letters.count', { n: number(total) });
    all.hidden = total === 0;
    const items = page.letters.map(item);
    if (after) list.append(...items);
    else fill(list, items.length ? items : el('li.empty', {}, el('h2', {}, t('letters.none')), el('p', {}, t('letters.none.do'))));
    more.hidden = page.next === null;
    more.onclick = () => read(page.next);
    fill(card, list, el('div.row.is-end', {}, more));
  }

  const fact = (label, what) => el('div', {}, el('dt', {}, t(label)), el('dd.num', {}, what));
  function item(letter) {
    return el('li.letter', { 'data-letter': letter.id },
      el('p.reason', { dir: 'auto' }, letter.reason),
      el('dl.facts', {},
        fact('letters.came', moment(letter.came_ms, {})),
        fact('letters.from', letter.source),
        fact('letters.attempts', t('letters.attempts.n', { n: number(letter.attempts) }))),
      el('details', {}, el('summary.small.soft', {}, t('letters.message')), el('pre', { tabindex: '0', dir: 'auto' }, readable(letter.message))),
      el('button.button.is-small', { type: 'button', onclick: () => sendOne(letter.id) }, t('letters.one')));
  }

  const send = once(root, async (path) => {
    try {
      const { sent, stay } = await api.post(path);
      const words = { n: number(sent), m: number(stay.length), reason: stay[0] ?? '' };
      toast(t(stay.length ? 'letters.stay' : 'letters.sent', words), stay.length ? 'bad' : 'good');
    } catch (error) {
      toast(said(error), 'bad');
    }
    await read();
  });
  const sendOne = (id) => send(`/dead-letters/${encodeURIComponent(id)}/redrive`);
  async function sendAll() {
    const n = { n: number(total) };
    if (await ask({ title: t('letters.all.title', n), text: t('letters.all.text'), yes: t('letters.all'), no: t('cancel') })) {
      await send('/dead-letters/redrive');
    }
  }
  await read();
}
