// What operators say to everybody who waits: a small file, the same for all, shown as text.

import { getAnnouncement } from './api.js';

const EVERY_MS = 5_000;

/** What is to be shown of the file: its text until its time; null for nothing. Pure. */
export function saidAt(file, now) {
  if (typeof file?.text !== 'string' || !file.text) return null;
  return now !== null && now >= file.until_ms ? null : file.text;
}

/**
 * Says in `node` what the file says while `wants()`, and follows it while `reads()` too;
 * `now()` is the shop's time.
 */
export function followAnnouncement(node, { now, reads, wants }) {
  let file = null;
  const show = () => {
    const text = wants() ? saidAt(file, now()) : null;
    node.hidden = text === null;
    if (node.textContent !== (text ?? '')) node.textContent = text ?? '';
  };
  async function read() {
    if (wants() && reads()) file = (await getAnnouncement()).data ?? file;
    show();
    // Not all at the same moment.
    setTimeout(read, EVERY_MS * (0.8 + 0.4 * Math.random()));
  }
  setInterval(show, 1_000);
  read();
}
