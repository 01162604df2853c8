// The pages of the console, in the order of the menu. A page is a module whose
// `show(root, { params, me })` fills `root` and may give back a function that
// stops what it began. `for` says who sees the entry: everybody, or a role.
// `count` may give a number that is shown beside the entry.
// The words `nav.NAME` are in words.js.

import { api } from './api.js';

export const PAGES = [
  { name: 'rounds', load: () => import('./rounds/list.js') },
  { name: 'approvals', load: () => import('./rounds/approvals.js'), count: async () => (await api.get('/rounds?state=submitted')).total },
  { name: 'audit', load: () => import('./audit.js') },
];
