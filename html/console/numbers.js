// Whole numbers in fields, checked before they are sent: the server's own words for a
// fraction are those of its JSON parser. And shares, as they are shown.

import { number, t } from './i18n.js';

/** The whole number that was typed, from `min` to `max`; null for anything else. Pure. */
export function wholeIn(text, min, max) {
  const value = text.trim() === '' ? NaN : Number(text);
  return Number.isInteger(value) && value >= min && value <= max ? value : null;
}

/** The number in a field with `min` and `max`; null for none that fits, which `note` says beside it. */
export function readWhole(input, note) {
  const [min, max] = [Number(input.min), Number(input.max)];
  const value = wholeIn(input.value, min, max);
  note.textContent = value === null ? t('number.range', { min: number(min), max: number(max) }) : '';
  input.setAttribute('aria-invalid', String(value === null));
  if (value === null) input.focus();
  return value;
}

/** A share in percent, rounded down, so that 100 % says that nothing is left. Pure. */
export function percentDown(share, digits = 0) {
  const unit = 10 ** digits;
  // 0.29 * 100 is a little less than 29.
  return `${(Math.floor(share * 100 * unit + 1e-9) / unit).toFixed(digits)}%`;
}
