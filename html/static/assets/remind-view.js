// The dialog for a reminder: by calendar, or by a notification of the browser.

import { t } from './i18n.js';
import { node } from './node.js';
import { calendar, hasReminder, mayNotify, keepReminder, dropReminder } from './remind.js';
import { toast } from './toast.js';

/** Opens it for `{ round, title, from, to, url }`; `changed()` is called when a reminder was set or dropped. */
export function openReminder(about, now, changed) {
  const { round, title, from, to, url } = about;
  const said = node('p', { class: 'login-note', role: 'status' });
  const close = () => {
    box.close();
    box.remove();
  };
  const file = node('a', { class: 'link', download: `seckill-${round}.ics` }, t('remind.calendar'));
  const address = new URL(url, location.href).href;
  file.href = URL.createObjectURL(new Blob([calendar({ id: `${round}@${location.host}`, title, url: address, from, to, now })], { type: 'text/calendar' }));
  const notify = node('button', { class: 'solid', type: 'button' }, t(hasReminder(round) ? 'remind.drop' : 'remind.notify'));
  notify.addEventListener('click', async () => {
    if (hasReminder(round)) dropReminder(round);
    else {
      keepReminder(round, { at: from, title: t('remind.title'), text: title, url }, now);
      if (!(await mayNotify())) toast('warn', t('remind.set'), t('remind.denied'), { href: url, text: t('toast.see') });
    }
    changed();
    close();
  });
  const shut = node('button', { class: 'close', type: 'button', 'aria-label': t('login.close') }, '×');
  shut.addEventListener('click', close);
  const box = node('dialog', { class: 'dialog remind', 'aria-labelledby': 'remind-title' },
    node('h2', { id: 'remind-title' }, t('remind')), node('p', { dir: 'auto' }, title), node('p', { class: 'login-note' }, t('remind.how')),
    node('p', { class: 'remind-ways' }, notify, file), said, shut);
  box.addEventListener('close', () => URL.revokeObjectURL(file.href));
  document.body.append(box);
  box.showModal();
}
