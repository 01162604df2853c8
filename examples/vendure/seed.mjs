// A small shop: two products and a customer. A shop of its own has these already.

import vendure from '@vendure/core';

const { LanguageCode, Populator } = vendure;
const en = (name, slug, description = '') => [{ languageCode: LanguageCode.en, name, slug, description }];

export const CUSTOMER = { emailAddress: 'li@example.com', password: 'a password of Li' };

const PRODUCTS = [
  { slug: 'phone', name: 'Folding phone', sku: 'PHONE-256/BLUE', price: 99_900, stock: 50, text: 'Opens like a book.' },
  { slug: 'watch', name: 'Smart watch', sku: 'WATCH_42', price: 19_900, stock: 20, text: 'Runs for a week.' },
];

/** Fills an empty shop. */
export async function seed(app, services) {
  const isSeeded = await services.transaction(async (ctx) => (await services.products.findAll(ctx, { take: 1 })).totalItems > 0);
  if (isSeeded) return;
  await app.get(Populator, { strict: false }).populateInitialData({
    defaultLanguage: LanguageCode.en,
    defaultZone: 'Europe',
    countries: [{ name: 'Germany', code: 'DE', zone: 'Europe' }],
    taxRates: [{ name: 'Standard', percentage: 20 }],
    shippingMethods: [{ name: 'Parcel', price: 0 }],
    paymentMethods: [{ name: 'Seckill', handler: { code: 'seckill', arguments: [] } }],
    collections: [],
  });
  await services.transaction(async (ctx) => {
    for (const { slug, name, sku, price, stock, text } of PRODUCTS) {
      const { id: productId } = await services.products.create(ctx, { enabled: true, translations: en(name, slug, text) });
      await services.variants.create(ctx, [{ productId, sku, price, stockOnHand: stock, trackInventory: 'TRUE', translations: en(name) }]);
    }
    const { emailAddress, password } = CUSTOMER;
    await services.customers.create(ctx, { emailAddress, firstName: 'Li', lastName: 'Ming' }, password);
  });
}
