// The languages of the console. Another one is a file in lang/ and a line here, with
// `load: () => import('./lang/de.js')` and, if it is written from right to left,
// `dir: 'rtl'`. The file exports `words`: the phrases of all pages by their keys; what it
// leaves out is shown in English. docs/terms/ says more.

export const LANGUAGES = {
  'zh-CN': { name: '中文' },
  en: { name: 'English' },
};

/** The language of this tag, such as `en-GB`; null for one that is not spoken here. */
export function known(tag) {
  if (typeof tag !== 'string') return null;
  const [primary] = tag.toLowerCase().split('-');
  return Object.keys(LANGUAGES).find((it) => it.toLowerCase().split('-')[0] === primary) ?? null;
}
