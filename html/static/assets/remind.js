// Reminders of an opening: a calendar file, or a notification of the browser a minute
// before, as long as a page of the shop is open. Kept in the browser only.

import { load, save } from './store.js';

const REMINDERS = 'seckill:reminders';
/** A reminder comes this long before the opening, in ms. */
export const LEAD_MS = 60_000;

/** The reminders that are still to come, by round. Pure. */
export function upcomingReminders(all, now) {
  return Object.fromEntries(Object.entries(all ?? {}).filter(([, it]) => it.at > now));
}

/** Those whose time has come and that were not given yet. Pure. */
export function dueReminders(all, now) {
  return Object.entries(all ?? {}).filter(([, it]) => !it.given && now >= it.at - LEAD_MS && now < it.at);
}

export const hasReminder = (round) => Boolean(load(REMINDERS)?.[round]);

export function keepReminder(round, reminder, now) {
  save(REMINDERS, { ...upcomingReminders(load(REMINDERS), now), [round]: reminder });
}

export function dropReminder(round) {
  const all = { ...load(REMINDERS) };
  delete all[round];
  save(REMINDERS, all);
}

/** The reminders with the starts that these rounds have by now; null if none of them moved. Pure. */
export function movedReminders(all, starts) {
  const moved = Object.entries(all ?? {}).filter(([round, it]) => round in starts && starts[round] !== it.at);
  if (!moved.length) return null;
  return { ...all, ...Object.fromEntries(moved.map(([round, it]) => [round, { ...it, at: starts[round], given: false }])) };
}

/** Follows starts that an edit moved: `starts` by round. */
export function moveReminders(starts) {
  const moved = movedReminders(load(REMINDERS), starts);
  if (moved) save(REMINDERS, moved);
}

export const moveReminder = (round, at) => moveReminders({ [round]: at });
export const hasReminders = (now) => Object.keys(upcomingReminders(load(REMINDERS), now)).length > 0;

/** Gives the reminders that are due, each once; `say(reminder)` shows one. */
export function giveReminders(now, say) {
  const all = load(REMINDERS);
  const ready = dueReminders(all, now);
  if (!ready.length) return;
  save(REMINDERS, { ...all, ...Object.fromEntries(ready.map(([round, it]) => [round, { ...it, given: true }])) });
  for (const [, it] of ready) {
    say(it);
    if (globalThis.Notification?.permission === 'granted') {
      try {
        new Notification(it.title, { body: it.text, icon: '/icon-192.png', tag: `seckill-${it.at}` });
      } catch {
        // Some phones allow it to service workers only: the page says it itself.
      }
    }
  }
}

/** Asks for the permission to notify; resolves to whether there is one. */
export async function mayNotify() {
  if (!globalThis.Notification) return false;
  return (Notification.permission === 'default' ? await Notification.requestPermission() : Notification.permission) === 'granted';
}

const icsTime = (ms) => new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
const icsText = (text) => text.replace(/[\\;,]/g, (c) => `\\${c}`).replace(/\n/g, '\\n');
/** RFC 5545 has lines of at most 75 octets; longer ones go on after a line break and a space. */
function icsLine(line) {
  const out = [];
  let rest = line;
  let size = 0;
  let part = '';
  for (const c of rest) {
    const bytes = new TextEncoder().encode(c).length;
    if (size + bytes > 73) {
      out.push(part);
      [part, size] = ['', 0];
    }
    part += c;
    size += bytes;
  }
  rest = [...out, part].join('\r\n ');
  return rest;
}

/** A calendar file (RFC 5545) with an alarm five minutes before. Pure. */
export function calendar({ id, title, url, from, to, now }) {
  return [
    'BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//seckill//shop//EN', 'BEGIN:VEVENT',
    `UID:${id}`, `DTSTAMP:${icsTime(now)}`, `DTSTART:${icsTime(from)}`, `DTEND:${icsTime(to)}`,
    `SUMMARY:${icsText(title)}`, `URL:${url}`, 'BEGIN:VALARM', 'ACTION:DISPLAY', `DESCRIPTION:${icsText(title)}`, 'TRIGGER:-PT5M', 'END:VALARM',
    'END:VEVENT', 'END:VCALENDAR', '',
  ].map(icsLine).join('\r\n');
}
