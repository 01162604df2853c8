// What every page of the shop needs, published as one file (core/src/pages/assets/pack.rs).

export * from './words.js';
export * from './languages.js';
export * from './phrase.js';
export * from './store.js';
export * from './format.js';
export * from './i18n.js';
export * from './reach.js';
export * from './api.js';
export * from './account.js';
export * from './clock.js';
export * from './time.js';
export * from './node.js';
export * from './left.js';
export * from './remind.js';
