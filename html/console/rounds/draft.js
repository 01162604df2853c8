// A round as it stands in the editor's fields (all texts, as typed), and as the API
// takes it. Unsaved changes are kept in the tab until they are saved or discarded, for
// the account that made them.

import { account } from '../api.js';
import { currency, shopZone } from '../i18n.js';

const NAME = (id) => `seckill:console:draft:${account()}:${id ?? 'new'}`;

export const emptyProduct = () => ({ id: '', title: '', amount: '', price: '', list: '', cap: '1', text: '', picture: '', alts: [] });

/** A new round: tomorrow at noon, for an hour. */
export function fresh() {
  const tomorrow = wallClock(Date.now() + 86_400_000).slice(0, 10);
  return { version: null, id: '', name: '', starts: `${tomorrow}T12:00:00`, ends: `${tomorrow}T13:00:00`, days: '1', products: [emptyProduct()] };
}

/** The fields of a stored round. The fields of times show whole seconds; the moments stay beside them. */
export function fromRound(round) {
  const { starts_ms, ends_ms } = round;
  return {
    version: round.version, id: round.id, name: round.name, starts: wallClock(starts_ms), starts_ms, ends: wallClock(ends_ms), ends_ms, days: '1',
    products: round.products.map((it) => ({
      id: it.id, title: it.title, amount: String(it.amount), price: typed(it.price_cents), list: typed(it.list_price_cents),
      cap: String(it.per_buyer), text: it.text, picture: it.picture, alts: it.picture_alt, segments: it.segments, page: it.page,
    })),
  };
}

/** What the API takes. What is no number goes as it was typed, for the server to name. */
export function toForm(draft, isNew) {
  const form = {
    name: draft.name, starts_ms: moment(draft.starts, draft.starts_ms), ends_ms: moment(draft.ends, draft.ends_ms),
    products: draft.products.map((it) => ({
      id: it.id.trim(), title: it.title, amount: whole(it.amount), price_cents: cents(it.price),
      ...(it.list.trim() ? { list_price_cents: cents(it.list) } : {}), ...(it.cap.trim() ? { per_buyer: whole(it.cap) } : {}),
      ...(it.segments?.length ? { segments: it.segments } : {}), text: it.text, picture: it.picture.trim(), picture_alt: it.alts ?? [],
    })),
  };
  if (!isNew) return { ...form, version: draft.version };
  if (draft.id.trim()) form.id = draft.id.trim();
  if (draft.days.trim() !== '1') form.days = whole(draft.days);
  return form;
}

/** A time that shows what is stored is the stored one, to the millisecond. */
const moment = (text, stored) => (stored !== undefined && text === wallClock(stored) ? stored : epoch(text));

const typed = (value) => (value / 10 ** currency.digits).toFixed(currency.digits);

/** An amount as typed, in the currency's smallest unit; what is none stays as it is. */
export function cents(text) {
  const { sign, digits } = currency;
  const plain = text.trim().replace(sign.trim(), '').replaceAll(',', '').trim();
  if (!plain) return null;
  const found = /^(-?)(\d{1,12})(?:\.(\d+))?$/.exec(plain);
  if (!found || (found[3] ?? '').length > digits) return text.trim();
  return Number(`${found[1]}${found[2]}${(found[3] ?? '').padEnd(digits, '0')}`);
}

export function whole(text) {
  const plain = text.trim().replaceAll(',', '');
  if (!plain) return null;
  return /^-?\d{1,15}$/.test(plain) ? Number(plain) : text.trim();
}

/** `2026-11-23T12:00:00` on the shop's clock. */
export function wallClock(ms) {
  const parts = Object.fromEntries(new Intl.DateTimeFormat('en', {
    timeZone: shopZone(), year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
  }).formatToParts(new Date(ms)).map((part) => [part.type, part.value]));
  return `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}:${parts.second}`;
}

/** The moment at which the shop's clock shows this; null for none. */
export function epoch(text) {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/.test(text)) return text.trim() || null;
  const asUtc = Date.parse(`${text.length === 16 ? `${text}:00` : text}Z`);
  if (Number.isNaN(asUtc)) return text;
  // Twice, since the offset may change between the guess and the moment.
  let ms = asUtc;
  for (let i = 0; i < 2; i += 1) ms += asUtc - Date.parse(`${wallClock(ms)}Z`);
  return ms;
}

/** Keeps what is typed. */
export function keep(id, draft) {
  try {
    sessionStorage.setItem(NAME(id), JSON.stringify(draft));
  } catch {
    // A full or forbidden store: the page itself still has it.
  }
}

export function kept(id) {
  try {
    return JSON.parse(sessionStorage.getItem(NAME(id)));
  } catch {
    return null;
  }
}

export function forget(id) {
  try {
    sessionStorage.removeItem(NAME(id));
  } catch {
    // Nothing was kept.
  }
}
