// Simulated shoppers: how many, how they misbehave, in which round, and the report.

import { api } from './api.js';
import { ask, el, fill, once, refill, toast } from './dom.js';
import { addWords, moment, number, said, t } from './i18n.js';
import { en, zh } from './findings/words.js';
import { readWhole } from './numbers.js';

addWords({ zh, en });

const TONES = { running: 'info', finished: 'good', failed: 'bad', ended: 'warn' };

function field(name, label, input) {
  input.id = `sim-${name}`;
  input.name = name;
  input.setAttribute('aria-describedby', `sim-${name}-mistake`);
  return el('div.w4', {}, el('label', { for: input.id }, label), input, el('p.mistake', { id: `sim-${name}-mistake`, role: 'alert' }));
}

function amount(value, min, max) {
  return el('input', { type: 'number', value, min, max, required: true, inputmode: 'numeric' });
}

function table(report) {
  const cell = (label, value) => el('td.num', { 'data-label': label }, number(value));
  const columns = ['actors', 'clicks', 'ordered', 'paid', 'blocked'];
  return el('table.table', {},
    el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, t('sim.group')), columns.map((name) => el('th.num', { scope: 'col' }, t(`sim.${name}`))))),
    el('tbody', {}, Object.entries(report.groups).map(([name, group]) =>
      el('tr', {}, el('td', {}, t(`vice.${name}`)), columns.map((column) => cell(t(`sim.${column}`), group[column]))))));
}

/** The key and values of the sentences that say how it ended: who got how much, and whom the bans stopped. Pure. */
export function summary({ people, bots }) {
  const taken = people.ordered + bots.ordered;
  const lines = [['sim.sum.people', { n: people.ordered, of: people.actors }]];
  if (bots.actors === 0) return lines;
  lines.push(['sim.sum.bots', { n: bots.ordered, of: bots.actors, percent: taken ? Math.round((100 * bots.ordered) / taken) : 0 }]);
  lines.push(bots.blocked ? ['sim.sum.blocked', { n: bots.blocked, people: people.blocked }] : ['sim.sum.free', {}]);
  return lines;
}

function state(simulation, end, again) {
  const { progress, report } = simulation;
  const share = progress ? Math.min(1, Math.max(0, (progress.now_ms - simulation.began_ms) / (progress.until_ms - simulation.began_ms))) : 0;
  const running = simulation.state === 'running';
  return el('section.card', { 'aria-live': 'polite' },
    el('div.row', {},
      el('span.chip', { 'data-tone': TONES[simulation.state] }, t(`sim.${simulation.state}`)),
      el('span.soft', {}, `${simulation.asked.round}-${simulation.asked.product} · `, t('sim.by', { name: simulation.by, time: moment(simulation.began_ms) })),
      el('span.gap'),
      running && el('button.button.is-danger', { type: 'button', onclick: end }, t('sim.end'))),
    running && el('progress.sim-bar', { max: 1, value: share, 'aria-label': t('sim.running') }),
    progress && el('p.soft.num', {}, t('sim.progress', { requests: number(progress.requests), gone: number(progress.gone), actors: number(progress.actors) })),
    simulation.trouble && el('p.mistake', { dir: 'auto' }, simulation.trouble),
    report && el('div.note', { 'data-tone': 'info', id: 'sim-summary' }, summary(report).map(([key, values]) =>
      el('p', {}, t(key, Object.fromEntries(Object.entries(values).map(([name, n]) => [name, number(n)])))))),
    simulation.state === 'ended' && !report && el('p.soft', {}, t('sim.sum.none')),
    report && table(report),
    !running && el('div.row.is-end', {}, el('button.button', { type: 'button', onclick: () => again(simulation.asked) }, t('sim.again'))));
}

const STORED = 'seckill:console:scenarios';

/** Plans that this browser keeps under a name. */
function scenarios(plan, put) {
  const read = () => {
    try {
      return JSON.parse(localStorage.getItem(STORED)) ?? {};
    } catch {
      return {};
    }
  };
  const choice = el('select', { 'aria-label': t('sim.saved'), onchange: () => choice.value && put(read()[choice.value]) });
  const show = (chosen = '') => {
    fill(choice, el('option', { value: '' }, t('sim.saved')), Object.keys(read()).map((name) => el('option', { value: name, dir: 'auto' }, name)));
    choice.value = chosen;
  };
  const save = async () => {
    const name = await ask({ title: t('sim.save'), yes: t('sim.save'), no: t('cancel'), reason: t('sim.name') });
    if (!name) return;
    try {
      localStorage.setItem(STORED, JSON.stringify({ ...read(), [name]: plan() }));
    } catch {
      toast(t('sim.unsaved'), 'bad');
    }
    show(name);
  };
  show();
  return [choice, el('button.button', { type: 'button', onclick: save }, t('sim.save'))];
}

