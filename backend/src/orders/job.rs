//! One order message and what may be done with it.

use std::time::Duration;

use seckill_core::keys;
use seckill_core::orders::message::OrderMessage;

use super::excused::Excused;
use super::traced;
use crate::queue::dead_letters::REDRIVEN;
use crate::queue::{DeadLetter, DeadLetters, Delivery, Queue, QueueError, Receipt};
use crate::trace::Span;

/// A message that was delivered more often than this has killed its workers, or waits
/// for something that does not come back. RocketMQ itself would give it up after 17.
pub(super) const MAX_ATTEMPTS: u32 = 16;
/// Delay before the first redelivery, and the longest.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// A purchase to be placed.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) receipt: Receipt,
    pub(super) attempt: u32,
    pub(super) key: String,
    pub(super) purchase: OrderMessage,
    /// The span of placing it, if it is traced.
    pub(super) span: Option<Span>,
}

impl Job {
    /// Reads the purchase in a message; the error says why there is none.
    pub(super) fn read(delivery: &Delivery) -> Result<Self, String> {
        let attempt = delivery.attempt;
        if attempt > MAX_ATTEMPTS {
            return Err(format!(
                "it was delivered {attempt} times and never finished"
            ));
        }
        let mut purchase =
            OrderMessage::parse(&delivery.body).map_err(|error| error.to_string())?;
        Ok(Self {
            receipt: delivery.receipt.clone(),
            attempt,
            key: delivery.key.clone(),
            span: traced::received(&mut purchase, attempt),
            purchase,
        })
    }

    /// Turns it back into its message.
    pub(super) fn into_delivery(self) -> Delivery {
        Delivery {
            body: self.purchase.to_json().into_bytes(),
            receipt: self.receipt,
            key: self.key,
            attempt: self.attempt,
        }
    }

    /// How long the buyer has waited, in ms; `None` if that says nothing of the queue,
    /// because the message was tried before or is a redriven dead letter.
    /// While the database was away it waited for that.
    pub(super) fn waited_ms(&self, now_ms: u64, excused: &Excused) -> Option<u64> {
        let fresh = self.attempt == 1 && self.key != REDRIVEN;
        let made_ms = self.purchase.at_ms;
        let waited_ms = now_ms.saturating_sub(made_ms);
        fresh.then(|| waited_ms.saturating_sub(excused.between(made_ms, now_ms)))
    }
}

/// The spans of placing these orders, `None` for those that are not traced.
pub(super) fn spans(jobs: &[Job]) -> Vec<Option<&Span>> {
    jobs.iter().map(|job| job.span.as_ref()).collect()
}

/// Delay before a message that could not be finished at its `attempt` is redelivered: 1 s
/// after the first, then twice as long each time, up to five minutes.
pub(super) fn retry_after(attempt: u32) -> Duration {
    let doubled = 2u32.saturating_pow(attempt.saturating_sub(1));
    FIRST_RETRY.saturating_mul(doubled).min(LONGEST_RETRY)
}

/// Acknowledges messages that are done.
pub(super) async fn acknowledge(queue: &impl Queue, receipts: &[Receipt]) {
    if let Err(error) = queue.ack(receipts).await {
        // They are redelivered, and found decided.
        tracing::warn!(%error, count = receipts.len(), "messages were not acknowledged");
    }
}

/// Requeues messages, to be redelivered after a while.
pub(super) async fn requeue(queue: &impl Queue, receipts: &[Receipt], after: Duration) {
    if let Err(error) = queue.requeue(receipts, after).await {
        tracing::debug!(%error, "messages are redelivered when their hold is over");
    }
}

/// Makes a message of the orders queue a dead letter.
pub(super) async fn bury(
    letters: &DeadLetters,
    queue: &impl Queue,
    delivery: Delivery,
    reason: String,
) {
    tracing::error!(reason, "an order message becomes a dead letter");
    let letter = DeadLetter {
        body: delivery.body,
        reason,
        source: keys::QUEUE_ORDERS.to_owned(),
        attempts: delivery.attempt,
    };
    let buried: Result<(), QueueError> = async {
        letters.bury(letter).await?;
        queue.ack(&[delivery.receipt]).await
    }
    .await;
    if let Err(error) = buried {
        tracing::warn!(%error, "a dead letter was not stored; its message is redelivered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_five_minutes() {
        let seconds = [1, 2, 4, 8, 16].map(Duration::from_secs);
        assert_eq!([1, 2, 3, 4, 5].map(retry_after), seconds);
        assert_eq!(retry_after(10), LONGEST_RETRY);
        assert_eq!(retry_after(u32::MAX), LONGEST_RETRY);
    }
}
