//! Places an order before its message's turn: its buyer came to see or to pay it.

use std::time::Duration;

use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::order::OrderId;

use super::records::{self, Numbered};
use crate::redis::segments::Segments;
use crate::store::orders::{NewOrder, Placed};
use crate::store::{Store, StoreError};
use crate::{metrics, now_ms};

/// Places the order of this purchase under `id`, its own number. The purchase's message
/// finds it placed later, and publishes its delayed cancel.
///
/// # Errors
/// The database is away, or refuses it; its message is placed as if nothing had been tried.
pub(crate) async fn place(
    store: &Store,
    segments: &Segments,
    (id, purchase): (OrderId, &OrderMessage),
    pay_within: Duration,
) -> Result<Placed, StoreError> {
    let now = now_ms();
    let pay_within_ms = u64::try_from(pay_within.as_millis()).unwrap_or(u64::MAX);
    let order = NewOrder {
        id,
        purchase: purchase.clone(),
        pay_by_ms: now.saturating_add(pay_within_ms),
    };
    let placed = store
        .place_batch(std::slice::from_ref(&order), now)
        .await?
        .pop()
        .unwrap_or(Placed::Failed);
    if let Placed::New(_) = placed {
        metrics::PLACED.add(1);
    }
    if let Placed::New(order) | Placed::Before(order) = placed {
        let numbered = Numbered {
            purchase,
            order: Some(order),
        };
        for written in records::write_numbers(segments, &[numbered]).await {
            if let Err(error) = written {
                // The message's delivery writes it too.
                tracing::debug!(%order, error, "a buyer's record gets its order number later");
            }
        }
    }
    Ok(placed)
}
