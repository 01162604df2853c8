//! The steps of placed orders: the buyers' records, the delayed cancels, and the
//! acknowledgements.

use std::collections::HashMap;
use std::time::Duration;

use seckill_core::orders::message::{CancelMessage, VERSION};
use seckill_core::orders::order::OrderId;
use tokio::sync::mpsc;

use super::job::{self, Job};
use super::records::{self, Numbered};
use super::trouble::Trouble;
use crate::queue::{Message, Published, Queue, Receipt};
use crate::redis::segments::Segments;
use crate::store::orders::Placed;

/// What may be wrong.
const NOT_TOLD: &str = "buyers cannot be told of their orders";
const NOT_ANNOUNCED: &str =
    "delayed cancels cannot be published; the sweep of the database will do";

/// Finishes one batch while the worker places the next.
pub(super) struct Finisher<Q, C> {
    pub(super) orders: Q,
    pub(super) cancels: C,
    pub(super) segments: Segments,
    pub(super) pay_within: Duration,
    pub(super) trouble: Trouble,
}

impl<Q: Queue, C: Queue> Finisher<Q, C> {
    /// Finishes what comes, until nothing more can come.
    pub(super) async fn run(mut self, mut placed: mpsc::Receiver<Vec<(Job, Placed)>>) {
        while let Some(orders) = placed.recv().await {
            self.finish(orders).await;
        }
    }

    /// Tells the records, announces the cancelling, and acknowledges; the orders
    /// are committed.
    async fn finish(&mut self, orders: Vec<(Job, Placed)>) {
        let outcomes = records::write_numbers(&self.segments, &numbered(&orders)).await;
        self.announce_cancels(&orders).await;
        let mut done = Vec::with_capacity(orders.len());
        let mut again: HashMap<Duration, Vec<Receipt>> = HashMap::new();
        for ((job, _), outcome) in orders.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => done.push(job.receipt),
                // It comes again, is found placed, and its buyer is told then.
                Err(error) => {
                    self.trouble.say(NOT_TOLD, &error);
                    let after = job::retry_after(job.attempt);
                    again.entry(after).or_default().push(job.receipt);
                }
            }
        }
        if again.is_empty() {
            self.trouble.is_over(NOT_TOLD);
        }
        for (after, receipts) in again {
            job::give_back(&self.orders, &receipts, after).await;
        }
        job::acknowledge(&self.orders, &done).await;
        tracing::debug!(count = done.len(), "orders placed");
    }

    /// Has a message come for each order when its time to be paid is over.
    async fn announce_cancels(&mut self, orders: &[(Job, Placed)]) {
        let announce = |(job, placed): &(Job, Placed)| {
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
        let messages: Vec<Message> = orders.iter().filter_map(announce).collect();
        let outcomes = self.cancels.publish(&messages).await;
        let reason = outcomes.into_iter().find_map(|outcome| match outcome {
            Published::Stored => None,
            Published::NotStored(reason)
            | Published::Unknown(reason)
            | Published::Rejected(reason) => Some(reason),
        });
        match reason {
            Some(reason) => self.trouble.say(NOT_ANNOUNCED, &reason),
            None => self.trouble.is_over(NOT_ANNOUNCED),
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
