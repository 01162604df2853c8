// The sale's webhook: a paid order of the sale becomes an order of Vendure, with its price,
// its address and its payment; one that is cancelled after that is cancelled here too.

import vendure from '@vendure/core';
import { skuOf } from './inventory.mjs';
import { isSigned } from './signature.mjs';

const { isGraphQlErrorResult, Order } = vendure;

/** Takes a batch of changes; what was taken before changes nothing. */
export async function orders(services, { body, signature }) {
  if (!isSigned('notify-keys', signature, body)) return { status: 403, body: { message: 'The signature does not match.' } };
  for (const event of JSON.parse(body).events) {
    if (event.event === 'order.paid') await services.transaction((ctx) => place(services, ctx, event));
    if (event.event === 'order.cancelled') await services.transaction((ctx) => cancel(services, ctx, event));
  }
  return { status: 200, body: {} };
}

const find = (services, ctx, event) =>
  services.connection.getRepository(ctx, Order).findOne({ where: { customFields: { seckillOrder: event.order } } });

function must(result) {
  if (isGraphQlErrorResult(result)) throw new Error(`${result.errorCode}: ${result.transitionError ?? result.message}`);
  return result;
}

async function place(services, ctx, event) {
  if (await find(services, ctx, event)) return;
  const sku = await skuOf(services, ctx, event.round, event.product);
  const variant = sku && (await services.variant(ctx, sku));
  const customer = await services.customers.findOne(ctx, event.user.replace(/^vendure-/, ''), ['user', 'addresses', 'addresses.country']);
  if (!variant || !customer) {
    // Answered with 2xx all the same: what is not understood must not stop what comes after.
    console.error(`order ${event.order} of the sale has an unknown ${variant ? 'buyer' : 'product'}: ${event.user}, ${event.product}`);
    return;
  }
  const { id } = await services.orders.create(ctx, customer.user.id);
  await services.addStock(ctx, variant, event.quantity);
  must(await services.orders.addItemToOrder(ctx, id, variant.id, event.quantity, { seckillPrice: event.price_cents }));
  await services.orders.setShippingAddress(ctx, id, address(event, customer));
  const [method] = (await services.shipping.findAll(ctx)).items;
  must(await services.orders.setShippingMethod(ctx, id, [method.id]));
  must(await services.orders.updateCustomFields(ctx, id, { seckillOrder: event.order }));
  must(await services.orders.transitionToState(ctx, id, 'ArrangingPayment'));
  must(await services.orders.addPaymentToOrder(ctx, id, { method: 'seckill', metadata: { order: event.order } }));
}

function address({ details }, customer) {
  // The fields of order-form.toml.
  if (details?.street) return { fullName: details.name, streetLine1: details.street, city: details.city, postalCode: details.code, countryCode: details.country };
  const own = customer.addresses.find((it) => it.defaultShippingAddress) ?? customer.addresses[0];
  return own && { ...own, countryCode: own.country.code };
}

async function cancel(services, ctx, event) {
  const order = await find(services, ctx, event);
  if (!order || order.state === 'Cancelled') return;
  must(await services.orders.cancelOrder(ctx, { orderId: order.id, reason: event.reason ?? 'cancelled' }));
}