export async function show(root) {
  const now = el('div');
  const first = await api.get('/simulation');
  const form = el('form.card', { novalidate: true });
  let last = '';
  let timer = 0;

  async function read() {
    const answer = await api.get('/simulation');
    const text = JSON.stringify(answer.simulation);
    if (text !== last) refill(now, answer.simulation.state !== 'none' && state(answer.simulation, end, begin));
    last = text;
    clearTimeout(timer);
    timer = setTimeout(() => read().catch(() => {}), answer.simulation.state === 'running' ? 1000 : 5000);
  }

  const end = once(now, async () => {
    await api.call('DELETE', '/simulation').catch((error) => toast(said(error), 'bad'));
    await read();
  });

  /** Whether the numbers can be sent; what is wrong is said beside its field. */
  function fits() {
    const empty = ['round', 'product'].find((name) => !form.elements[name].value.trim());
    if (empty) {
      form.elements[empty].focus();
      return false;
    }
    const note = (name) => form.querySelector(`#sim-${name}-mistake`);
    const read = ['seconds', 'shoppers', 'bots'].map((name) => readWhole(form.elements[name], note(name)));
    if (read.includes(null)) return false;
    const [, shoppers, bots] = read;
    note('shoppers').textContent = shoppers + bots ? '' : t('sim.nobody');
    if (!(shoppers + bots)) form.elements.shoppers.focus();
    return shoppers + bots > 0;
  }

  function plan() {
    const data = new FormData(form);
    return {
      shoppers: Number(data.get('shoppers')), bots: Number(data.get('bots')), seconds: Number(data.get('seconds')),
      round: data.get('round').trim(), product: data.get('product').trim(), wickedness: data.getAll('wickedness'),
    };
  }

  function put(saved) {
    for (const name of ['shoppers', 'bots', 'seconds', 'round', 'product']) form.elements[name].value = saved[name];
    for (const box of form.querySelectorAll('[name=wickedness]')) box.checked = saved.wickedness.includes(box.value);
  }

  const begin = once(form, async (wanted) => {
    const n = number(wanted.shoppers + wanted.bots);
    if (!(await ask({ title: t('sim.sure', { n, round: wanted.round }), text: t('sim.what'), yes: t('sim.begin'), no: t('cancel'), danger: true }))) return;
    try {
      await api.post('/simulation', wanted);
      await read();
    } catch (error) {
      toast(said(error), 'bad');
    }
  });

  const may = first.rounds.length > 0 && first.demo_login;
  const round = first.rounds.find((id) => id !== '*') ?? '1';
  fill(form,
    el('div.fields', {},
      field('round', t('sim.round'), el('input', { value: round, required: true, maxlength: 32 })),
      field('product', t('sim.product'), el('input', { value: '153', required: true, maxlength: 32 })),
      field('seconds', t('sim.seconds'), amount(45, 1, 900)),
      field('shoppers', t('sim.shoppers'), amount(200, 0, first.most)),
      field('bots', t('sim.bots'), amount(50, 0, first.most)),
      el('fieldset.w12', {}, el('legend.label', {}, t('sim.wickedness')),
        el('div.row', {}, first.wickedness.map((vice) => el('label.sim-vice', {}, el('input', { type: 'checkbox', name: 'wickedness', value: vice }), ' ', t(`vice.${vice}`)))))),
    el('div.row.is-end', {}, scenarios(plan, put), el('span.gap'), el('button.button.is-main', { type: 'submit' }, t('sim.begin'))));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (fits()) begin(plan());
  });
  fill(root, el('div.head', {}, el('h1', {}, t('nav.simulation'))), el('p.soft', {}, t('sim.what')),
    may ? form : el('div.card.empty', {}, el('h2', {}, t('sim.none.title')), el('p', {}, t('sim.none'))), now);
  await read();
  return () => clearTimeout(timer);
}
