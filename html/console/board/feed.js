// The stream of the board: one snapshot, then patches. A browser reconnects an
// event stream by itself; what it cannot recover from (a login that has expired, a
// server that responds in another way) is handled here.

import { api } from '../api.js';
import { patched } from './patch.js';

/** The server sends an event every ten seconds at least. */
const SILENT_MS = 15_000;
/** A hidden page stops watching after this time. */
const HIDDEN_MS = 60_000;
const RETRY_MS = 2_000;

/**
 * Calls `onBoard(board, history)` for every change, `history` with snapshots
 * only, and `onState('connecting' | 'live' | 'lost')`. Returns the function that ends it.
 */
export function follow({ onBoard, onState }) {
  let source = null;
  let board = null;
  let silence = 0;
  let hidden = 0;
  let retry = 0;
  let ended = false;

  function listen() {
    clearTimeout(silence);
    silence = setTimeout(restart, SILENT_MS);
  }

  function heard() {
    listen();
    onState('live');
  }

  function close() {
    source?.close();
    source = null;
    clearTimeout(silence);
    clearTimeout(retry);
  }

  function restart() {
    close();
    onState('lost');
    retry = setTimeout(mend, RETRY_MS);
  }

  function open() {
    if (ended || source) return;
    source = new EventSource('/ops/api/board/stream');
    listen();
    source.addEventListener('alive', heard);
    source.addEventListener('snapshot', (event) => {
      const sent = JSON.parse(event.data);
      // What is not known is missing, as after a patch.
      board = patched(null, sent.board);
      heard();
      onBoard(board, sent.history);
    });
    source.addEventListener('patch', (event) => {
      if (board === null) return;
      board = patched(board, JSON.parse(event.data));
      heard();
      onBoard(board, null);
    });
    source.onerror = () => {
      onState('lost');
      if (source?.readyState === EventSource.CLOSED) restart();
    };
  }

  /** An ordinary call finds out what is wrong, and opens the login dialog if needed. */
  async function mend() {
    try {
      await api.get('/board', { signal: AbortSignal.timeout(SILENT_MS) });
    } catch {
      if (!ended) retry = setTimeout(mend, RETRY_MS);
      return;
    }
    open();
  }

  function seen() {
    clearTimeout(hidden);
    if (document.hidden) {
      hidden = setTimeout(close, HIDDEN_MS);
    } else if (!source) {
      onState('connecting');
      open();
    }
  }

  document.addEventListener('visibilitychange', seen);
  onState('connecting');
  open();
  return () => {
    ended = true;
    document.removeEventListener('visibilitychange', seen);
    clearTimeout(hidden);
    close();
  };
}
