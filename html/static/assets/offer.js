// Brings an open product page up to date after an edit, from the page as it is published
// now. Loaded only when that differs from what was loaded.

const text = (root, selector) => root.querySelector(selector)?.textContent.trim() ?? '';
/** Pictures by their addresses and alternative texts; assets have other names in each version of the shop. */
const pictures = (root) => [...root.querySelectorAll('#product .photo')].map((it) => [it.getAttribute('src'), it.alt]);

/** What a page says of its product that a buyer decides by. */
function offerOf(root) {
  const { opens, ends, amount, perBuyer } = root.querySelector('#product').dataset;
  const listPrice = root.querySelector('.strip .list-price')?.lastChild.textContent.trim();
  return { title: text(root, 'h1'), price: text(root, '.strip .price'), listPrice, opens, ends, amount, perBuyer };
}

/**
 * Makes this page say what `html` says; what scripts fill in is left to them. Returns
 * null if `html` is no page of this product, else whether its offer is another.
 */
export function follow(html) {
  const fresh = new DOMParser().parseFromString(html, 'text/html');
  const [main, next] = [document, fresh].map((root) => root.querySelector('#product'));
  if (!next || ['round', 'product'].some((it) => main.dataset[it] !== next.dataset[it])) return null;
  const isOther = JSON.stringify(offerOf(document)) !== JSON.stringify(offerOf(fresh));
  for (const it of ['opens', 'ends', 'amount', 'perBuyer']) main.dataset[it] = next.dataset[it];
  if (isOther) {
    document.querySelector('title').dataset.title = fresh.querySelector('title').dataset.title;
    swap(fresh, 'h1');
    swap(fresh, '.strip .prices');
  }
  if (text(document, '.facts dd') !== text(fresh, '.facts dd')) swap(fresh, '.facts dd');
  if (JSON.stringify(pictures(document)) !== JSON.stringify(pictures(fresh))) swap(fresh, '#product > .art');
  else discount(fresh);
  about(fresh);
  return isOther;
}

function swap(fresh, selector) {
  document.querySelector(selector).replaceWith(document.importNode(fresh.querySelector(selector), true));
}

function discount(fresh) {
  const [old, next] = [document, fresh].map((root) => root.querySelector('.art > .off'));
  if (old?.dataset.percent === next?.dataset.percent) return;
  old?.remove();
  if (next) document.querySelector('#product > .art').append(document.importNode(next, true));
}

/** The operator's text, which may begin or cease to be. */
function about(fresh) {
  const [old, next] = [document, fresh].map((root) => root.querySelector('.about'));
  if (old?.innerHTML === next?.innerHTML) return;
  old?.remove();
  if (next) document.querySelector('.clock').before(document.importNode(next, true));
}
