// The console in a language of choice, for tests without a browser.

import { speak } from '../../../html/console/i18n.js';

/** Lets the console speak the language of this tag from now on. */
export async function speaks(tag) {
  const select = { replaceChildren() {}, addEventListener() {} };
  globalThis.location = { search: `?lang=${tag}` };
  globalThis.Option = class {};
  globalThis.document = { querySelector: () => select, querySelectorAll: () => [], documentElement: {} };
  await speak();
}
