// Calls of /ops/api/. A request that meets an expired login waits for the login
// dialog and is sent again, so that nothing typed is lost; unless somebody else logs in:
// what one person began is never done in the name of another.

import { find, lang, t } from './i18n.js';

/** Longest wait for a response. */
const WAIT_MS = 30_000;
/** The same for files, which take as long as the line needs. */
const FILE_WAIT_MS = 10 * 60_000;

/** A refusal: `status`, stable `code`, `message`, and `mistakes` by field. */
export class ApiError extends Error {
  constructor(status, body) {
    super(body.message ?? find(`error.${body.code}`) ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code;
    this.missing = body.missing ?? null;
    this.mistakes = body.mistakes ?? [];
    this.body = body;
  }
}

let token = null;
let owner = null;
let isOver = false;
let logIn = null;
let showAway = () => {};
let startAnew = () => {};

/**
 * `onLogin` asks for a login and resolves when there is one; `onAway(error)` shows that a
 * part is away, or null; `onOther` starts the page anew for another account.
 */
export function wire({ onLogin, onAway, onOther }) {
  logIn = onLogin;
  showAway = onAway;
  startAnew = onOther;
}

/**
 * Remembers whose page this is, and the token that writing requests carry. False for
 * another account than before: the page starts anew, and sends nothing until it does.
 */
export function useLogin({ name, csrf }) {
  if (owner !== null && owner !== name) {
    isOver = true;
    startAnew();
    return false;
  }
  owner = name;
  token = csrf;
  return true;
}

/** The account whose page this is; null before the first login. */
export const account = () => owner;

const get = (path, options) => call('GET', path, undefined, options);
const post = (path, body = {}, options) => call('POST', path, body, options);
const put = (path, body = {}, options) => call('PUT', path, body, options);
const del = (path, options) => call('DELETE', path, undefined, options);
export const api = { get, post, put, del, call };

/** The query of a list: filters that are empty match everything, and are left out. */
export function filters(wanted) {
  const isSet = ([, value]) => `${value}`.trim() !== '';
  return new URLSearchParams(Object.entries(wanted).filter(isSet));
}

/**
 * Sends JSON (or, given a Blob or FormData, that) and returns the response's JSON,
 * or what `as` says: `text` or `blob`. With `quiet`, an expired login opens no dialog.
 */
async function call(method, path, body, { quiet = false, as = 'json', signal, headers = {} } = {}) {
  for (;;) {
    // The page is being left: whoever waits for this has nothing more to do.
    if (isOver) return new Promise(() => {});
    const { error, found } = await send(method, path, body, { as, signal, headers });
    if (!error) {
      showAway(null);
      return found;
    }
    if (error.code === 'login_required' && !quiet) {
      await logIn({ again: token !== null });
      continue;
    }
    // After a login in another tab the token is another one, and maybe the account.
    if (error.code === 'foreign_request' && !quiet && (await refreshToken())) continue;
    if (error.status === 503) showAway(error);
    throw error;
  }
}

/** Sends it once; what came back is `found`, or an `error`. */
async function send(method, path, body, { as, signal, headers }) {
  const all = { 'X-Seckill-Csrf': token ?? '', ...headers };
  const isFile = body instanceof Blob || body instanceof FormData || typeof body === 'string';
  const sent = isFile || body === undefined ? body : JSON.stringify(body);
  if (sent !== body) all['Content-Type'] = 'application/json';
  // A login may be done twice, as a read may.
  const isRead = method === 'GET' || path === '/login';
  // Nobody knows what became of a write whose response is not there, or is none of the console's.
  const unclear = (status) => ({ error: new ApiError(status, { code: isRead ? 'unread' : 'unclear' }) });
  const request = async (until) => {
    const answer = await unlessAborted(fetch(`/ops/api${path}`, { method, headers: all, body: sent, signal: until, credentials: 'same-origin', cache: 'no-store' }));
    if (!answer) {
      const away = new ApiError(0, { code: 'offline' });
      showAway(away);
      return isRead ? { error: away } : unclear(0);
    }
    const isFound = answer.ok && isOurs(answer, as);
    const told = await unlessAborted(answer[isFound ? as : 'json']());
    if (isFound && told !== undefined) return { found: told };
    return !answer.ok && typeof told?.code === 'string' ? { error: new ApiError(answer.status, told) } : unclear(answer.status);
  };
  return inTime(isFile || as === 'blob' ? FILE_WAIT_MS : WAIT_MS, { isRead, signal }, request, () => unclear(0));
}

/** Undefined for what failed, unless whoever began it gave it up. */
const unlessAborted = (work) => work.catch((cause) => {
  if (cause.name === 'AbortError') throw cause;
});

/** A proxy's own page, in place of a file, is no file. */
const isOurs = (answer, as) => as !== 'blob' || !answer.headers.get('Content-Type')?.startsWith('text/html');

/**
 * What `work` comes to within `ms`, else what `late` says. A read is given up then; a write
 * goes on without us, so that it is not left half done.
 */
async function inTime(ms, { isRead, signal }, work, late) {
  const stop = new AbortController();
  let timer = 0;
  const over = new Promise((resolve) => {
    timer = setTimeout(() => {
      resolve(late());
      if (isRead) stop.abort();
    }, ms);
  });
  try {
    return await Promise.race([work(signal ? AbortSignal.any([signal, stop.signal]) : stop.signal), over]);
  } finally {
    clearTimeout(timer);
  }
}

async function refreshToken() {
  const before = token;
  try {
    const me = await call('GET', '/me', undefined, { quiet: true });
    useLogin(me);
  } catch {
    return false;
  }
  return isOver || token !== before;
}

/** A mistake's sentence in the reader's language. */
export function mistakeText({ code, message, field, place, values = [] }) {
  const words = lang() === 'en' ? null : find(`mistake.${code}`, values);
  if (words === null) return message;
  // A mistake in a file says where it is, as the server's sentence does.
  return place ? `${t('mistake.place', place)}${field ? ` ${field}` : ''}：${words}` : words;
}
