// The languages of the shop. Another one is a file in lang/ and a line here; its file
// is fetched only by those who read it. docs/terms/ has the words to use in each.

export const LANGUAGES = {
  'zh-CN': { name: '中文' },
  en: { name: 'English' },
  ar: { name: 'العربية', dir: 'rtl', load: () => import('./lang/ar.js') },
};

/** The language of this tag, such as `en-GB`; null for one that is not spoken here. */
export function known(tag) {
  if (typeof tag !== 'string') return null;
  const [primary] = tag.toLowerCase().split('-');
  return Object.keys(LANGUAGES).find((it) => it.toLowerCase().split('-')[0] === primary) ?? null;
}
