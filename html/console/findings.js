// Accounts and addresses that seem to be programs by the access logs, each with its
// reasons, and the decisions about them.

import { api } from './api.js';
import { ask, el, fill, once, refill, toast } from './dom.js';
import { addWords, lang, moment, number, said, t } from './i18n.js';
import { en, zh } from './findings/words.js';

addWords({ zh, en });

const STATES = ['proposed', 'banned', 'confirmed', 'dismissed'];
const TONES = { proposed: 'warn', banned: 'bad', confirmed: 'bad', dismissed: 'good' };
const EVERY_MS = 3000;
/** For how long to ban, in minutes. */
const TIMES = [60, 1440, 10_080, 43_200];

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

function card(finding, decide, selection) {
  const { kind, subject, state, score, reasons } = finding;
  const until = finding.ban_until_ms ? t('finding.until', { time: moment(finding.ban_until_ms) }) : null;
  const by = finding.decided_by ? t('finding.by', { name: finding.decided_by }) : null;
  const box = el('input', {
    type: 'checkbox', checked: selection.has(keyOf(finding)), 'aria-label': t('finding.select', { subject }),
    onchange: () => selection.toggle(finding),
  });
  return el('article.card', { 'aria-label': `${t(`kind.${kind}`)} ${subject}` },
    el('div.row', {},
      box, el('span.soft', {}, t(`kind.${kind}`)), el('h2', { dir: 'auto' }, subject),
      el('span.chip', { 'data-tone': TONES[state] }, t(`finding.${state}`)),
      el('span.chip.num', { title: t('finding.score.what') }, t('finding.score', { score })),
      el('span.gap'),
      el('span.soft.small', {}, moment(finding.last_ms))),
    el('ul.finding-why', {}, reasons.map((reason) => el('li', {}, sentence(reason), ' ', el('span.soft.small.num', {}, `+${reason.points}`)))),
    [until, by].some(Boolean) && el('p.soft.small', {}, [until, by].filter(Boolean).join(' · ')),
    el('div.row.is-end', {},
      state !== 'dismissed' && el('button.button', { type: 'button', onclick: () => decide('dismiss', [finding]) }, t('finding.dismiss')),
      ['proposed', 'dismissed'].includes(state) && el('button.button.is-danger', { type: 'button', onclick: () => decide('confirm', [finding]) }, t('finding.confirm'))));
}

const keyOf = ({ kind, subject }) => `${kind} ${subject}`;

