// The live board: alerts, numbers, charts, funnel, and every product's stock.

import { el, fill, put } from './dom.js';
import { money, number, shopZone, lang, t } from './i18n.js';
import { percentDown } from './numbers.js';
import { alerts } from './board/alerts.js';
import { announcement } from './board/announcement.js';
import { business, duration } from './board/business.js';
import { charts } from './board/charts.js';
import { follow } from './board/feed.js';
import { funnel } from './board/funnel.js';
import { Columns, livingEdges } from './board/patch.js';
import { products } from './board/products.js';
import './board/words.js';

const STYLES = ['/console/vendor/uplot/uPlot.min.css', '/console/board.css'];

/** Styles that only this page needs, loaded before it is shown. */
const style = (href) => new Promise((done) => {
  document.head.append(el('link', { rel: 'stylesheet', href, onload: done, onerror: done }));
});
let styled = null;

const clock = (ms) => new Intl.DateTimeFormat(lang(), {
  timeZone: shopZone(), hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
}).format(new Date(ms));

const seconds = (ms) => number(Math.max(0, Math.round(ms / 1000)));
const sum = (all, of) => {
  const known = Object.values(all).map(of).filter((n) => n !== undefined);
  return known.length ? known.reduce((a, b) => a + b, 0) : null;
};

/** For each tile, its number and the line below it, read from a board. */
const TILES = {
  received: (it) => [sum(it.edges, (edge) => edge.received_per_second), t('board.tile.edges', { n: number(livingEdges(it)) })],
  admitted: (it) => [sum(it.edges, (edge) => edge.admitted_per_second)],
  orders: (it) => [it.orders.per_second ?? null],
  depth: (it) => [it.queue.depth ?? null, it.queue.age_ms !== undefined
    ? t('board.tile.age', { s: seconds(it.queue.age_ms) })
    : it.queue.depth === undefined ? t('board.tile.outside') : ''],
  outbox: (it) => [it.queue.outbox, it.queue.oldest_ms ? t('board.tile.oldest', { s: seconds(it.at_ms - it.queue.oldest_ms) }) : ''],
  letters: (it) => [it.queue.dead_letters, it.queue.delayed ? t('board.tile.delayed', { n: number(it.queue.delayed) }) : ''],
  refunds: (it) => [it.orders.refunds_due],
  bans: (it) => [it.bans],
  unique: (it) => [it.visitors.unique ?? null],
  participants: (it) => [it.visitors.participants ?? null],
};
const LINKS = { letters: '#/dead-letters', refunds: '#/refunds', bans: '#/bans' };
/** These are worth a tile only once they are known. */
const OPTIONAL = new Set(['unique', 'participants']);

/** The business tiles, above the technical ones. */
const BUSINESS = {
  revenue: ({ revenue }) => (revenue === null ? '–' : money(revenue)),
  awaiting: ({ awaiting }) => (awaiting === null ? '–' : money(awaiting)),
  sold: ({ sold }) => (sold === null ? '–' : percentDown(sold)),
  out: ({ out_s: seconds }) => (seconds === null ? '–' : seconds === 0 ? t('board.out.now') : duration(seconds, t)),
};

function businessTiles() {
  const made = Object.keys(BUSINESS).map((name) => {
    const value = el('b.num');
    return { name, value, node: el('div.card.tile.is-business', { 'data-tile': name }, el('span.tile-name', {}, t(`board.${name}`)), value) };
  });
  return {
    node: el('div.tiles', {}, made.map((tile) => tile.node)),
    show(board) {
      const numbers = business(board);
      for (const { name, value } of made) put(value, BUSINESS[name](numbers));
    },
  };
}

function tiles() {
  const made = Object.keys(TILES).map((name) => {
    const value = el('b.num');
    const below = el('span.soft.small');
    const label = el('span.tile-name', {}, t(`board.${name}`));
    const node = LINKS[name]
      ? el('a.card.tile', { href: LINKS[name], 'data-tile': name }, label, value, below)
      : el('div.card.tile', { 'data-tile': name }, label, value, below);
    return { name, value, below, node };
  });
  return {
    node: el('div.tiles', {}, made.map((tile) => tile.node)),
    show(board) {
      for (const { name, value, below, node } of made) {
        const [n, text = ''] = TILES[name](board);
        node.hidden = n === null && OPTIONAL.has(name);
        put(value, n === null ? '–' : number(Math.round(n * 10) / 10));
        put(below, text);
      }
    },
  };
}

