// Vendure's services, for handlers that are plain functions.

import vendure from '@vendure/core';
import { settings } from './settings.mjs';

export class Services {
  constructor(app) {
    const of = (type) => app.get(type, { strict: false });
    this.connection = of(vendure.TransactionalConnection);
    this.contexts = of(vendure.RequestContextService);
    this.customers = of(vendure.CustomerService);
    this.orders = of(vendure.OrderService);
    this.payments = of(vendure.PaymentMethodService);
    this.products = of(vendure.ProductService);
    this.sessions = of(vendure.SessionService);
    this.shipping = of(vendure.ShippingMethodService);
    this.levels = of(vendure.StockLevelService);
    this.movements = of(vendure.StockMovementService);
    this.variants = of(vendure.ProductVariantService);
  }

  /** Runs `work` in a transaction, with the rights of the superadmin. */
  async transaction(work) {
    const users = this.connection.rawConnection.getRepository(vendure.User);
    const where = { identifier: settings.admin.identifier };
    const user = await users.findOne({ where, relations: ['roles', 'roles.channels'] });
    const ctx = await this.contexts.create({ apiType: 'admin', user });
    return this.connection.withTransaction(ctx, work);
  }

  async variant(ctx, sku) {
    const { items } = await this.variants.findAll(ctx, { filter: { sku: { eq: sku } }, take: 1 });
    return items[0];
  }

  /** Adds items to a variant's stock, or takes them away. */
  async addStock(ctx, variant, count) {
    const { stockOnHand } = await this.levels.getAvailableStock(ctx, variant.id);
    await this.movements.adjustProductVariantStock(ctx, variant.id, stockOnHand + count);
  }
}
