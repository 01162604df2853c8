// Checks with axe-core whether something on a page keeps people from using it.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const SOURCE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** The serious and critical problems of the page as it is now, a sentence each. */
export async function problems(page) {
  // A colour in the middle of a transition is neither the old nor the new one: what moves
  // now is waited for, and what changes while axe looks does so at once.
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await page.evaluate(() => Promise.all(document.getAnimations().map((it) => {
    const endless = it.effect?.getTiming().iterations === Infinity;
    return endless ? null : it.finished.catch(() => null);
  })));
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(SOURCE);
  const found = await page.evaluate(
    (values) => window.axe.run({ runOnly: { type: 'tag', values } }).then(({ violations }) => violations),
    RULES,
  );
  return found
    .filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .flatMap(({ id, help, nodes }) => nodes.map((it) => `${id}: ${help}: ${it.target} ${it.failureSummary}`));
}

/** Fails if there are any, naming the state that was checked. */
export async function isUsable(page, state) {
  assert.deepEqual(await problems(page), [], state);
}