function hot() {
  const list = el('ol.hot');
  const node = el('section.card', { hidden: true }, el('h2', {}, t('board.hot')), list);
  let shown = null;
  return {
    node,
    show({ visitors, products: all }) {
      if (visitors === shown) return;
      shown = visitors;
      const products = visitors.hot ?? [];
      node.hidden = !products.length;
      fill(list, products.map(([key, n]) => el('li', {}, el('span', { dir: 'auto' }, all[key]?.title ?? key), el('span.num.soft', {}, t('board.hot.clicks', { n: number(n) })))));
    },
  };
}

/** Simulated shoppers, begun and ended beside the numbers that they make. */
function simulation(given) {
  const box = el('div.simulation');
  let stop = null;
  let left = false;
  const node = el('details.board-round.simulated', {}, el('summary', {}, el('b', {}, t('board.simulation'))), box);
  node.addEventListener('toggle', async () => {
    if (!node.open || stop) return;
    const { show: showPage } = await import('./simulation.js');
    stop = (await showPage(box, given)) ?? (() => {});
    if (left) stop();
  });
  const leave = () => {
    left = true;
    stop?.();
  };
  return { node, stop: leave };
}

export async function show(root, given) {
  await (styled ??= Promise.all(STYLES.map(style)));
  // Left for another page meanwhile: nothing is followed.
  if (!root.isConnected) return null;
  const state = el('span.chip', { role: 'status', 'data-state': 'connecting' }, t('board.state.connecting'));
  const lost = el('p.banner', { role: 'alert', hidden: true });
  const parts = { alerts: alerts(), business: businessTiles(), tiles: tiles(), funnel: funnel(), hot: hot(), products: products(given.me) };
  const drawn = charts();
  const announced = announcement();
  const simulated = simulation(given);
  const body = el('div.board', { hidden: true },
    parts.alerts.node, parts.business.node, parts.tiles.node, drawn.node, announced.node, simulated.node ?? '',
    el('div.board-low', {}, el('div', {}, parts.funnel.node, parts.hot.node), parts.products.node));
  fill(root, el('div.head', {}, el('h1', {}, t('board.title')), state), lost, body);

  let board = null;
  let columns = null;
  let frame = 0;

  function draw() {
    frame = 0;
    if (!board) return;
    body.hidden = false;
    parts.alerts.show(board.alerts, board.products);
    parts.business.show(board);
    parts.tiles.show(board);
    parts.funnel.show(board.funnel);
    parts.hot.show(board);
    parts.products.show(board);
    drawn.draw(columns, board);
    if (state.dataset.state === 'live') state.textContent = t('board.state.live', { time: clock(board.at_ms) });
    root.dataset.at = board.at_ms;
  }
  const later = () => {
    frame ||= requestAnimationFrame(draw);
  };

  function showState(name) {
    if (state.dataset.state === name && name !== 'lost') return;
    state.dataset.state = name;
    state.dataset.tone = { live: 'good', lost: 'bad' }[name] ?? 'info';
    state.textContent = t(`board.state.${name}`, { time: board ? clock(board.at_ms) : '' });
    lost.hidden = name !== 'lost' || !board;
    body.classList.toggle('is-old', name === 'lost');
    if (board) lost.textContent = t('board.lost.do', { time: clock(board.at_ms) });
  }

  const leave = follow({
    onState: showState,
    onBoard(now, history) {
      board = now;
      if (history) columns = new Columns(history);
      else columns?.add(board);
      later();
    },
  });
  // Others announce, too.
  const again = setInterval(() => document.hidden || announced.read(), 10_000);
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  window.addEventListener('resize', later);
  scheme.addEventListener('change', later);
  return () => {
    document.title = t('title');
    clearInterval(again);
    leave();
    cancelAnimationFrame(frame);
    window.removeEventListener('resize', later);
    scheme.removeEventListener('change', later);
    drawn.stop();
    simulated.stop();
  };
}
