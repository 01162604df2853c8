// The products of a round: one card each, thirty at a time.

import { el, fill, refill } from '../dom.js';
import { currency, t } from '../i18n.js';
import { emptyProduct } from './draft.js';
import { field } from './fields.js';
import { pictureField } from './picture.js';

const AT_ONCE = 30;

export function productCards({ draft, isLocked, isFixed, changed, look, looked, add }) {
  const box = el('section.products');
  const cards = el('div');
  let from = 0;

  function moved(to) {
    from = Math.min(from, Math.max(0, draft.products.length - 1));
    from -= from % AT_ONCE;
    if (to !== undefined) from = to - (to % AT_ONCE);
    show();
    changed('products');
  }

  function swap(at, to) {
    if (to < 0 || to >= draft.products.length || isLocked) return;
    [draft.products[at], draft.products[to]] = [draft.products[to], draft.products[at]];
    moved(to);
    cards.querySelector(`[data-at="${to}"] input`)?.focus();
    look(to);
  }

  function card(product, at) {
    const put = (name) => (value) => {
      product[name] = value;
      changed(`products.${at}.${API[name]}`);
    };
    const input = (name, more = {}) => el('input', { value: product[name], autocomplete: 'off', ...more, disabled: isLocked || more.disabled, oninput: (event) => put(name)(event.target.value) });
    // What is money says in what.
    const label = (words) => `${t(`product.${words}`)}${['price', 'list'].includes(words) ? ` (${currency.sign.trim()})` : ''}`;
    const one = (name, words, wide, input, hint, body) => field({ name: `products.${at}.${API[name]}`, label: label(words), wide, input, body, hint: hint && t(hint) });
    const picture = pictureField({
      name: `products.${at}.picture`, value: product.picture, alts: product.alts, disabled: isLocked,
      change: (names, alts) => {
        product.alts = alts;
        changed(`products.${at}.picture_alt`);
        put('picture')(names);
      },
    });
    const tool = (words, sign, act, off) => el('button.button.is-small', { type: 'button', title: t(`product.${words}`), 'aria-label': `${t(`product.${words}`)}: ${t('product.n', { n: at + 1 })}`, disabled: off, onclick: act }, sign);
    return el('fieldset.card.product', {
      'data-at': at,
      onfocusin: () => {
        if (looked() !== at) look(at);
      },
      onkeydown: (event) => {
        if (!event.altKey || !['ArrowUp', 'ArrowDown'].includes(event.key)) return;
        event.preventDefault();
        swap(at, at + (event.key === 'ArrowUp' ? -1 : 1));
      },
    },
    el('div.row.product-head', {}, el('h3', {}, t('product.n', { n: at + 1 })),
      product.page ? el('a.small', { href: shopLink(product.page, document.documentElement.dataset, location), target: '_blank', rel: 'noreferrer' }, t('act.view')) : null,
      el('span.grow'),
      tool('up', '↑', () => swap(at, at - 1), isLocked || at === 0),
      tool('down', '↓', () => swap(at, at + 1), isLocked || at + 1 === draft.products.length),
      isLocked || isFixed ? null : tool('copy', t('product.copy'), () => {
        add({ ...structuredClone(product), id: '', page: undefined }, at + 1);
        moved(at + 1);
      }),
      isLocked || isFixed ? null : tool('remove', t('product.remove'), () => {
        draft.products.splice(at, 1);
        moved();
      })),
    el('div.fields', {},
      one('id', 'id', 'w4', input('id', { spellcheck: 'false', disabled: isFixed })),
      one('title', 'title', 'w8', input('title', { maxlength: 200, dir: 'auto' })),
      one('price', 'price', 'w3', input('price', { inputmode: 'decimal' })),
      one('list', 'list', 'w3', input('list', { inputmode: 'decimal', disabled: isFixed })),
      one('amount', 'amount', 'w3', input('amount', { inputmode: 'numeric' })),
      one('cap', 'cap', 'w3', input('cap', { inputmode: 'numeric', disabled: isFixed })),
      one('text', 'text', 'w12', el('textarea', { rows: 4, dir: 'auto', value: product.text, maxlength: 8000, disabled: isLocked, oninput: (event) => put('text')(event.target.value) }), 'product.text.hint'),
      one('picture', 'picture', 'w12', picture.input, 'product.picture.hint', picture.node)));
  }

  function show() {
    const { products } = draft;
    const to = Math.min(from + AT_ONCE, products.length);
    const page = (words, where, off) => el('button.button.is-small', {
      type: 'button', disabled: off,
      onclick: () => {
        from = where;
        show();
      },
    }, t(`product.${words}`));
    refill(cards, products.slice(from, to).map((product, at) => card(product, from + at)),
      products.length > AT_ONCE ? el('div.row.pager', {}, page('prev', from - AT_ONCE, from === 0), el('span.soft', {}, t('product.range', { from: from + 1, to, n: products.length })), page('next', from + AT_ONCE, to >= products.length)) : null);
  }

  fill(box, el('h2', {}, t('round.products')), el('p.mistake', { 'data-mistake': 'products' }), cards,
    isLocked || isFixed ? null : el('button.button', {
      type: 'button',
      onclick: () => {
        add(emptyProduct());
        moved(draft.products.length - 1);
        cards.querySelector(`[data-at="${draft.products.length - 1}"] input`)?.focus();
      },
    }, '+ ', t('product.add')));
  show();
  return box;
}

/** The fields' names in the API. */
const API = { id: 'id', title: 'title', amount: 'amount', price: 'price_cents', list: 'list_price_cents', cap: 'per_buyer', text: 'text', picture: 'picture' };

/** The shop's page: at the shop's address, or on the shop's port of this host. Pure. */
export function shopLink(path, { shopUrl, shopPort }, { protocol, hostname }) {
  if (shopUrl) return shopUrl.replace(/\/+$/, '') + path;
  return shopPort ? `${protocol}//${hostname}:${shopPort}${path}` : path;
}
