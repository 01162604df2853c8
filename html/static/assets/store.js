// What the pages keep in the browser, so that a reload continues where it was.
// Browsers may refuse storage; then it lasts as long as the page.

/** The name under which this browser's purchases are kept (basket.js). */
export const BASKET = 'seckill:basket';

/** What could not be stored; it is newer than what is. */
const memory = new Map();

export function load(name) {
  if (memory.has(name)) return memory.get(name);
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}

export function save(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
    memory.delete(name);
  } catch {
    // Full or forbidden.
    memory.set(name, value);
  }
}

/** Calls `tell(value)` when another tab of this browser saves `name`. */
export function onSavedElsewhere(name, tell) {
  window.addEventListener('storage', (event) => {
    if (event.key !== name) return;
    memory.delete(name);
    tell(load(name));
  });
}

/** A request id nobody else has. randomUUID exists only on https and localhost. */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}
