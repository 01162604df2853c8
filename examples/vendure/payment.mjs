// The payment service of the example. The buyer is sent here with a signed address; when
// they pay, the sale gets a signed notice, and Vendure the payment with the order.

import { createHash } from 'node:crypto';
import vendure from '@vendure/core';
import { settings } from './settings.mjs';
import { isSigned, sign } from './signature.mjs';

const { LanguageCode, PaymentMethodHandler } = vendure;

/** The payment of an order that the sale has been paid for: nothing is left to be taken. */
export const paidInSale = new PaymentMethodHandler({
  code: 'seckill',
  description: [{ languageCode: LanguageCode.en, value: 'Paid in the flash sale' }],
  args: {},
  createPayment: (ctx, order, amount, args, { order: number }) => {
    // Buyers must not settle orders by naming this method.
    if (ctx.apiType !== 'admin') return { amount, state: 'Declined', errorMessage: 'only the sale pays so' };
    return { amount, state: 'Settled', transactionId: payment(number), metadata: { order: number } };
  },
  settlePayment: () => ({ success: true }),
  createRefund: (ctx, input, amount) => ({ state: 'Settled', transactionId: `refund-${amount}` }),
});

/** An order has one address to pay at, which is signed once. */
const DAY_MS = 86_400_000;

/** One order is one payment, however often the button is pressed. */
const payment = (order) => `vendure-${createHash('sha256').update(order).digest('hex').slice(0, 20)}`;

/** Whether the sale sent the buyer to this address. */
export function isOurs(url) {
  const at = url.lastIndexOf('&signature=');
  return at > 0 && isSigned('payment-keys', decodeURIComponent(url.slice(at + '&signature='.length)), url.slice(0, at), DAY_MS);
}

export const page = ({ order, amount, back }) => `<!doctype html><meta charset="utf-8"><title>Pay</title>
<form method="post"><p>Order ${Number(order) ? order : ''}: ${(Number(amount) / 100).toFixed(2)}</p>
<button>Pay</button> <a href="${encodeURI(back).replaceAll('"', '%22')}">Back to the shop</a></form>`;

/** Takes the money, and gives notice of it. */
export async function pay({ order, amount }) {
  const body = JSON.stringify({ payment: payment(order), order, amount_cents: Number(amount), currency: 'USD', status: 'paid' });
  const response = await fetch(`${settings.sale}/api/payments/signed`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-seckill-signature': sign('payment-keys', body) },
    body,
  });
  if (!response.ok) throw new Error(`the sale did not take the notice: ${response.status} ${await response.text()}`);
}
