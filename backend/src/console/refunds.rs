//! Refunds due: payments that arrived and pay no order.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

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
    /// The sum of all, in cents.
    total_cents: u64,
}

/// A refund that is due.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Refund {
    /// The payment's id.
    payment: String,
    /// The order that it was for.
    order: String,
    /// How much is to be refunded, in cents.
    amount_cents: u64,
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
    let (all, total_cents) = (due.len(), due.iter().map(|it| it.amount_cents).sum());
    let refund = |payment: Payment| Refund {
        payment: payment.id,
        order: payment.order,
        amount_cents: payment.amount_cents,
        reason: payment.reason,
        received_ms: payment.received_ms,
    };
    Ok(Json(Refunds {
        refunds: due.into_iter().take(MOST).map(refund).collect(),
        all,
        total_cents,
    }))
}
