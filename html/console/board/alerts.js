// The alerts, in plain sentences, the worst first.

import { el, fill } from '../dom.js';
import { find, lang, t } from '../i18n.js';

/** An alert's sentence in the reader's language; the server's own is English. */
function sentence({ code, subject, values, message }, titles) {
  const name = titles.has(subject) ? `${titles.get(subject)} (${subject})` : subject;
  if (lang() === 'en') return subject ? message.replaceAll(subject, name) : message;
  return find(`alert.${code}`, { ...values, subject: name }) ?? message;
}

const WHERE = { dead_letters: '#/dead-letters' };

export function alerts() {
  const list = el('ul.alerts', { 'aria-label': t('board.alerts') });
  // Read out when another alert comes, not at every number that changes in one.
  const spoken = el('p.unseen', { role: 'status', 'aria-live': 'polite' });
  const node = el('div', {}, list, spoken);
  let known = null;
  let shown = '';
  return {
    node,
    show(all, products) {
      const titles = new Map(all.map(({ subject }) => [subject, products[subject]?.title]).filter(([, title]) => title));
      const sketch = JSON.stringify([all, [...titles]]);
      if (sketch === shown) return;
      shown = sketch;
      const items = all.map((alert) => el('li.alert', { 'data-level': alert.level, 'data-code': alert.code, 'data-subject': alert.subject },
        WHERE[alert.code] ? el('a', { href: WHERE[alert.code] }, sentence(alert, titles)) : sentence(alert, titles)));
      fill(list, items.length ? items : el('li.alert', { 'data-level': 'well' }, t('board.well')));
      const now = all.map(({ code, subject }) => `${code} ${subject}`).join();
      if (now !== known) spoken.textContent = list.textContent;
      known = now;
    },
  };
}
