// The pages of the console, in the order of the menu. A page is a module whose
// `show(root, { params, me })` fills `root` and may give back a function that
// stops what it began. `for` says who sees the entry: everybody, or a role; what
// is `unlisted` is reached from other pages only.
// The words `nav.NAME` come with words.js or with the page's addWords().

export const PAGES = [
  { name: 'board', load: () => import('./board.js') },
  { name: 'bans', load: () => import('./bans.js') },
  { name: 'dead-letters', load: () => import('./dead-letters.js') },
  { name: 'refunds', load: () => import('./refunds.js') },
  { name: 'stock', unlisted: true, load: () => import('./stock.js') },
];
