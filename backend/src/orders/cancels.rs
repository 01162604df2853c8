//! Cancels orders that were not paid in time, as the delayed messages tell that
//! were published when they were placed (course §139).

use std::time::Duration;

use seckill_core::keys;
use seckill_core::orders::message::CancelMessage;
use seckill_core::orders::order::{OrderId, State};
use tokio_util::sync::CancellationToken;

use super::job::{self, MAX_ATTEMPTS};
use super::trouble::Trouble;
use crate::now_ms;
use crate::queue::{DeadLetter, DeadLetters, Delivery, Queue, Receipt};
use crate::redis::segments::Segments;
use crate::stock::following::{self, FollowError};
use crate::store::Store;
use crate::store::orders::Order;
use crate::store::states::Changed;

/// How long to wait for a message before looking whether to stop.
const LOOK_ROUND: Duration = Duration::from_millis(500);
/// Messages worked on at a time.
const BATCH: usize = 100;
/// What may be wrong.
const UNREADABLE: &str = "delayed cancels cannot be read; the sweep of the database will do";
const NOT_CANCELLED: &str = "unpaid orders cannot be cancelled";

/// What is to be done with a message.
enum Verdict {
    /// It is done.
    Done,
    /// It came too early.
    Later(Duration),
    /// It will never be of use.
    Useless(String),
}

/// Cancels until told to stop. Several may run: each order is cancelled once.
pub async fn run(
    queue: impl Queue,
    letters: DeadLetters,
    store: Store,
    segments: Segments,
    stop: CancellationToken,
) {
    let mut trouble = Trouble::new(stop.clone());
    while !stop.is_cancelled() {
        let batch = match queue.next(BATCH, LOOK_ROUND).await {
            Ok(batch) => batch,
            Err(error) => {
                trouble.wait(UNREADABLE, &error).await;
                continue;
            }
        };
        trouble.is_over(UNREADABLE);
        let (mut done, mut cancelled) = (Vec::new(), Vec::new());
        for delivery in batch {
            let verdict = match expire(&store, &delivery, &mut cancelled).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    trouble.say(NOT_CANCELLED, &error);
                    Verdict::Later(job::retry_after(delivery.attempt))
                }
            };
            match verdict {
                Verdict::Done => done.push(delivery.receipt),
                Verdict::Later(after) => give_back(&queue, delivery.receipt, after).await,
                Verdict::Useless(reason) => bury(&letters, &queue, delivery, reason).await,
            }
        }
        // Should this fail, the sweep finds that their stock is due.
        if let Err(error) = following::follow(&store, &segments, &cancelled).await {
            tracing::warn!(%error, "the stock of cancelled orders follows later");
        }
        if let Err(error) = queue.ack(&done).await {
            tracing::debug!(%error, "delayed cancels come again");
        }
    }
}

/// Cancels the order that a message names, if it is still unpaid past its time.
async fn expire(
    store: &Store,
    delivery: &Delivery,
    cancelled: &mut Vec<Order>,
) -> Result<Verdict, FollowError> {
    if delivery.attempt > MAX_ATTEMPTS {
        return Ok(Verdict::Useless("it was tried too often".to_owned()));
    }
    let message = match CancelMessage::parse(&delivery.body) {
        Ok(message) => message,
        Err(error) => return Ok(Verdict::Useless(error.to_string())),
    };
    let now_ms = now_ms();
    let changed = store
        .expire(&message.user, OrderId(message.order), now_ms)
        .await?;
    Ok(match changed {
        Changed::Now(order) => {
            tracing::info!(order = %order.id, "an order was not paid in time and is cancelled");
            cancelled.push(order);
            Verdict::Done
        }
        // Sooner than asked for: the queue keeps nothing back for that long.
        Changed::Not(order) if order.state == State::Created => {
            let left_ms = order.pay_by_ms.saturating_sub(now_ms);
            Verdict::Later(Duration::from_millis(left_ms.max(1)))
        }
        Changed::Not(_) | Changed::Missing => Verdict::Done,
    })
}

async fn give_back(queue: &impl Queue, receipt: Receipt, after: Duration) {
    if let Err(error) = queue.requeue(&[receipt], after).await {
        tracing::debug!(%error, "a delayed cancel comes again when its hold is over");
    }
}

async fn bury(letters: &DeadLetters, queue: &impl Queue, delivery: Delivery, reason: String) {
    tracing::error!(reason, "a delayed cancel goes to the dead letters");
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
        Err(error) => tracing::warn!(%error, "a dead letter was not put away"),
    }
}
