// Files that the console hands out: fetched as everything else is, so that an expired
// login asks for a login, and a refusal is read as a sentence.

import { ApiError, api } from './api.js';
import { el, toast } from './dom.js';
import { said } from './i18n.js';

/** A saved file's address is kept this long, in ms: browsers read it after the click. */
const KEPT_MS = 60_000;

/** Saves what `/ops/api` has at `path` under this name. */
export async function download(path, name) {
  try {
    const url = URL.createObjectURL(await api.get(path, { as: 'blob' }));
    el('a', { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    toast(said(error), 'bad');
  }
}
