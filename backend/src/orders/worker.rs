//! The steps that a batch of order messages goes through.

use std::collections::HashMap;
use std::time::Duration;

use seckill_core::message::{CancelMessage, VERSION};
use seckill_core::order::{OrderId, OrderIds};
use seckill_core::purchase::Reason;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::job::{self, Job};
use super::tell::{self, Told};
use super::trouble::Trouble;
use crate::purchase::now_ms;
use crate::queue::{DeadLetters, Delivery, Message, Published, Queue, Queues, Receipt};
use crate::segments::Segments;
use crate::store::orders::{NewOrder, Placed};
use crate::store::{Store, StoreError};

/// What may be wrong with the parts that a worker uses.
const NOT_PLACED: &str = "orders cannot be placed";
const NOT_TOLD: &str = "buyers cannot be told of their orders";
const NOT_ANNOUNCED: &str =
    "delayed cancels cannot be published; the sweep of the database will do";

/// Works on one batch after another.
pub(super) struct Worker<Q, C> {
    pub(super) queues: Queues<Q, C>,
    pub(super) store: Store,
    pub(super) segments: Segments,
    pub(super) letters: DeadLetters,
    pub(super) ids: OrderIds,
    pub(super) options: Options,
    pub(super) trouble: Trouble,
    pub(super) stop: CancellationToken,
}

