//! Refunds due: payments that arrived and pay no order.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use seckill_core::orders::money::{Currency, Money};
use serde::Serialize;

use super::currency::CurrencyView;
use super::{ConsoleError, ConsoleState, Operator};
use crate::store::payments::Payment;

/// Refunds that are shown, oldest first; the command line lists all.
const MOST: usize = 1_000;

/// `GET /ops/api/refunds`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new().route("/ops/api/refunds", get(list))
}

/// Refunds that are due.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Refunds {
    /// The oldest thousand, oldest first.
    refunds: Vec<Refund>,
    /// How many there are.
    all: usize,
    /// The sums of all, one for each currency in which payments came.
    totals: Vec<Amount>,
}

/// An amount of money.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Amount {
    /// The amount in the currency's smallest unit.
    cents: u64,
    /// How it is written.
    currency: CurrencyView,
}

impl Amount {
    fn of(money: Money) -> Self {
        let (cents, currency) = (money.minor, CurrencyView::of(money.currency));
        Self { cents, currency }
    }
}

/// A refund that is due.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Refund {
    /// The payment's id.
    payment: String,
    /// The order that it was for.
    order: String,
    /// How much is to be refunded, in the currency in which it came.
    amount: Amount,
    /// Why, in one word.
    reason: Option<String>,
    /// When the provider reported the payment, epoch milliseconds.
    received_ms: u64,
}

/// Refunds that are due, oldest first.
#[utoipa::path(get, path = "/ops/api/refunds", tag = "refunds", responses(
    (status = 200, body = Refunds),
))]
pub(super) async fn list(
    State(state): State<ConsoleState>,
    _: Operator,
) -> Result<Json<Refunds>, ConsoleError> {
    let due = state.store.get().await?.refunds_due().await?;
    let shop = state.config.currency;
    let mut sums: BTreeMap<Currency, u64> = BTreeMap::new();
    for Money { minor, currency } in due.iter().map(|it| it.amount(shop)) {
        let sum = sums.entry(currency).or_default();
        *sum = sum.saturating_add(minor);
    }
    let total = |(currency, minor)| Amount::of(Money::new(minor, currency));
    let (all, totals) = (due.len(), sums.into_iter().map(total).collect());
    let refund = |payment: Payment| Refund {
        amount: Amount::of(payment.amount(shop)),
        payment: payment.id,
        order: payment.order,
        reason: payment.reason,
        received_ms: payment.received_ms,
    };
    Ok(Json(Refunds {
        refunds: due.into_iter().take(MOST).map(refund).collect(),
        all,
        totals,
    }))
}
