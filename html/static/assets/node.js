// Making elements. Text never becomes markup.

/** An element with attributes and children; what is null is left out. */
export function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((it) => it !== null && it !== undefined));
  return made;
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

/** The picture of a product of which only the id is known. */
export const art = (product) =>
  node('div', { class: 'art', 'data-art': product }, drawing('bag', 'art-bag'), drawing('box', 'art-box'));