impl<Q: Queue, C: Queue> Worker<Q, C> {
    /// The messages that say what to do. The others will never be of use.
    pub(super) async fn readable(&self, batch: Vec<Delivery>) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(batch.len());
        for delivery in batch {
            match Job::read(&delivery) {
                Ok(job) => jobs.push(job),
                Err(reason) => self.bury(delivery, reason).await,
            }
        }
        jobs
    }

    /// Sees orders through all their steps.
    pub(super) async fn work(&mut self, jobs: Vec<Job>) {
        let Some(placed) = self.place(jobs).await else {
            return;
        };
        let (taken, orders): (Vec<_>, Vec<_>) = placed
            .into_iter()
            .partition(|(_, placed)| matches!(placed, Placed::Taken(_)));
        // A buyer with a live order from another purchase: only lost data can
        // lead to that.
        let taken = taken.into_iter().map(|(job, _)| job).collect();
        self.let_go(taken, Reason::Duplicate).await;
        self.finish(orders).await;
    }

    /// Places jobs, trying until it works or the worker is to stop. A message
    /// that the database refuses for what it says is set apart.
    async fn place(&mut self, mut jobs: Vec<Job>) -> Option<Vec<(Job, Placed)>> {
        if jobs.is_empty() {
            return Some(Vec::new());
        }
        let mut held = Instant::now();
        loop {
            let orders = self.numbered(&jobs);
            match self.store.place_batch(&orders, now_ms()).await {
                Ok(placed) => {
                    self.trouble.is_over(NOT_PLACED);
                    return Some(jobs.into_iter().zip(placed).collect());
                }
                Err(error) if !error.is_passing() => return Some(self.place_singly(jobs).await),
                Err(error) => {
                    self.trouble.wait(NOT_PLACED, &error).await;
                    self.keep_or_give_back(&mut jobs, &mut held).await?;
                }
            }
        }
    }

    async fn place_singly(&mut self, jobs: Vec<Job>) -> Vec<(Job, Placed)> {
        let mut placed = Vec::with_capacity(jobs.len());
        for job in jobs {
            let order = self.numbered(std::slice::from_ref(&job));
            match self.store.place_batch(&order, now_ms()).await {
                Ok(one) => placed.extend(one.into_iter().next().map(|one| (job, one))),
                Err(error) => self.put_off(job, &error).await,
            }
        }
        placed
    }

    /// Tries this message later, or never again.
    async fn put_off(&self, job: Job, error: &StoreError) {
        if !error.is_passing() && job.attempt >= self.options.attempts {
            let reason = format!("no order can be made of it: {error}");
            return self.bury(job.into_delivery(), reason).await;
        }
        let (request, after) = (&job.purchase.request, job::retry_after(job.attempt));
        tracing::warn!(%error, request, ?after, "an order is tried again later");
        self.give_back(&[job.receipt], after).await;
    }

    /// Decides that no orders are made of these. The decision is on record in
    /// the database before the messages are gone; stock and permits follow it.
    pub(super) async fn let_go(&mut self, jobs: Vec<Job>, reason: Reason) {
        if jobs.is_empty() {
            return;
        }
        let orders = self.numbered(&jobs);
        let decided = self.store.fail_batch(&orders, reason, now_ms()).await;
        let receipts: Vec<Receipt> = jobs.into_iter().map(|job| job.receipt).collect();
        match decided {
            Ok(_) => self.acknowledge(&receipts).await,
            Err(error) => {
                tracing::warn!(%error, ?reason, "purchases wait to be let go");
                self.give_back(&receipts, job::retry_after(1)).await;
            }
        }
    }

    /// Tells the records, announces the cancelling, and acknowledges; the orders
    /// are committed.
    async fn finish(&mut self, orders: Vec<(Job, Placed)>) {
        if orders.is_empty() {
            return;
        }
        let outcomes = tell::tell(&self.segments, &told(&orders)).await;
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
            self.give_back(&receipts, after).await;
        }
        self.acknowledge(&done).await;
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
            Some(message.after(self.options.pay_within))
        };
        let messages: Vec<Message> = orders.iter().filter_map(announce).collect();
        let outcomes = self.queues.cancels.publish(&messages).await;
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

    async fn acknowledge(&self, receipts: &[Receipt]) {
        if let Err(error) = self.queues.orders.ack(receipts).await {
            // They come again, and are found decided.
            tracing::warn!(%error, count = receipts.len(), "messages were not acknowledged");
        }
    }

    async fn give_back(&self, receipts: &[Receipt], after: Duration) {
        if let Err(error) = self.queues.orders.release(receipts, after).await {
            tracing::debug!(%error, "messages come again when their hold is over");
        }
    }

    async fn bury(&self, delivery: Delivery, reason: String) {
        job::bury(&self.letters, &self.queues.orders, delivery, reason).await;
    }

    fn numbered(&mut self, jobs: &[Job]) -> Vec<NewOrder> {
        let now = now_ms();
        let pay_within = self.options.pay_within.as_millis();
        let pay_within_ms = u64::try_from(pay_within).unwrap_or(u64::MAX);
        let number = |job: &Job| NewOrder {
            id: self.ids.next(now),
            purchase: job.purchase.clone(),
            pay_by_ms: now.saturating_add(pay_within_ms),
        };
        jobs.iter().map(number).collect()
    }

    /// Keeps hold of what is in hand, so that waiting for a part that is away
    /// does not count as a failed delivery; gives it back, and tells so by
    /// `None`, if the worker is to stop.
    async fn keep_or_give_back(&self, jobs: &mut [Job], held: &mut Instant) -> Option<()> {
        let mut receipts: Vec<Receipt> = jobs.iter().map(|job| job.receipt.clone()).collect();
        if self.stop.is_cancelled() {
            self.give_back(&receipts, Duration::ZERO).await;
            return None;
        }
        if held.elapsed() < self.queues.orders.capabilities().hold / 3 {
            return Some(());
        }
        *held = Instant::now();
        if let Err(error) = self.queues.orders.extend(&mut receipts).await {
            tracing::debug!(%error, "messages in hand may be handed out again");
        }
        for (job, receipt) in jobs.iter_mut().zip(receipts) {
            job.receipt = receipt;
        }
        Some(())
    }
}

/// What each buyer is to be told.
fn told(orders: &[(Job, Placed)]) -> Vec<Told<'_>> {
    let told = orders.iter().map(|(job, placed)| Told {
        purchase: &job.purchase,
        order: match placed {
            Placed::New(order) | Placed::Before(order) => Some(OrderId(order.0)),
            Placed::Taken(_) | Placed::Failed => None,
        },
    });
    told.collect()
}
