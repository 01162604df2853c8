// The charts: requests a second by edge, orders a second, and the queue.

import uPlot from '../vendor/uplot/uPlot.esm.js';
import { api } from '../api.js';
import { el, fill, refill, toast } from '../dom.js';
import { lang, number, said, shopZone, t } from '../i18n.js';
import { markLine } from '../marks.js';

/** Colours that can be distinguished in both schemes, and without seeing red. */
const COLOURS = ['#3b7ddd', '#d9822b', '#2a9d8f', '#b5479d', '#7a8b2a', '#8a63d2', '#c0504d', '#4f8fa8'];
const HEIGHT = 180;
/** What the live charts show at least, and at most, in seconds. */
const SHOWN_S = [60, 300];
/** The ranges that can be chosen, in ms; live is what was seen since the page was opened, five minutes at most. */
const RANGES = { live: 0, '1h': 3_600_000, '6h': 21_600_000, '24h': 86_400_000, '7d': 604_800_000 };
const POINTS = 500;
/** A recorded range is read again this often, in ms. */
const AGAIN_MS = 15_000;
/** Most marks in the list below the charts. */
const LISTED = 30;

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const time = (seconds) => new Intl.DateTimeFormat(lang(), {
  timeZone: shopZone(), hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
}).format(new Date(seconds * 1000));
const dayTime = (seconds) => new Intl.DateTimeFormat(lang(), {
  timeZone: shopZone(), month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
}).format(new Date(seconds * 1000));

/** 12000 → 12k: an axis has little room. */
const short = (n) => new Intl.NumberFormat(lang(), { notation: 'compact', maximumFractionDigits: 1 }).format(n);

function axis(more) {
  return {
    stroke: color('--soft'), font: '12px system-ui, sans-serif',
    grid: { stroke: color('--line'), width: 1 }, ticks: { stroke: color('--line'), width: 1 }, ...more,
  };
}

/** From when to when, in seconds. */
function shown(first, last, now) {
  const end = last ?? now / 1000;
  return [Math.max(end - SHOWN_S[1], Math.min(first ?? end, end - SHOWN_S[0])), end];
}

/** Unless somebody points at a moment, the legend shows the newest. */
function showNewest(plot) {
  if (!(plot.cursor.left >= 0)) plot.setLegend({ idx: plot.data[0].length - 1 });
}

