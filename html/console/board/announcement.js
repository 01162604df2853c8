// What operators say to everybody who waits, said and ended from the board.

import { ApiError, api, mistakeText } from '../api.js';
import { ask, el, once, refill, submits, toast } from '../dom.js';
import { addWords, moment, said, t } from '../i18n.js';
import { readWhole } from '../numbers.js';

addWords({
  zh: {
    'announcement.title': '公告', 'announcement.none': '等待页上没有公告。', 'announcement.until': '{who} 发布，显示到 {when}',
    'announcement.text': '一句话，显示在所有等待开抢的页面上', 'announcement.minutes': '显示几分钟', 'announcement.say': '发布', 'announcement.end': '撤下',
    'announcement.ask': '在所有等待页上显示这句话？', 'announcement.ask.end': '撤下公告？', 'announcement.done': '已发布，几秒内显示', 'announcement.gone': '已撤下',
    'mistake.announcement_plain': '含有 {0}，请写成一行普通文字。', 'mistake.announcement_length': '有 {0} 个字符，请写 1–200 个。', 'mistake.announcement_minutes': '不能是 {0} 分钟，请填 1–1440。',
  },
  en: {
    'announcement.title': 'Announcement', 'announcement.none': 'Waiting pages show no announcement.', 'announcement.until': 'By {who}, until {when}',
    'announcement.text': 'One line, on every page that waits', 'announcement.minutes': 'For how many minutes', 'announcement.say': 'Show it', 'announcement.end': 'End it',
    'announcement.ask': 'Show this on every page that waits?', 'announcement.ask.end': 'End the announcement?', 'announcement.done': 'It is shown within seconds', 'announcement.gone': 'It is ended',
  },
});

/** The card of the board; `read` is called from time to time, since others announce too. */
export function announcement() {
  const now = el('div');
  const notes = Object.fromEntries(['text', 'minutes'].map((name) => [name, el('p.mistake', { id: `announcement-${name}-mistake`, role: 'alert' })]));
  const text = el('input', { id: 'announcement-text', maxlength: 200, required: true, autocomplete: 'off', dir: 'auto', 'aria-describedby': 'announcement-text-mistake' });
  const minutes = el('input', { id: 'announcement-minutes', type: 'number', min: 1, max: 1440, step: 1, value: 10, required: true, inputmode: 'numeric', 'aria-describedby': 'announcement-minutes-mistake' });
  let shown = '';
  function show({ announcement: is }) {
    if (JSON.stringify(is) === shown) return;
    shown = JSON.stringify(is);
    refill(now, is ? [el('p', {}, el('b', { dir: 'auto', 'data-announcement': '' }, is.text)), el('p.soft.small', {}, t('announcement.until', { who: is.by, when: moment(is.until_ms) })),
      el('div.row.is-end', {}, el('button.button', { type: 'button', 'data-act': 'announcement.end', onclick: end }, t('announcement.end')))]
      : el('p.soft', {}, t('announcement.none')));
  }
  async function read() {
    const is = await api.get('/announcement').catch(() => null);
    // What cannot be read is not "none".
    if (is) show(is);
  }
  async function carried(work, words) {
    for (const note of Object.values(notes)) note.textContent = '';
    try {
      show(await work());
      toast(t(words));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const [mistake] = error.mistakes;
      (notes[mistake?.field] ?? notes.text).textContent = mistake ? mistakeText(mistake) : said(error);
    }
  }
  const end = once(now, async () => {
    if (await ask({ title: t('announcement.ask.end'), yes: t('announcement.end'), no: t('cancel') })) await carried(() => api.del('/announcement'), 'announcement.gone');
  });
  const form = el('form', { novalidate: true, id: 'announcement-form' },
    el('div.fields', {}, el('div.w8', {}, el('label', { for: 'announcement-text' }, t('announcement.text')), text, notes.text), el('div.w4', {}, el('label', { for: 'announcement-minutes' }, t('announcement.minutes')), minutes, notes.minutes)),
    el('div.row.is-end', {}, el('button.button', { type: 'submit' }, t('announcement.say'))));
  submits(form, async () => {
    if (!text.value.trim()) return text.focus();
    const time = readWhole(minutes, notes.minutes);
    if (time === null) return undefined;
    if (!(await ask({ title: t('announcement.ask'), shows: el('blockquote', { dir: 'auto' }, text.value.trim()), yes: t('announcement.say'), no: t('cancel') }))) return undefined;
    return carried(() => api.post('/announcement', { text: text.value, minutes: time }), 'announcement.done');
  });
  const node = el('details.card.announcement', {}, el('summary', {}, t('announcement.title')), now, form);
  read();
  return { node, read };
}
