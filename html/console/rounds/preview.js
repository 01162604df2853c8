// The product page as it would be: from the very template, without its scripts.

import { api } from '../api.js';
import { el, fill } from '../dom.js';
import { lang, shopZone, t } from '../i18n.js';

/** The shop's words in the reader's language, or in English where the shop lacks it. */
async function shopWords() {
  const [{ zh, en }, { LANGUAGES }] = await Promise.all([import('/assets/words.js'), import('/assets/languages.js')]);
  if (lang() === 'zh-CN') return zh;
  return (await LANGUAGES[lang()]?.load?.())?.words ?? en;
}

/** An element and a function that shows a product of a form in it. */
export function preview() {
  const frame = el('iframe', { title: t('preview.title'), sandbox: 'allow-same-origin', tabindex: -1 });
  const note = el('p.hint', {}, t('preview.hint'));
  const box = el('section.preview', { 'aria-label': t('preview.title') }, el('h2', {}, t('preview.title')), note, frame);
  let fetching = null;
  async function show(form, product) {
    fetching?.abort();
    fetching = new AbortController();
    try {
      const html = await api.post('/rounds/preview', { round: form, product }, { as: 'text', signal: fetching.signal });
      const page = new DOMParser().parseFromString(html, 'text/html');
      for (const script of page.querySelectorAll('script, link[rel=modulepreload], noscript, dialog, #panel, #account')) script.remove();
      await speak(page, form);
      const top = frame.contentWindow?.scrollY ?? 0;
      frame.addEventListener('load', () => frame.contentWindow?.scrollTo(0, top), { once: true });
      frame.srcdoc = `<!doctype html>${page.documentElement.outerHTML}`;
      fill(note, t('preview.hint'));
    } catch (error) {
      if (error.name !== 'AbortError') fill(note, t('preview.away'));
    }
  }
  return { box, show };
}

/** The words that the page's own script would fill in. */
async function speak(page, form) {
  const all = await shopWords().catch(() => ({}));
  const { phrase } = await import('/assets/phrase.js').catch(() => ({ phrase: (text) => text }));
  const say = (key, values = {}) => (all[key] === undefined ? undefined : phrase(all[key], values, lang()));
  page.documentElement.lang = lang();
  page.documentElement.dataset.spoken = '';
  // Its frame runs no scripts; the page must not look as if the shopper's browser did not.
  page.documentElement.dataset.preview = '';
  for (const node of page.querySelectorAll('[data-t]')) node.textContent = say(node.dataset.t, node.dataset) ?? node.textContent;
  const main = page.querySelector('#product');
  const put = (id, text) => {
    const node = page.querySelector(id);
    if (node && text) node.textContent = text;
  };
  const time = (ms) => (typeof ms === 'number' ? new Intl.DateTimeFormat(lang(), { timeZone: shopZone(), dateStyle: 'medium', timeStyle: 'short' }).format(ms) : '–');
  put('#hours', `${time(form.starts_ms)} – ${time(form.ends_ms)}`);
  put('#amount', say('fact.amount.value', { n: main?.dataset.amount }));
  put('#per-buyer', say('fact.per_buyer.value', { n: main?.dataset.perBuyer }));
  put('#buy-text', say('button.connecting'));
}
