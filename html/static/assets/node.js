// Making elements. Text never becomes markup.

/** An element with attributes and children; what is null is left out. A text that somebody wrote gets `dir: 'auto'`. */
export function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((it) => it !== null && it !== undefined));
  return made;
}

/**
 * Gives `box` these children. Those it has already stay where they are, so that whoever
 * types into one keeps the place, and an input method what it has not yet put in.
 */
export function replace(box, children) {
  for (const old of [...box.childNodes]) if (!children.includes(old)) old.remove();
  children.forEach((it, i) => {
    if (box.childNodes[i] !== it) box.insertBefore(it, box.childNodes[i] ?? null);
  });
}

/**
 * Draws anew, and leaves the focus where it was: on what has the same `data-focus` as
 * what had it before.
 */
export function keepFocus(draw) {
  const name = document.activeElement?.dataset.focus;
  draw();
  if (!name || document.activeElement?.dataset.focus === name) return;
  document.querySelector(`[data-focus="${CSS.escape(name)}"]`)?.focus({ preventScroll: true });
}

/** A drawing of art.svg. */
export function drawing(id, className) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `/assets/art.svg#${id}`);
  svg.setAttribute('class', className);
  svg.setAttribute('aria-hidden', 'true');
  svg.append(use);
  return svg;
}

/**
 * What stands for a product: its `picture`, as the documents name it, shown at `sizes`;
 * without one a drawing whose shape and colour the id picks. The title stands beside it,
 * so that it has no words of its own.
 */
export function art(product, picture = null, sizes = '72px') {
  const box = node('div', { class: 'art', 'data-art': product });
  if (!picture) {
    box.append(drawing('bag', 'art-bag'), drawing('box', 'art-box'));
    return box;
  }
  box.classList.add('has-photo');
  const { src, srcset, width, height } = picture;
  box.append(node('img', { class: 'photo', src, srcset, sizes, width, height, alt: '', loading: 'lazy', decoding: 'async' }));
  return box;
}
