//! Everything that happened to one order, with times, from the tables that know of it.

use seckill_core::ids::Item;
use seckill_core::orders::money::{Currency, Money};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::orders::Order;
use super::payments::Payment;
use super::{Store, StoreError, signed, unsigned};

/// One thing that happened to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct OrderEvent {
    /// When, epoch milliseconds.
    pub at_ms: u64,
    /// What, in one word: `purchase`, `placed`, `confirm`, `release`, `return`, `payment`,
    /// `notification`, `note`, `cancel`, `refund` or `resend`.
    pub what: String,
    /// More of it, for people: a sentence in English, or the text of whoever did it.
    pub detail: String,
    /// What the sentence says, as values, for other languages; empty where `detail` is
    /// somebody's own text. Of stock: `quantity`, and `reason` where it came back. Of
    /// `placed`: `pay_by_ms`. Of a payment: `payment`, `amount` (`cents`, `currency`),
    /// `state` (`received`: its first notice came), `reason`, and `refunded` if that is a
    /// part of it. Of a refund that was asked of the provider the same, with the `state`
    /// `asked`, `pending`, `done` or `refused`. Of a notification: `kind`, `channel`,
    /// `state`, `attempts`, `reason`.
    #[schema(value_type = Object)]
    pub facts: Value,
    /// Who did it; empty for the system and the buyer.
    pub who: String,
}

impl OrderEvent {
    fn new(at_ms: u64, what: &str, detail: String, facts: Value) -> Self {
        Self {
            at_ms,
            what: what.to_owned(),
            detail,
            facts,
            who: String::new(),
        }
    }
}

impl Store {
    /// Everything that happened to an order, oldest first. `shop` is the shop's currency.
    ///
    /// # Errors
    /// A database is away, or a row cannot be read.
    pub async fn order_history(
        &self,
        order: &Order,
        shop: Currency,
    ) -> Result<Vec<OrderEvent>, StoreError> {
        let mut events = self.stock_events(order).await?;
        if !events.iter().any(|event| event.what == "purchase") {
            // The archive is a moment behind.
            let detail = format!("{} items locked", order.quantity);
            let facts = json!({ "quantity": order.quantity });
            events.push(OrderEvent::new(order.locked_ms, "purchase", detail, facts));
        }
        let placed = format!("to be paid by {}", crate::time::rfc3339(order.pay_by_ms));
        let facts = json!({ "pay_by_ms": order.pay_by_ms });
        events.push(OrderEvent::new(order.created_ms, "placed", placed, facts));
        for payment in self.payments_of(order).await? {
            events.extend(payment_events(&payment, shop));
            events.extend(self.refund_events(&payment, shop).await?);
        }
        events.extend(self.notification_events(order).await?);
        events.extend(self.notes(order).await?);
        events.sort_by_key(|event| event.at_ms);
        Ok(events)
    }

    /// What the ledger says of the order's purchase.
    async fn stock_events(&self, order: &Order) -> Result<Vec<OrderEvent>, StoreError> {
        let Some(item) = Item::new(&order.round, &order.product) else {
            return Ok(Vec::new());
        };
        let events = self.ledger(&item, order.segment).await?;
        let of_order = events.iter().filter(|event| {
            let purchase = event.purchase();
            let made = (order.user.as_str(), order.request.as_str(), order.locked_ms);
            (
                purchase.user.as_str(),
                purchase.request.as_str(),
                purchase.at_ms,
            ) == made
        });
        Ok(of_order
            .map(|event| {
                let reason = Some(event.text("reason")).filter(|reason| !reason.is_empty());
                let facts = json!({
                    "quantity": event.number("quantity").unwrap_or(i64::from(order.quantity)),
                    "reason": reason,
                });
                OrderEvent::new(event.id.ms, event.kind(), event.to_string(), facts)
            })
            .collect())
    }

