// Vendure's stock as the sale's inventory: docs/inventory.md names the five calls.

import { SeckillHold } from './hold.entity.mjs';
import { isSigned } from './signature.mjs';

const view = (hold) => ({ amount: hold.amount, settled: hold.settled, sold: hold.sold, returned: hold.returned });
const reply = (status, body) => ({ status, body });

/** Answers a call below `/seckill/inventory`; `path` is what follows that. */
export async function inventory(services, { method, path, body, signature }) {
  if (!isSigned('inventory-keys', signature, body || path)) return reply(403, { message: 'The signature does not match.' });
  const url = new URL(path, 'http://inventory');
  const [, kind, name, verb] = url.pathname.split('/').map(decodeURIComponent);
  return services.transaction(async (ctx) => {
    const call = `${method} ${kind}${name ? '/*' : ''}${verb ? `/${verb}` : ''}`;
    switch (call) {
      case 'GET items':
        return reply(200, { items: await search(services, ctx, url.searchParams.get('search') ?? '') });
      case 'GET items/*': {
        const variant = await services.variant(ctx, name);
        return variant ? reply(200, await offer(services, ctx, variant)) : reply(404, {});
      }
      case 'GET holds/*': {
        const hold = await find(services, ctx, name);
        return hold ? reply(200, view(hold)) : reply(404, {});
      }
      case 'PUT holds/*':
        return take(services, ctx, name, JSON.parse(body));
      case 'POST holds/*/settle':
        return settle(services, ctx, name, JSON.parse(body));
      default:
        return reply(404, {});
    }
  });
}

async function search(services, ctx, text) {
  const filter = text ? { _or: [{ name: { contains: text } }, { sku: { contains: text } }] } : {};
  const { items } = await services.variants.findAll(ctx, { filter, take: 100 });
  return Promise.all(items.map((variant) => offer(services, ctx, variant)));
}

async function offer(services, ctx, variant) {
  const product = await services.products.findOne(ctx, variant.productId);
  return {
    sku: variant.sku,
    title: variant.name,
    text: product?.description ?? '',
    price_cents: variant.priceWithTax,
    available: Math.max(0, await services.variants.getSaleableStockLevel(ctx, variant)),
  };
}

const holds = (services, ctx) => services.connection.getRepository(ctx, SeckillHold);
const find = (services, ctx, name) => holds(services, ctx).findOne({ where: { name } });

async function take(services, ctx, name, { sku, amount }) {
  const held = await find(services, ctx, name);
  if (held) return reply(200, view(held));
  const variant = await services.variant(ctx, sku);
  if (!variant) return reply(404, {});
  const available = await services.variants.getSaleableStockLevel(ctx, variant);
  if (available < amount) return reply(409, { message: `Of "${sku}" ${available} are there, and ${amount} are wanted.` });
  await services.addStock(ctx, variant, -amount);
  await holds(services, ctx).save(new SeckillHold({ name, sku, amount }));
  return reply(200, { amount, settled: false });
}

async function settle(services, ctx, name, { sold, returned }) {
  const held = await find(services, ctx, name);
  if (!held) return reply(404, {});
  if (held.settled) return reply(200, view(held));
  if (sold + returned !== held.amount) return reply(409, { message: `${held.amount} are held, not ${sold + returned}.` });
  // What was sold comes back with each order, which allocates it at once.
  await services.addStock(ctx, await services.variant(ctx, held.sku), returned);
  Object.assign(held, { settled: true, sold, returned });
  await holds(services, ctx).save(held);
  return reply(200, view(held));
}

/** The SKU that a product of a round was chosen from. */
export async function skuOf(services, ctx, round, product) {
  const all = await holds(services, ctx).find({ order: { id: 'DESC' } });
  return all.find(({ name }) => name.startsWith(`${round}.${product}.`))?.sku;
}
