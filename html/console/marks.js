// What happened while a round sold, in words: below the board's charts, and in reports.

import { targetOf } from './audit.js';
import { el } from './dom.js';
import { find, moment } from './i18n.js';
import './audit-words.js';
import './board/words.js';

/** What happened, and to whom or what. */
export const marked = ({ kind, subject }) => [find(`mark.${kind}`) ?? find(`did.${kind}`) ?? kind, targetOf({ action: kind, target: subject })];

/** The same as a line of a list, with its time. */
export function markLine(mark) {
  const [what, whom] = marked(mark);
  return el('li', {}, el('span.num.soft', {}, moment(mark.at_ms, {})), ' ', what, ' ', el('b', { dir: 'auto' }, whom));
}
