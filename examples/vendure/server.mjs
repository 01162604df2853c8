// Vendure with the sale plugged in: its stock, its login, its orders, its payment page.

import vendure from '@vendure/core';
import { config } from './config.mjs';
import { inventory } from './inventory.mjs';
import { customer, form, goal, mint } from './login.mjs';
import { orders } from './orders.mjs';
import { isOurs, page, pay } from './payment.mjs';
import { seed } from './seed.mjs';
import { Services } from './services.mjs';
import { settings } from './settings.mjs';

const MAX_BODY = 1 << 20;
let services;

async function read(req) {
  let body = '';
  for await (const chunk of req) {
    body += chunk;
    if (body.length > MAX_BODY) throw new Error('the request is too long');
  }
  return body;
}

/** A handler that answers errors with 503, so that the sale repeats what it sent. */
const handler = (answer) => async (req, res) => {
  try {
    if (!services) throw new Error('the shop is starting');
    await answer(req, res);
  } catch (error) {
    console.error(req.method, req.originalUrl, error.message);
    res.status(503).json({ message: error.message });
  }
};

const json = (answer) =>
  handler(async (req, res) => {
    const call = { method: req.method, path: req.url, body: await read(req), signature: req.headers['x-seckill-signature'] };
    const { status, body } = await answer(services, call);
    res.status(status).json(body);
  });

const login = handler(async (req, res) => {
  const to = goal(new URL(req.originalUrl, settings.shop).searchParams.get('to'));
  const who = await customer(services, req);
  if (!who) return res.type('html').send(form(to));
  // The sale has the same host, hence the same cookies; with a domain of its own it sets
  // SECKILL_COOKIE_DOMAIN.
  return res.setHeader('set-cookie', await mint(who)).redirect(303, to);
});

const payment = handler(async (req, res) => {
  const url = new URL(req.originalUrl, settings.shop);
  if (!isOurs(`${settings.shop}${req.originalUrl}`)) return res.status(403).type('text').send('This address was not made by the sale.');
  const bill = Object.fromEntries(url.searchParams);
  if (req.method !== 'POST') return res.type('html').send(page(bill));
  await pay(bill);
  return res.redirect(303, bill.back);
});

const app = await vendure.bootstrap(
  config([
    { route: '/seckill/inventory', handler: json(inventory), beforeListen: true },
    { route: '/seckill/orders', handler: json(orders), beforeListen: true },
    { route: '/seckill/login', handler: login, beforeListen: true },
    { route: '/seckill/pay', handler: payment, beforeListen: true },
  ]),
);
const all = new Services(app);
await seed(app, all);
services = all;
console.log(`Vendure serves at ${settings.shop}`);
