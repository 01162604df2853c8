// The pages of the console, in the order of the menu. A page is a module whose
// `show(root, { params, me })` fills `root` and may return a function that
// stops what it began. `for` says who sees the entry: everybody, or a role; what
// is `unlisted` is reached from other pages only.
// `count` may return a number that is shown beside the entry.
// The words `nav.NAME` are in words.js.

import { api } from './api.js';

export const PAGES = [
  { name: 'board', load: () => import('./board.js') },
  { name: 'rounds', load: () => import('./rounds/list.js') },
  { name: 'approvals', load: () => import('./rounds/approvals.js'), count: async () => (await api.get('/rounds?state=submitted')).total + (await api.get('/proposals?state=waiting')).total },
  { name: 'orders', load: () => import('./orders.js') },
  { name: 'bans', load: () => import('./bans.js') },
  { name: 'dead-letters', load: () => import('./dead-letters.js') },
  { name: 'refunds', load: () => import('./refunds.js') },
  { name: 'stock', unlisted: true, load: () => import('./stock.js') },
  { name: 'report', unlisted: true, load: () => import('./report.js') },
  { name: 'audit', load: () => import('./audit.js') },
  { name: 'accounts', for: 'supervisor', load: () => import('./accounts.js') },
  { name: 'account', unlisted: true, load: () => import('./account.js') },
  { name: 'findings', load: () => import('./findings.js') },
  { name: 'simulation', load: () => import('./simulation.js') },
];
