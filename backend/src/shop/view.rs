//! Orders and payments as JSON, for the buyer's API and the command line.

use seckill_core::orders::money::Currency;
use seckill_core::orders::purchase::Reason;
use seckill_core::pages::picture;
use serde_json::{Value, json};

use crate::store::orders::Order;
use crate::store::payments::Payment;
use crate::store::titles::Titles;

/// An order as its buyer sees it. The number is text: it is larger than what
/// JavaScript keeps exact.
pub(crate) fn order_json(order: &Order) -> Value {
    json!({
        "order": order.id.to_string(),
        "round": order.round,
        "product": order.product,
        "quantity": order.quantity,
        "price_cents": order.price_cents,
        "total_cents": order.total_cents(),
        "status": order.state.as_str(),
        "reason": order.reason.map(Reason::as_str),
        "created_ms": order.created_ms,
        "pay_by_ms": order.pay_by_ms,
    })
}

/// An order with the names of its round and product. One whose round was deleted
/// has only their ids.
pub(crate) fn titled_order_json(order: &Order, titles: &Titles) -> Value {
    let mut body = order_json(order);
    if let Some(title) = titles.get(&(order.round.clone(), order.product.clone())) {
        body["title"] = title.product.as_str().into();
        body["round_name"] = title.round.as_str().into();
        body["picture"] = json!(picture::first(&title.picture));
    }
    body
}

/// A payment, with what was decided about it.
pub(crate) fn payment_json(payment: &Payment) -> Value {
    json!({
        "payment": payment.id,
        "order": payment.order,
        "provider": payment.provider.as_str(),
        "amount_cents": payment.amount_cents,
        "currency": payment.currency.as_ref().map(Currency::as_str),
        "refunded_cents": payment.refunded_cents,
        "status": payment.state.as_str(),
        "reason": payment.reason,
    })
}
