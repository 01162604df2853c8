// Products by round, each with its three stocks as one bar. Rows are kept and
// changed in place, so that two hundred of them cost only what changed.

import { el, fill, put } from '../dom.js';
import { number, span, t } from '../i18n.js';
import { percentDown } from '../numbers.js';
import { stopButton } from '../rounds/stops.js';
import { grouped, parts, shownState } from './patch.js';

/** From this many products on there is a search field. */
const MANY = 8;
/** A round shows this many products until somebody unfolds it; a search covers all. */
const FOLDED = 24;
const PARTS = ['saled', 'locked', 'moving', 'sale'];
const TONES = { open: 'good', scheduled: 'info', ended: '', paused: 'warn', withdrawn: 'bad' };

const percent = (share) => percentDown(share, share > 0 && share < 0.1 ? 1 : 0);

/** Says the state of a round, or of a product in it, in its colour. */
function showState(chip, state) {
  put(chip, state === null ? '' : t(`board.round.${state}`));
  const tone = TONES[state] ?? '';
  if (chip.dataset.tone !== tone) chip.dataset.tone = tone;
  if (chip.hidden !== (state === null)) chip.hidden = state === null;
}

/**
 * Pause, or Resume, of a round or a product: what stops a sale within a second is one click
 * and a reason away. What is over has neither.
 */
class Switch {
  constructor(me) {
    this.of = null;
    const button = (step) => stopButton(() => this.of, step, me);
    this.steps = { pause: button('pause'), resume: button('resume') };
    this.node = el('span.switch', {}, Object.values(this.steps));
  }

  /** `step` is what can be done now, or null. */
  show(of, step) {
    this.of = of;
    for (const [name, node] of Object.entries(this.steps)) {
      if (node.hidden !== (name !== step)) node.hidden = name !== step;
    }
  }
}

class Row {
  constructor(key, me) {
    this.title = el('b', { dir: 'auto' });
    this.id = el('span.soft.small');
    this.state = el('span.chip', { hidden: true });
    this.share = el('span.num.share');
    this.bars = Object.fromEntries(PARTS.map((name) => [name, el('i', { 'data-part': name })]));
    this.bar = el('div.stock-bar', { role: 'img' }, Object.values(this.bars));
    this.numbers = Object.fromEntries(['sale', 'locked', 'saled'].map((name) => [name, el('b.num')]));
    this.legend = el('dl.legend', {}, Object.entries(this.numbers).map(([name, n]) =>
      el('div', { 'data-part': name }, el('dt', {}, t(`board.${name}`)), el('dd', {}, n))));
    this.permits = el('span.num');
    this.orders = el('span.num');
    this.note = el('span.lack');
    this.switch = new Switch(me);
    const adjust = el('a', { href: `#/stock/${key.replace('::', '/')}` }, t('board.adjust'));
    this.node = el('li.shelf-item', { 'data-product': key },
      el('div.shelf-head', {}, el('span', {}, this.title, ' ', this.id, ' ', this.state), this.share),
      this.bar, this.legend,
      el('div.shelf-foot.small.soft', {}, this.permits, this.orders, this.note, adjust, this.switch.node));
    this.shown = null;
    this.of = null;
  }

  /** `of` is the state of its round; a product says its own where it differs. */
  show(product, of) {
    if (this.shown === product.same && this.of === of) return;
    this.shown = product.same;
    this.of = of;
    const { limit, permits, ordered, cancelled, in_transit: moving = 0 } = product;
    const sold = product.locked + product.saled;
    put(this.title, product.title);
    put(this.id, `${product.round}::${product.product}`);
    showState(this.state, product.stop && product.stop !== of ? product.stop : null);
    put(this.share, t('board.percent', { percent: percent(limit > 0 ? sold / limit : 0) }));
    const widths = parts(product);
    for (const name of PARTS) this.bars[name].style.width = `${widths[name]}%`;
    for (const [name, node] of Object.entries(this.numbers)) put(node, number(product[name]));
    this.bar.setAttribute('aria-label', Object.keys(this.numbers).map((name) => `${t(`board.${name}`)} ${number(product[name])}`).join(', '));
    put(this.permits, t('board.permits', { n: number(permits), limit: number(limit) }));
    const facts = [];
    if (ordered !== undefined) facts.push(t('board.ordered.n', { n: number(ordered) }));
    if (cancelled) facts.push(t('board.cancelled.n', { n: number(cancelled) }));
    if (moving) facts.push(`${t('board.moving')} ${number(moving)}`);
    put(this.orders, facts.join(' · '));
    put(this.note, product.missing ? t('board.missing') : '');
    const isOn = of === 'open' || of === 'scheduled';
    const step = !isOn ? null : { undefined: 'pause', null: 'pause', paused: 'resume' }[product.stop] ?? null;
    this.switch.show({ round: product.round, product: product.product, name: product.title }, step);
  }
}