/** A line at each mark: an opening, a ban, a start. */
function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  const { min, max } = plot.scales.x;
  ctx.save();
  ctx.setLineDash([4, 4]);
  for (const { at_ms: at, kind } of marks) {
    if (at / 1000 < min || at / 1000 > max) continue;
    const x = Math.round(plot.valToPos(at / 1000, 'x', true));
    ctx.strokeStyle = color(kind === 'round.opens' ? '--good' : kind.startsWith('round.') || kind.startsWith('stock.') ? '--warn' : '--soft');
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

function options(series, axes, width, { past, marks, now }) {
  return {
    width,
    height: HEIGHT,
    // Room for half of the last moment's name.
    padding: [10, 22, 0, 0],
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    legend: { live: true },
    hooks: { draw: [showNewest, (plot) => drawMarks(plot, marks())], setCursor: [showNewest] },
    scales: {
      x: { time: true, range: (_, first, last) => (past() ? [past().from_ms / 1000, past().to_ms / 1000] : shown(first, last, now())) },
      y: { range: (_, __, max) => [0, Math.max(5, (max ?? 0) * 1.1)] },
      s: { range: (_, __, max) => [0, Math.max(5, (max ?? 0) * 1.1)] },
    },
    axes: [
      axis({ size: 32, values: (_, at, __, ___, step) => at.map((s) => (step < 60 ? time(s) : past()?.to_ms - past()?.from_ms > 86_400_000 ? dayTime(s) : time(s).slice(0, 5))), space: 92 }),
      axis({ size: 46, values: (_, at) => at.map(short) }),
      ...axes,
    ],
    series: [{ label: t('board.time'), value: (_, s) => (s === null ? '' : past() ? dayTime(s) : time(s)) }, ...series],
  };
}

const line = (label, stroke, more = {}) => ({
  label,
  stroke,
  width: 2,
  fill: `${stroke}1f`,
  points: { show: false },
  value: (_, n) => (n === null || n === undefined ? '–' : number(Math.round(n * 10) / 10)),
  ...more,
});

/** What each chart shows of the columns. */
const CHARTS = {
  requests: {
    data: (columns) => [...Object.values(columns.edges), columns.admitted],
    series: (columns) => [
      ...Object.keys(columns.edges).map((name, at) => line(name, COLOURS[at % COLOURS.length])),
      line(t('board.admitted'), color('--good'), { dash: [5, 4], fill: undefined }),
    ],
  },
  orders: {
    data: (columns) => [columns.orders],
    series: () => [line(t('board.orders'), COLOURS[2])],
  },
  queue: {
    data: (columns) => [columns.depth, columns.age_ms.map((ms) => (ms === null ? null : ms / 1000))],
    series: () => [
      line(t('board.depth'), COLOURS[5]),
      line(t('board.age'), COLOURS[1], { scale: 's', fill: undefined }),
    ],
    axes: () => [axis({ scale: 's', side: 1, size: 46, grid: { show: false }, values: (_, at) => at.map((s) => `${short(s)} s`) })],
  },
};

/** One card with one chart. */
class Chart {
  constructor(name, view) {
    this.name = name;
    this.view = view;
    this.kind = CHARTS[name];
    this.box = el('div.chart', { role: 'img' });
    this.node = el('section.card.chart-card', {}, el('h2', {}, t(`board.chart.${name}`)), this.box);
    this.plot = null;
    this.made = '';
  }

  draw(columns) {
    const width = Math.floor(this.box.clientWidth);
    if (!width) return;
    const series = this.kind.series(columns);
    // A new edge, language, scheme or width makes another chart.
    const made = `${width} ${this.view.range} ${series.map((it) => it.label + it.stroke).join()}`;
    const data = [columns.at, ...this.kind.data(columns)];
    if (made === this.made) {
      this.plot.setData(data);
    } else {
      this.plot?.destroy();
      fill(this.box);
      this.made = made;
      this.plot = new uPlot(options(series, this.kind.axes?.() ?? [], width, this.view), data, this.box);
    }
  }

  /** Says the newest numbers to those who do not see the lines. */
  label(text) {
    this.box.setAttribute('aria-label', `${t(`board.chart.${this.name}`)}: ${text}`);
  }
}

/** The recorded past as the charts take it: one line for all edges. */
export function columnsOf(past) {
  const { received, admitted, orders, depth, age_ms } = past;
  return { at: past.at_ms.map((ms) => ms / 1000), edges: { [t('board.all.edges')]: received }, admitted, orders, depth, age_ms };
}

export function charts() {
  let past = null;
  let timer = 0;
  // How far the server's clock is ahead of this one, in ms: what is recorded has its times.
  let ahead = 0;
  let boardMs = 0;
  const view = { range: 'live', past: () => past, marks: () => past?.marks ?? [], now: () => Date.now() + ahead };
  const all = Object.fromEntries(Object.keys(CHARTS).map((name) => [name, new Chart(name, view)]));
  const choice = el('div.row.states', { role: 'group', 'aria-label': t('board.range') });
  const marks = el('ul.marks.small');
  const listed = el('details.marks-box', { hidden: true }, el('summary', {}, t('board.marks')), marks);
  const node = el('div', {}, choice, el('div.charts', {}, Object.values(all).map((chart) => chart.node)), listed);

  function showChoice() {
    refill(choice, Object.keys(RANGES).map((range) => el('button.button.is-small', {
      type: 'button', 'aria-pressed': String(view.range === range), 'data-range': range, onclick: () => choose(range),
    }, t(`board.range.${range}`))));
  }

  async function choose(range) {
    view.range = range;
    showChoice();
    clearTimeout(timer);
    if (range === 'live') past = null;
    else await read();
    showMarks();
  }

  async function read() {
    const range = view.range;
    const to = Math.round(view.now());
    try {
      const answer = await api.get(`/board/history?${new URLSearchParams({ from_ms: to - RANGES[range], to_ms: to, points: POINTS })}`);
      if (view.range !== range) return;
      past = answer;
      for (const chart of Object.values(all)) chart.draw(columnsOf(past));
      showMarks();
    } catch (error) {
      toast(said(error), 'bad');
    }
    timer = setTimeout(read, AGAIN_MS);
  }

  function showMarks() {
    const some = view.marks().slice(-LISTED).reverse();
    listed.hidden = some.length === 0;
    fill(marks, some.map(markLine));
  }

  showChoice();
  return {
    node,
    draw(columns, board) {
      // One that is drawn again, in another width, is no longer of this moment.
      if (board.at_ms !== boardMs) ahead = board.at_ms - Date.now();
      boardMs = board.at_ms;
      if (view.range === 'live') for (const chart of Object.values(all)) chart.draw(columns);
      const rates = Object.entries(board.edges).map(([name, edge]) => `${name} ${number(Math.round(edge.received_per_second ?? 0))}`);
      all.requests.label(rates.join(', ') || '–');
      all.orders.label(number(Math.round(board.orders.per_second ?? 0)));
      all.queue.label(`${t('board.depth')} ${number(board.queue.depth ?? 0)}, ${t('board.age')} ${number(Math.round((board.queue.age_ms ?? 0) / 1000))} s`);
    },
    stop() {
      clearTimeout(timer);
      for (const chart of Object.values(all)) chart.plot?.destroy();
    },
  };
}
