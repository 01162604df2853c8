// Formats times and amounts for shoppers. Pure: no clock, no page.

const pad = (n) => String(n).padStart(2, '0');

/**
 * Three boxes for `ms` left: hours, minutes, seconds; in the last minute
 * minutes, seconds, tenths. Rounded up, so that zero is shown only at zero.
 */
export function countdown(ms) {
  if (ms <= 60_000) {
    const tenths = Math.ceil(Math.max(0, ms) / 100);
    const seconds = Math.floor(tenths / 10);
    return {
      days: 0,
      boxes: [pad(Math.floor(seconds / 60)), pad(seconds % 60), String(tenths % 10)],
      last: true,
    };
  }
  const seconds = Math.ceil(ms / 1000);
  const days = Math.floor(seconds / 86_400);
  return {
    days,
    boxes: [pad(Math.floor(seconds / 3600) % 24), pad(Math.floor(seconds / 60) % 60), pad(seconds % 60)],
    last: false,
  };
}

/**
 * What is left of `ms`, for one line: 9:59; from an hour on 1:00:00; from a day on with the
 * days, named by `t`. Rounded up.
 */
export function remaining(ms, t) {
  const seconds = Math.ceil(Math.max(0, ms) / 1000);
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600) % 24, Math.floor(seconds / 60) % 60];
  const rest = pad(seconds % 60);
  if (days) return `${t('left.days', { days })} ${hours}:${pad(minutes)}:${rest}`;
  return hours ? `${hours}:${pad(minutes)}:${rest}` : `${minutes}:${rest}`;
}

// How the shop's currency is written, as the page's root says.
const { sign: given, digits = '2' } = globalThis.document?.documentElement.dataset ?? {};
/** What stands before an amount. */
export const sign = given ?? '¥';

/** 99900 cents → "999.00", 99900 yen → "99900": amounts are in the currency's smallest unit. */
export function price(minor, places = Number(digits)) {
  return (minor / 10 ** places).toFixed(places);
}

/** The same behind the currency's sign. */
export const money = (minor) => `${sign}${price(minor)}`;

/** An amount within a sentence: behind Arabic letters its sign would change sides. */
export const isolated = (amount) => `\u2066${amount}\u2069`;

/** Percent taken off the list price, rounded down so that the page never promises too much. */
export function percentOff(cents, listCents) {
  return listCents > cents ? Math.floor(((listCents - cents) * 100) / listCents) : 0;
}

export function count(n, lang) {
  return new Intl.NumberFormat(lang).format(n);
}

const SHAPES = {
  minute: { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  second: { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
  day: { month: 'short', day: 'numeric' },
  fullDay: { year: 'numeric', month: 'short', day: 'numeric' },
  longDay: { month: 'long', day: 'numeric', weekday: 'long' },
};
// Making a formatter costs a phone more than the rest of a redrawn page.
const made = new Map();

function formatted(ms, lang, shape) {
  const key = `${lang} ${shape}`;
  if (!made.has(key)) made.set(key, new Intl.DateTimeFormat(lang, SHAPES[shape]));
  return made.get(key).format(ms);
}

/**
 * Wall-clock time of an edge instant in the shopper's own zone. A moment that is not a
 * whole minute is shown with its seconds: 23:39:58 is not 23:39.
 */
export const timeOfDay = (ms, lang, withSeconds = false) =>
  formatted(ms, lang, withSeconds || ms % 60_000 >= 1_000 ? 'second' : 'minute');

export function dayAndTime(ms, now, lang) {
  if (isoDay(ms) === isoDay(now)) return timeOfDay(ms, lang);
  return `${formatted(ms, lang, 'day')} ${timeOfDay(ms, lang)}`;
}

/** With the year, for what is kept. */
export const dateAndTime = (ms, lang) => `${formatted(ms, lang, 'fullDay')} ${timeOfDay(ms, lang)}`;

/** From when to when: with their days unless both are today, and with both days across midnight. */
export function span(from, to, now, lang) {
  const until = isoDay(from) === isoDay(to) ? timeOfDay(to, lang) : `${formatted(to, lang, 'day')} ${timeOfDay(to, lang)}`;
  const since = isoDay(from) === isoDay(to) && isoDay(from) === isoDay(now) ? timeOfDay(from, lang) : `${formatted(from, lang, 'day')} ${timeOfDay(from, lang)}`;
  return `${since} – ${until}`;
}

/** The day of a moment as people say it: yesterday, today, tomorrow, else its date. */
export function nearDay(ms, now, lang) {
  const midnight = (moment) => new Date(moment).setHours(0, 0, 0, 0);
  // A day may have 23 or 25 hours.
  const days = Math.round((midnight(ms) - midnight(now)) / 86_400_000);
  if (Math.abs(days) > 1) return formatted(ms, lang, 'day');
  const said = new Intl.RelativeTimeFormat(lang, { numeric: 'auto' }).format(days, 'day');
  return said.charAt(0).toLocaleUpperCase(lang) + said.slice(1);
}

export const longDay = (ms, lang) => formatted(ms, lang, 'longDay');

/** YYYY-MM-DD in the shopper's own zone. */
export function isoDay(ms) {
  const day = new Date(ms);
  return `${day.getFullYear()}-${pad(day.getMonth() + 1)}-${pad(day.getDate())}`;
}
