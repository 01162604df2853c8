//! The steps after orders are committed: their numbers in the buyers' records, the
//! delayed cancels, and the acknowledgements.

use std::collections::HashMap;
use std::time::Duration;

use seckill_core::orders::message::{CancelMessage, VERSION};
use seckill_core::orders::order::OrderId;
use tokio::sync::mpsc;

use super::job::{self, Job};
use super::outages::Outages;
use super::records::{self, Numbered};
use crate::queue::{Message, Published, Queue, Receipt};
use crate::redis::segments::Segments;
use crate::store::orders::Placed;

/// What can fail, as operators read it.
const NOT_RECORDED: &str = "buyers' records do not get their order numbers";
const NOT_PUBLISHED: &str =
    "delayed cancels cannot be published; the sweep of the database will do";

/// Takes these steps for one batch while the worker places the next.
pub(super) struct AfterCommit<Q, C> {
    pub(super) orders: Q,
    pub(super) cancels: C,
    pub(super) segments: Segments,
    pub(super) pay_within: Duration,
    pub(super) outages: Outages,
}

impl<Q: Queue, C: Queue> AfterCommit<Q, C> {
    /// Finishes the batches that arrive, until the worker is gone.
    pub(super) async fn run(mut self, mut placed: mpsc::Receiver<Vec<(Job, Placed)>>) {
        while let Some(orders) = placed.recv().await {
            self.finish(orders).await;
        }
    }

    /// Writes the records, publishes the delayed cancels, and acknowledges.
    async fn finish(&mut self, orders: Vec<(Job, Placed)>) {
        let outcomes = records::write_numbers(&self.segments, &numbered(&orders)).await;
        self.publish_cancels(&orders).await;
        let mut done = Vec::with_capacity(orders.len());
        let mut retries: HashMap<Duration, Vec<Receipt>> = HashMap::new();
        for ((job, _), outcome) in orders.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => done.push(job.receipt),
                // It is redelivered and found placed, and its record is written then.
                Err(error) => {
                    self.outages.report(NOT_RECORDED, &error);
                    let after = job::retry_after(job.attempt);
                    retries.entry(after).or_default().push(job.receipt);
                }
            }
        }
        if retries.is_empty() {
            self.outages.over(NOT_RECORDED);
        }
        for (after, receipts) in retries {
            job::requeue(&self.orders, &receipts, after).await;
        }
        job::acknowledge(&self.orders, &done).await;
        tracing::debug!(count = done.len(), "orders placed");
    }

    /// Publishes a message for each order that arrives when its time to pay is over.
    async fn publish_cancels(&mut self, orders: &[(Job, Placed)]) {
        let cancel = |(job, placed): &(Job, Placed)| {
            let (Placed::New(order) | Placed::Before(order)) = placed else {
                return None;
            };
            let message = CancelMessage {
                v: VERSION,
                order: order.0,
                user: job.purchase.user.clone(),
            };
            let message = Message::new(message.to_json(), &order.to_string());
            Some(message.after(self.pay_within))
        };
        let messages: Vec<Message> = orders.iter().filter_map(cancel).collect();
        let outcomes = self.cancels.publish(&messages).await;
        let reason = outcomes.into_iter().find_map(|outcome| match outcome {
            Published::Stored => None,
            Published::NotStored(reason)
            | Published::Unknown(reason)
            | Published::Rejected(reason) => Some(reason),
        });
        match reason {
            Some(reason) => self.outages.report(NOT_PUBLISHED, &reason),
            None => self.outages.over(NOT_PUBLISHED),
        }
    }
}

/// The orders with their purchases.
fn numbered(orders: &[(Job, Placed)]) -> Vec<Numbered<'_>> {
    let numbered = orders.iter().map(|(job, placed)| Numbered {
        purchase: &job.purchase,
        order: match placed {
            Placed::New(order) | Placed::Before(order) => Some(OrderId(order.0)),
            Placed::Taken(_) | Placed::Failed => None,
        },
    });
    numbered.collect()
}
