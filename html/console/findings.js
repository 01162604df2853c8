// Accounts and addresses that seem to be programs by the access logs, each with its
// reasons, and the decisions about them.

import { api } from './api.js';
import { ask, el, fill, toast } from './dom.js';
import { addWords, lang, moment, number, said, t } from './i18n.js';
import { en, zh } from './findings/words.js';

addWords({ zh, en });

const STATES = ['proposed', 'banned', 'confirmed', 'dismissed'];
const TONES = { proposed: 'warn', banned: 'bad', confirmed: 'bad', dismissed: 'good' };
const EVERY_MS = 3000;

/** A reason in the reader's language: the numbers are the server's. */
function sentence(reason) {
  if (lang() === 'en') return reason.sentence;
  const seconds = (ms) => (ms < 1000 ? `${ms} 毫秒` : `${(ms / 1000).toFixed(1)} 秒`);
  const values = {
    ...reason, within: seconds(reason.within_ms ?? 0), during: seconds(reason.for_ms ?? 0), silent: seconds(reason.silent_ms ?? 0),
    spread: ((reason.spread_permille ?? 0) / 10).toFixed(1),
  };
  let text = t(`reason.${reason.code}`, values);
  if (reason.code === 'in_step' && reason.reaction_ms !== null) text += t('reason.in_step.reaction', values);
  if (reason.code === 'company' && reason.never_browsed > 0) text += t('reason.company.never', values);
  if (reason.code === 'company' && reason.within_ms !== null) text += t('reason.company.within', values);
  return text;
}

function card(finding, decide) {
  const { kind, subject, state, score, reasons } = finding;
  const until = finding.ban_until_ms ? t('finding.until', { time: moment(finding.ban_until_ms) }) : null;
  const by = finding.decided_by ? t('finding.by', { name: finding.decided_by }) : null;
  return el('article.card', { 'aria-label': `${t(`kind.${kind}`)} ${subject}` },
    el('div.row', {},
      el('span.soft', {}, t(`kind.${kind}`)), el('h2', {}, subject),
      el('span.chip', { 'data-tone': TONES[state] }, t(`finding.${state}`)),
      el('span.chip.num', { title: t('finding.score.what') }, t('finding.score', { score })),
      el('span.gap'),
      el('span.soft.small', {}, moment(finding.last_ms))),
    el('ul.finding-why', {}, reasons.map((reason) => el('li', {}, sentence(reason), ' ', el('span.soft.small.num', {}, `+${reason.points}`)))),
    [until, by].some(Boolean) && el('p.soft.small', {}, [until, by].filter(Boolean).join(' · ')),
    el('div.row.is-end', {},
      state !== 'dismissed' && el('button.button', { type: 'button', onclick: () => decide('dismiss', finding) }, t('finding.dismiss')),
      ['proposed', 'dismissed'].includes(state) && el('button.button.is-danger', { type: 'button', onclick: () => decide('confirm', finding) }, t('finding.confirm'))));
}

export async function show(root, { params }) {
  const wanted = STATES.includes(params[0]) ? params[0] : '';
  const about = el('p.soft');
  const tabs = el('div.row.states', { role: 'group', 'aria-label': t('nav.findings') });
  const list = el('div');
  let last = '';

  async function decide(what, { kind, subject }) {
    const sure = await ask({
      title: t(`finding.${what}.title`, { subject }), text: t(`finding.${what}.text`),
      yes: t(`finding.${what}`), no: t('cancel'), danger: what === 'confirm',
    });
    if (!sure) return;
    try {
      await api.post(`/findings/${what}`, { kind, subject });
      toast(t(`finding.${what}.done`, { subject }));
      last = '';
      await read();
    } catch (error) {
      toast(said(error), 'bad');
    }
  }

  function draw({ findings, counts, policy, ban_score: score, ban_minutes: minutes }) {
    fill(about, t(`policy.${policy}`, { score, minutes }));
    const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
    fill(tabs, ['', ...STATES].map((state) => el('a.button.is-small', {
      href: `#/findings/${state}`, 'aria-current': state === wanted ? 'page' : null,
      class: state === wanted ? 'is-main' : '',
    }, `${t(state ? `finding.${state}` : 'finding.all')} ${number(state ? counts[state] ?? 0 : all)}`)));
    fill(list, findings.length ? findings.map((finding) => card(finding, decide))
      : el('div.card.empty', {}, el('h2', {}, t('finding.none')), el('p', {}, t('finding.none.why'))));
  }

  async function read() {
    const answer = await api.get(`/findings${wanted ? `?state=${wanted}` : ''}`);
    const now = JSON.stringify(answer);
    // Drawn only when something changed: nothing moves under the reader's pointer.
    if (now !== last) draw(answer);
    last = now;
  }

  await read();
  fill(root, el('div.head', {}, el('h1', {}, t('nav.findings'))), about, tabs, list);
  const timer = setInterval(() => document.visibilityState === 'visible' && read().catch(() => {}), EVERY_MS);
  return () => clearInterval(timer);
}