class Group {
  /** `again` draws once more, when more is wanted; `me` is who is logged in. */
  constructor(roundId, round, { again, me }) {
    this.name = el('bdi.board-name');
    this.state = el('span.chip');
    this.when = el('span.soft.small.num');
    this.list = el('ul.shelf');
    this.isWhole = false;
    this.more = el('button.button.is-plain', {
      type: 'button',
      onclick: () => {
        this.isWhole = true;
        again();
      },
    });
    this.roundId = roundId;
    this.switch = new Switch(me);
    // Rounds that are over are folded away until somebody wants them.
    const id = encodeURIComponent(roundId);
    const links = el('div.board-links.small', {}, el('a', { href: `#/rounds/${id}` }, t('board.manage')), ' ', el('a', { href: `#/report/${id}` }, t('board.report')), this.switch.node);
    this.node = el('details.board-round', { open: !['ended', 'withdrawn'].includes(shownState(round)) },
      el('summary', {}, this.name, ' ', this.state, ' ', this.when), links, this.list, this.more);
  }

  show({ round, products }, rows, isWhole) {
    put(this.name, round.name);
    const state = shownState(round);
    showState(this.state, state);
    this.switch.show({ round: this.roundId, product: null, name: round.name }, { open: 'pause', scheduled: 'pause', paused: 'resume' }[state] ?? null);
    put(this.when, `${span(round.starts_ms, round.ends_ms)} · ${t('board.round.n', { n: number(products.length) })}`);
    const shown = isWhole || this.isWhole ? products : products.slice(0, FOLDED);
    const isAll = shown.length === products.length;
    if (this.more.hidden !== isAll) this.more.hidden = isAll;
    if (!isAll) put(this.more, t('board.all', { n: number(products.length) }));
    const wanted = shown.map((product) => rows(product, state));
    const same = wanted.length === this.list.children.length && wanted.every((node, at) => node === this.list.children[at]);
    if (!same) fill(this.list, wanted);
  }
}

/** `me` is who is logged in. */
export function products(me) {
  const rows = new Map();
  const groups = new Map();
  const search = el('input', { type: 'search', 'aria-label': t('board.search'), placeholder: t('board.search') });
  const sort = el('select', { 'aria-label': t('board.sort') },
    ['position', 'left', 'sold'].map((by) => el('option', { value: by }, t(`board.sort.${by}`))));
  const tools = el('div.row.tools', { hidden: true }, search, sort);
  const body = el('div.board-rounds');
  const node = el('section.shelves', {}, el('div.head', {}, el('h2', {}, t('board.products')), tools), body);
  let board = null;
  search.addEventListener('input', () => board && show());
  sort.addEventListener('change', () => board && show());

  function row(product, of) {
    if (!rows.has(product.key)) rows.set(product.key, new Row(product.key, me));
    rows.get(product.key).show(product, of);
    return rows.get(product.key).node;
  }

  function show() {
    const count = Object.keys(board.products).length;
    tools.hidden = count < MANY;
    const text = tools.hidden ? '' : search.value;
    const all = grouped(board.rounds, board.products, { text, by: sort.value });
    for (const group of all) {
      if (!groups.has(group.id)) groups.set(group.id, new Group(group.id, group.round, { again: show, me }));
      groups.get(group.id).show(group, row, text.trim() !== '');
    }
    const wanted = all.map((group) => groups.get(group.id).node);
    if (!wanted.length) {
      fill(body, el('div.card.empty', {}, el('h2', {}, t(count ? 'board.nothing' : 'board.none')), count ? null : el('p', {}, t('board.none.do'))));
    } else if (wanted.length !== body.children.length || wanted.some((it, at) => it !== body.children[at])) {
      fill(body, wanted);
    }
  }

  return {
    node,
    show(now) {
      board = now;
      show();
    },
  };
}
