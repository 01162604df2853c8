// Vendure's own configuration. What the sale adds to it is in `withSale`; the rest is what a
// shop has anyway.

import path from 'node:path';
import vendure from '@vendure/core';
import { SeckillHold } from './hold.entity.mjs';
import { paidInSale } from './payment.mjs';
import { secret, settings } from './settings.mjs';

const { DefaultLogger, LogLevel, PluginCommonModule, VendurePlugin } = vendure;

/** The price of an item that was sold in the sale; the usual one for all others. */
const salePrice = {
  calculateUnitPrice: (ctx, variant, { seckillPrice }) =>
    seckillPrice == null
      ? { price: variant.listPrice, priceIncludesTax: variant.listPriceIncludesTax }
      : { price: seckillPrice, priceIncludesTax: true },
};

class SeckillPlugin {}
VendurePlugin({
  imports: [PluginCommonModule],
  entities: [SeckillHold],
  configuration: (config) => {
    // Internal fields: no buyer can set them.
    config.customFields.Order.push({ name: 'seckillOrder', type: 'string', nullable: true, unique: true, internal: true });
    config.customFields.OrderLine.push({ name: 'seckillPrice', type: 'int', nullable: true, internal: true });
    config.orderOptions.orderItemPriceCalculationStrategy = salePrice;
    config.paymentOptions.paymentMethodHandlers.push(paidInSale);
    return config;
  },
})(SeckillPlugin);

/** Vendure with the routes of `middleware`. */
export const config = (middleware) => ({
  apiOptions: {
    port: settings.port,
    adminApiPath: 'admin-api',
    shopApiPath: 'shop-api',
    cors: { origin: [settings.shop, settings.sale], credentials: true },
    csrfPrevention: true,
    middleware,
  },
  authOptions: {
    tokenMethod: ['cookie', 'bearer'],
    superadminCredentials: settings.admin,
    requireVerification: false,
    cookieOptions: { secret: secret('vendure-cookie'), sameSite: 'lax' },
  },
  // A shop of its own has PostgreSQL or MySQL here.
  dbConnectionOptions: { type: 'sqljs', location: path.join(settings.data, 'vendure.sqlite'), autoSave: true, synchronize: true },
  paymentOptions: { paymentMethodHandlers: [] },
  customFields: {},
  logger: new DefaultLogger({ level: LogLevel.Warn }),
  plugins: [SeckillPlugin],
});