    /// The refunds of a payment that were asked of its provider: who did, and what became
    /// of each.
    async fn refund_events(
        &self,
        payment: &Payment,
        shop: Currency,
    ) -> Result<Vec<OrderEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT amount, state, reason, asked_by, created_ms, updated_ms FROM refunds
             WHERE payment = ? ORDER BY created_ms, id",
        )
        .bind(&payment.key)
        .fetch_all(self.main().readers())
        .await?;
        let currency = payment.amount(shop).currency;
        let mut events = Vec::new();
        for row in &rows {
            let amount = Money::new(unsigned(row.try_get(0)?), currency);
            let state: String = row.try_get(1)?;
            let (asked_ms, updated_ms): (i64, i64) = (row.try_get(4)?, row.try_get(5)?);
            let told = |at_ms, state, reason| {
                money_event(
                    (unsigned(at_ms), "refund"),
                    (&payment.id, amount),
                    state,
                    reason,
                )
            };
            events.push(OrderEvent {
                who: row.try_get(3)?,
                ..told(asked_ms, "asked", None)
            });
            if state != "asked" {
                events.push(told(updated_ms, &state, row.try_get(2)?));
            }
        }
        Ok(events)
    }

    async fn notification_events(&self, order: &Order) -> Result<Vec<OrderEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, channel, state, attempts, reason, updated_ms FROM notices
             WHERE order_id = ?",
        )
        .bind(signed(order.id.0))
        .fetch_all(self.orders_db(&order.user).readers())
        .await?;
        rows.iter()
            .map(|row| {
                let text = |column| -> Result<String, sqlx::Error> { row.try_get(column) };
                let reason: Option<String> = row.try_get(4)?;
                let attempts: i64 = row.try_get(3)?;
                let (kind, channel, state) = (text(0)?, text(1)?, text(2)?);
                let facts = json!({
                    "kind": kind, "channel": channel, "state": state, "attempts": attempts,
                    "reason": reason,
                });
                let detail = format!(
                    "{kind} by {channel}: {state} after {attempts} attempts{}",
                    in_brackets(reason),
                );
                let at_ms = unsigned(row.try_get(5)?);
                Ok(OrderEvent::new(at_ms, "notification", detail, facts))
            })
            .collect()
    }

    async fn notes(&self, order: &Order) -> Result<Vec<OrderEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT at_ms, kind, text, who FROM order_notes WHERE order_id = ? ORDER BY id",
        )
        .bind(signed(order.id.0))
        .fetch_all(self.orders_db(&order.user).readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(OrderEvent {
                    at_ms: unsigned(row.try_get(0)?),
                    what: row.try_get(1)?,
                    detail: row.try_get(2)?,
                    facts: json!({}),
                    who: row.try_get(3)?,
                })
            })
            .collect()
    }
}

/// What is known of a payment: when its first notice came, and what it has been since it
/// last changed.
fn payment_events(payment: &Payment, shop: Currency) -> Vec<OrderEvent> {
    let (amount, state) = (payment.amount(shop), payment.state.as_str());
    let told = |at_ms, state, reason| {
        money_event((at_ms, "payment"), (&payment.id, amount), state, reason)
    };
    let mut now = told(payment.updated_ms, state, payment.reason.clone());
    if (1..amount.minor).contains(&payment.refunded_cents) {
        let part = Money::new(payment.refunded_cents, amount.currency);
        now.detail.push_str(&format!(", {part} of it refunded"));
        now.facts["refunded"] = money(part);
    }
    let first = told(payment.received_ms, "received", None);
    let has_changed = payment.updated_ms != payment.received_ms;
    has_changed
        .then_some(first)
        .into_iter()
        .chain([now])
        .collect()
}

fn money_event(
    (at_ms, what): (u64, &str),
    (payment, amount): (&str, Money),
    state: &str,
    reason: Option<String>,
) -> OrderEvent {
    let facts = json!({
        "payment": payment, "amount": money(amount), "state": state, "reason": reason,
    });
    let detail = format!("{payment}, {amount}, {state}{}", in_brackets(reason));
    OrderEvent::new(at_ms, what, detail, facts)
}

fn money(amount: Money) -> Value {
    let (sign, digits) = (amount.currency.sign(), amount.currency.digits());
    json!({ "cents": amount.minor, "currency": { "sign": sign, "digits": digits } })
}

fn in_brackets(reason: Option<String>) -> String {
    reason.map_or(String::new(), |it| format!(" ({it})"))
}
