// The product page, published as one file (core/src/pages/assets/pack.rs).

export * from './purchase.js';
export * from './cadence.js';
export * from './captcha.js';
export * from './copy.js';
export * from './product-view.js';
export * from './product.js';