/** How often each reason occurs, the most frequent first. Pure. */
export function reasonsOf(findings) {
  const counts = new Map();
  for (const { reasons } of findings) for (const code of new Set(reasons.map((it) => it.code))) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** The findings with this text in their subject and, if one is chosen, this reason. Pure. */
export function matching(findings, { text, reason }) {
  const wanted = text.trim().toLowerCase();
  return findings.filter((it) => it.subject.toLowerCase().includes(wanted) && (!reason || it.reasons.some(({ code }) => code === reason)));
}

/** Asks for the decision about some findings; resolves to minutes (null: as the policy bans), or undefined. */
function confirmed(what, findings, policyMinutes) {
  const isOne = findings.length === 1;
  const values = { subject: findings[0].subject, n: number(findings.length) };
  if (what === 'dismiss') {
    return ask({ title: t(isOne ? 'finding.dismiss.title' : 'finding.dismiss.many', values), text: t('finding.dismiss.text'), yes: t('finding.dismiss'), no: t('cancel') }).then((yes) => (yes ? null : undefined));
  }
  return new Promise((resolve) => {
    const time = el('select', { id: 'finding-time' }, ['', ...TIMES].map((minutes) =>
      el('option', { value: minutes }, minutes ? t(`finding.time.${minutes}`) : t('finding.time.policy', { minutes: number(policyMinutes) }))));
    const box = el('dialog.dialog', {}, el('form', {
      method: 'dialog',
      onsubmit: () => {
        box.returnValue = 'yes';
      },
    },
    el('h2', {}, t(isOne ? 'finding.confirm.title' : 'finding.confirm.many', values)), el('p.soft', {}, t('finding.confirm.text')),
    el('label', { for: 'finding-time' }, t('finding.time')), time,
    el('div.row.is-end', {}, el('button.button', { type: 'button', onclick: () => box.close('') }, t('cancel')),
      el('button.button.is-danger', { type: 'submit' }, t('finding.confirm')))));
    box.addEventListener('close', () => {
      box.remove();
      if (box.returnValue !== 'yes') resolve(undefined);
      else resolve(time.value ? Number(time.value) : null);
    });
    document.body.append(box);
    box.returnValue = '';
    box.showModal();
  });
}

export async function show(root, { params }) {
  const wanted = STATES.includes(params[0]) ? params[0] : '';
  const about = el('p.soft');
  const tabs = el('div.row.states', { role: 'group', 'aria-label': t('nav.findings') });
  const reasons = el('div.row.states', { role: 'group', 'aria-label': t('finding.reasons') });
  const search = el('input', { type: 'search', 'aria-label': t('finding.search'), placeholder: t('finding.search'), oninput: () => draw() });
  const bulk = el('div.row.bulk');
  const list = el('div');
  const chosen = new Map();
  const selection = {
    has: (key) => chosen.has(key),
    toggle(finding) {
      const key = keyOf(finding);
      if (!chosen.delete(key)) chosen.set(key, finding);
      drawBulk();
    },
  };
  let last = '';
  let answer = null;
  let reason = '';

  const decide = once(root, async (what, findings) => {
    const minutes = await confirmed(what, findings, answer.ban_minutes);
    if (minutes === undefined) return;
    try {
      const { decided, refused } = await api.post('/findings/decide', {
        decision: what, findings: findings.map(({ kind, subject }) => ({ kind, subject })), ...(minutes ? { minutes } : {}),
      });
      const done = findings.length === 1 ? t(`finding.${what}.done`, { subject: findings[0].subject }) : t(`finding.${what}.done.many`, { n: number(decided) });
      toast(refused.length ? t('finding.refused', { n: number(refused.length), why: refused[0].why }) : done, refused.length ? 'bad' : 'good');
      chosen.clear();
      last = '';
      await read();
    } catch (error) {
      toast(said(error), 'bad');
    }
  });

  const shown = () => matching(answer.findings, { text: search.value, reason });

  function drawBulk() {
    const all = shown();
    const some = [...chosen.values()];
    const isAll = all.length > 0 && all.every((it) => chosen.has(keyOf(it)));
    refill(bulk,
      el('label.sim-vice', {}, el('input', {
        type: 'checkbox', checked: isAll, disabled: all.length === 0,
        onchange: () => {
          for (const it of all) {
            if (isAll) chosen.delete(keyOf(it));
            else chosen.set(keyOf(it), it);
          }
          draw();
        },
      }), ' ', t('finding.all.shown', { n: number(all.length) })),
      el('span.soft', { role: 'status' }, some.length ? t('finding.chosen', { n: number(some.length) }) : ''),
      el('span.gap'),
      some.length ? el('button.button', { type: 'button', onclick: () => decide('dismiss', some) }, t('finding.dismiss.chosen')) : null,
      some.length ? el('button.button.is-danger', { type: 'button', onclick: () => decide('confirm', some) }, t('finding.confirm.chosen')) : null);
  }

  function draw() {
    const { findings, counts, policy, ban_score: score, ban_minutes: minutes } = answer;
    fill(about, t(`policy.${policy}`, { score, minutes }));
    const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
    refill(tabs, ['', ...STATES].map((state) => el('a.button.is-small', {
      href: `#/findings/${state}`, 'aria-current': state === wanted ? 'page' : null,
      class: state === wanted ? 'is-main' : '',
    }, `${t(state ? `finding.${state}` : 'finding.all')} ${number(state ? counts[state] ?? 0 : all)}`)));
    refill(reasons, reasonsOf(findings).map(([code, n]) => el('button.button.is-small', {
      type: 'button', 'aria-pressed': String(reason === code),
      onclick: () => {
        reason = reason === code ? '' : code;
        draw();
      },
    }, `${t(`why.${code}`)} ${number(n)}`)));
    const some = shown();
    refill(list, some.length ? some.map((finding) => card(finding, decide, selection))
      : el('div.card.empty', {}, el('h2', {}, t('finding.none')), el('p', {}, t('finding.none.why'))));
    drawBulk();
  }

  async function read() {
    const fresh = await api.get(`/findings${wanted ? `?state=${wanted}` : ''}`);
    const now = JSON.stringify(fresh);
    // Drawn only when something changed: nothing moves under the reader's pointer.
    if (now === last) return;
    last = now;
    answer = fresh;
    const known = new Set(answer.findings.map(keyOf));
    for (const key of chosen.keys()) if (!known.has(key)) chosen.delete(key);
    draw();
  }

  await read();
  fill(root, el('div.head', {}, el('h1', {}, t('nav.findings'))), about, tabs, el('div.row.finder', {}, search), reasons, bulk, list);
  const timer = setInterval(() => document.visibilityState === 'visible' && read().catch(() => {}), EVERY_MS);
  return () => clearInterval(timer);
}
