// The pages of the console, in the order of the menu. A page is a module whose
// `show(root, { params, me })` fills `root` and may give back a function that
// stops what it began. `for` says who sees the entry: everybody, or a role.
// The words `nav.NAME` come with words.js or with the page's addWords().

export const PAGES = [
  { name: 'findings', load: () => import('./findings.js') },
  { name: 'simulation', load: () => import('./simulation.js') },
];
