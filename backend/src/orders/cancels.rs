//! Cancels orders that were not paid in time, by the delayed messages that were
//! published when they were placed (course §139).

use std::time::Duration;

use seckill_core::keys;
use seckill_core::orders::message::CancelMessage;
use seckill_core::orders::order::{OrderId, State};
use tokio_util::sync::CancellationToken;

use super::job::{self, MAX_ATTEMPTS};
use super::outages::Outages;
use crate::now_ms;
use crate::queue::{DeadLetter, DeadLetters, Delivery, Queue, Receipt};
use crate::redis::segments::Segments;
use crate::stock::following::{self, FollowError};
use crate::store::Store;
use crate::store::orders::Order;
use crate::store::states::Changed;

/// Longest wait for a message, and so how late a stop is noticed.
const WAIT: Duration = Duration::from_millis(500);
/// Messages of one batch.
const BATCH: usize = 100;
/// What can fail, as operators read it.
const UNREADABLE: &str = "delayed cancels cannot be read; the sweep of the database will do";
const NOT_CANCELLED: &str = "unpaid orders cannot be cancelled";

/// What is to be done with a message.
enum Outcome {
    /// It is done: acknowledge it.
    Done,
    /// It came too early: requeue it for so long.
    Later(Duration),
    /// It can never be carried out: make it a dead letter.
    Dead(String),
}

/// Cancels until `stop`. Several may run: each order is cancelled once.
pub async fn run(
    queue: impl Queue,
    letters: DeadLetters,
    store: Store,
    segments: Segments,
    stop: CancellationToken,
) {
    let mut outages = Outages::new(stop.clone());
    while !stop.is_cancelled() {
        let batch = match queue.next(BATCH, WAIT).await {
            Ok(batch) => batch,
            Err(error) => {
                outages.report_and_pause(UNREADABLE, &error).await;
                continue;
            }
        };
        outages.over(UNREADABLE);
        let (mut done, mut cancelled) = (Vec::new(), Vec::new());
        for delivery in batch {
            let outcome = match expire(&store, &delivery, &mut cancelled).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    outages.report(NOT_CANCELLED, &error);
                    Outcome::Later(job::retry_after(delivery.attempt))
                }
            };
            match outcome {
                Outcome::Done => done.push(delivery.receipt),
                Outcome::Later(after) => requeue(&queue, delivery.receipt, after).await,
                Outcome::Dead(reason) => bury(&letters, &queue, delivery, reason).await,
            }
        }
        // Should this fail, the sweep finds that their stock is due.
        if let Err(error) = following::follow(&store, &segments, &cancelled).await {
            tracing::warn!(%error, "the stock of cancelled orders follows later");
        }
        if let Err(error) = queue.ack(&done).await {
            tracing::debug!(%error, "delayed cancels are redelivered");
        }
    }
}

/// Cancels the order that a message names, if it is still unpaid past its time.
async fn expire(
    store: &Store,
    delivery: &Delivery,
    cancelled: &mut Vec<Order>,
) -> Result<Outcome, FollowError> {
    if delivery.attempt > MAX_ATTEMPTS {
        return Ok(Outcome::Dead("it was tried too often".to_owned()));
    }
    let message = match CancelMessage::parse(&delivery.body) {
        Ok(message) => message,
        Err(error) => return Ok(Outcome::Dead(error.to_string())),
    };
    let now_ms = now_ms();
    let changed = store
        .expire(&message.user, OrderId(message.order), now_ms)
        .await?;
    Ok(match changed {
        Changed::Now(order) => {
            tracing::info!(order = %order.id, "an order was not paid in time and is cancelled");
            cancelled.push(order);
            Outcome::Done
        }
        // Delivered early: the queue cannot delay for that long, or money may be on its
        // way.
        Changed::Not(order) if order.state == State::Created => {
            let left_ms = store.cancelled_from_ms(&order).saturating_sub(now_ms);
            Outcome::Later(Duration::from_millis(left_ms.max(1)))
        }
        Changed::Not(_) | Changed::Missing => Outcome::Done,
    })
}

async fn requeue(queue: &impl Queue, receipt: Receipt, after: Duration) {
    if let Err(error) = queue.requeue(&[receipt], after).await {
        tracing::debug!(%error, "a delayed cancel is redelivered when its hold is over");
    }
}

async fn bury(letters: &DeadLetters, queue: &impl Queue, delivery: Delivery, reason: String) {
    tracing::error!(reason, "a delayed cancel becomes a dead letter");
    let letter = DeadLetter {
        body: delivery.body,
        reason,
        source: keys::QUEUE_CANCELS.to_owned(),
        attempts: delivery.attempt,
    };
    match letters.bury(letter).await {
        Ok(()) => {
            let _ = queue.ack(&[delivery.receipt]).await;
        }
        Err(error) => tracing::warn!(%error, "a dead letter was not stored"),
    }
}
