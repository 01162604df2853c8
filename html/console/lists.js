// Reading what a page lists: the newest of several reads counts, and one that is refused
// says so where its rows would be.

import { ApiError } from './api.js';
import { el, fill, toast } from './dom.js';
import { said, t } from './i18n.js';

/** What stands in place of something that could not be read; `again` reads it once more. */
const unread = (error, again) => el('div.empty', { role: 'alert' },
  el('h2', {}, t('list.failed')), el('p', {}, said(error)), el('button.button', { type: 'button', 'data-act': 'again', onclick: again }, t('retry')));

/**
 * The reads of a list in `box`: `read(request, show)` shows what `request()` returns, unless
 * another filter was chosen before it came. With `isMore` it is shown below what is there,
 * and not requested while that is about to be replaced.
 */
export function listIn(box) {
  let newest = 0;
  let busy = false;
  return async function read(request, show, isMore = false) {
    if (isMore && busy) return;
    const mine = (newest += 1);
    busy = true;
    try {
      const found = await request();
      if (mine === newest) show(found);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (mine !== newest) return;
      if (isMore) toast(said(error), 'bad');
      else fill(box, unread(error, () => read(request, show)));
    } finally {
      if (mine === newest) busy = false;
    }
  };
}

/** Fills `box`, a <details>, with what `read()` returns when it is opened for the first time. */
export function whenOpened(box, read) {
  let isRead = false;
  async function show() {
    const summary = box.firstChild;
    try {
      fill(box, summary, await read());
      isRead = true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      fill(box, summary, unread(error, show));
    }
  }
  box.addEventListener('toggle', () => box.open && !isRead && show());
}
