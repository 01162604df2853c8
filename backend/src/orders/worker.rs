//! The steps of a batch of order messages up to the database.

use std::time::Duration;

use seckill_core::orders::order::OrderIds;
use seckill_core::orders::purchase::Reason;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::job::{self, Job};
use super::trouble::Trouble;
use crate::now_ms;
use crate::queue::{DeadLetters, Delivery, Queue, Queues, Receipt};
use crate::store::orders::{NewOrder, Placed};
use crate::store::{Store, StoreError};

/// What may be wrong.
const NOT_PLACED: &str = "orders cannot be placed";

/// Works on one batch after another.
pub(super) struct Worker<Q, C> {
    pub(super) queues: Queues<Q, C>,
    pub(super) store: Store,
    /// Where placed orders go, to be finished.
    pub(super) placed: mpsc::Sender<Vec<(Job, Placed)>>,
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

    /// Places orders, and hands them on to be finished.
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
        // The next batch is placed while this one is finished. Nobody takes it
        // only if the finishing panicked, which ends the role.
        if !orders.is_empty() {
            let _ = self.placed.send(orders).await;
        }
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

    async fn acknowledge(&self, receipts: &[Receipt]) {
        job::acknowledge(&self.queues.orders, receipts).await;
    }

    async fn give_back(&self, receipts: &[Receipt], after: Duration) {
        job::give_back(&self.queues.orders, receipts, after).await;
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
