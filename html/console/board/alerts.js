// The alerts, in plain sentences, the worst first.

import { el, refill } from '../dom.js';
import { find, isolated, lang, t } from '../i18n.js';

/** An alert's sentence in the reader's language; the server's own is English. */
function sentence({ code, subject, values, message }, titles) {
  const name = titles.has(subject) ? `${titles.get(subject)} (${subject})` : subject;
  if (lang() === 'en') return subject ? message.replaceAll(subject, isolated(name)) : message;
  return find(`alert.${code}`, { ...values, subject: name }) ?? message;
}

const WHERE = { dead_letters: '#/dead-letters' };

const STORED = 'seckill:console:sound';
const PATIENCE_MS = 600;

/** Two short tones; browsers allow them once somebody has clicked on the page. */
function beep() {
  const audio = new AudioContext();
  for (const [at, hertz] of [[0, 880], [0.22, 660]]) {
    const tone = audio.createOscillator();
    const loud = audio.createGain();
    tone.frequency.value = hertz;
    loud.gain.setValueAtTime(0.15, audio.currentTime + at);
    loud.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + at + 0.2);
    tone.connect(loud).connect(audio.destination);
    tone.start(audio.currentTime + at);
    tone.stop(audio.currentTime + at + 0.2);
  }
  setTimeout(() => audio.close(), PATIENCE_MS);
}

function wantsSound() {
  try {
    return localStorage.getItem(STORED) === 'on';
  } catch {
    return false;
  }
}

export function alerts() {
  const sound = el('input', {
    type: 'checkbox', checked: wantsSound(),
    onchange: () => {
      try {
        localStorage.setItem(STORED, sound.checked ? 'on' : 'off');
      } catch {
        // It lasts as long as the page.
      }
      if (sound.checked) beep();
    },
  });
  const list = el('ul.alerts', { 'aria-label': t('board.alerts') });
  // Read out when another alert comes, not at every number that changes in one.
  const spoken = el('p.unseen', { role: 'status', 'aria-live': 'polite' });
  const node = el('div', {}, list, el('label.sim-vice.small.soft', {}, sound, ' ', t('board.sound')), spoken);
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
      refill(list, items.length ? items : el('li.alert', { 'data-level': 'well' }, t('board.well')));
      const now = all.map(({ code, subject }) => `${code} ${subject}`).join();
      if (now !== known) spoken.textContent = list.textContent;
      const before = new Set((known ?? '').split(','));
      if (known !== null && sound.checked && now.split(',').some((it) => it && !before.has(it))) beep();
      // Seen in another tab too.
      document.title = all.length ? `(${all.length}) ${t('title')}` : t('title');
      known = now;
    },
  };
}
