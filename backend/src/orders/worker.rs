//! The steps of a batch of order messages up to the database.

use std::time::Duration;

use seckill_core::orders::order::{OrderId, OrderIds};
use seckill_core::orders::purchase::Reason;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::excused::Excused;
use super::job::{self, Job};
use super::outages::Outages;
use super::traced;
use crate::queue::{DeadLetters, Delivery, Queue, Queues, Receipt};
use crate::store::orders::{NewOrder, Placed};
use crate::store::{Store, StoreError};
use crate::{metrics, now_ms};

/// What can fail, as operators read it.
const NOT_PLACED: &str = "orders cannot be placed";

/// Places one batch after another.
pub(super) struct Worker<Q, C> {
    pub(super) queues: Queues<Q, C>,
    pub(super) store: Store,
    /// Takes placed orders to the steps after the commit.
    pub(super) placed: mpsc::Sender<Vec<(Job, Placed)>>,
    pub(super) letters: DeadLetters,
    pub(super) ids: OrderIds,
    pub(super) options: Options,
    pub(super) outages: Outages,
    /// When the database was away.
    pub(super) excused: Excused,
    pub(super) stop: CancellationToken,
}

impl<Q: Queue, C: Queue> Worker<Q, C> {
    /// The messages that can be read; the others become dead letters.
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

    /// Places orders, and hands them on to the steps after the commit.
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
        self.fail(taken, Reason::Duplicate).await;
        // The next batch is placed while this one is finished. Nobody takes it
        // only if the steps after the commit panicked, which ends the role.
        if !orders.is_empty() {
            let _ = self.placed.send(orders).await;
        }
    }

    /// Places jobs, retrying until it works or the worker is to stop. A message whose
    /// contents the database refuses is placed by itself and fails by itself.
    async fn place(&mut self, mut jobs: Vec<Job>) -> Option<Vec<(Job, Placed)>> {
        if jobs.is_empty() {
            return Some(Vec::new());
        }
        let mut held = Instant::now();
        loop {
            let orders = self.numbered(&jobs);
            let asked_ms = now_ms();
            match self.store.place_batch(&orders, asked_ms).await {
                Ok(placed) => {
                    self.excused.back(now_ms());
                    self.outages.over(NOT_PLACED);
                    metrics::PLACED.add(placed.len());
                    traced::placed(&job::spans(&jobs), &placed);
                    return Some(jobs.into_iter().zip(placed).collect());
                }
                Err(error) if !error.is_passing() || matches!(error, StoreError::NumberInUse) => {
                    return Some(self.place_singly(jobs).await);
                }
                Err(error) => {
                    self.excused.away(asked_ms);
                    self.outages.report_and_pause(NOT_PLACED, &error).await;
                    self.extend_or_requeue(&mut jobs, &mut held).await?;
                }
            }
        }
    }

    async fn place_singly(&mut self, jobs: Vec<Job>) -> Vec<(Job, Placed)> {
        let mut placed = Vec::with_capacity(jobs.len());
        for job in jobs {
            let order = self.numbered(std::slice::from_ref(&job));
            let mut written = self.store.place_batch(&order, now_ms()).await;
            if let Err(StoreError::NumberInUse) = written {
                let order = self.renumbered(&job);
                written = self.store.place_batch(&[order], now_ms()).await;
            }
            match written {
                Ok(one) => {
                    metrics::PLACED.add(one.len());
                    traced::placed(&[job.span.as_ref()], &one);
                    placed.extend(one.into_iter().next().map(|one| (job, one)));
                }
                Err(error) => self.retry_later(job, &error).await,
            }
        }
        placed
    }

    /// Requeues this message, or makes it a dead letter after its last attempt.
    async fn retry_later(&self, job: Job, error: &StoreError) {
        if !error.is_passing() && job.attempt >= self.options.attempts {
            let reason = format!("no order can be made of it: {error}");
            return self.bury(job.into_delivery(), reason).await;
        }
        let (request, after) = (&job.purchase.request, job::retry_after(job.attempt));
        metrics::RETRIED.count();
        tracing::warn!(%error, request, ?after, "an order is retried later");
        self.requeue(&[job.receipt], after).await;
    }

    /// Decides that these purchases fail. The decision is in the database before the
    /// messages are acknowledged; stock and permits follow it.
    pub(super) async fn fail(&mut self, jobs: Vec<Job>, reason: Reason) {
        if jobs.is_empty() {
            return;
        }
        let orders = self.numbered(&jobs);
        let mut decided = self.store.fail_batch(&orders, reason, now_ms()).await;
        if let Err(StoreError::NumberInUse) = decided {
            let orders: Vec<NewOrder> = jobs.iter().map(|job| self.renumbered(job)).collect();
            decided = self.store.fail_batch(&orders, reason, now_ms()).await;
        }
        if decided.is_ok() {
            traced::failed(&job::spans(&jobs), reason.as_str());
        }
        let receipts: Vec<Receipt> = jobs.into_iter().map(|job| job.receipt).collect();
        match decided {
            Ok(_) => {
                metrics::FAILED.add(receipts.len());
                self.acknowledge(&receipts).await;
            }
            Err(error) => {
                tracing::warn!(%error, ?reason, "purchases wait to be failed");
                self.requeue(&receipts, job::retry_after(1)).await;
            }
        }
    }

    async fn acknowledge(&self, receipts: &[Receipt]) {
        job::acknowledge(&self.queues.orders, receipts).await;
    }

    async fn requeue(&self, receipts: &[Receipt], after: Duration) {
        job::requeue(&self.queues.orders, receipts, after).await;
    }

    async fn bury(&self, delivery: Delivery, reason: String) {
        job::bury(&self.letters, &self.queues.orders, delivery, reason).await;
    }

    fn numbered(&mut self, jobs: &[Job]) -> Vec<NewOrder> {
        let now = now_ms();
        let pay_within = self.options.pay_within.as_millis();
        let pay_within_ms = u64::try_from(pay_within).unwrap_or(u64::MAX);
        let number = |job: &Job| NewOrder {
            id: job
                .purchase
                .order
                .map_or_else(|| self.ids.next(now), OrderId),
            purchase: job.purchase.clone(),
            pay_by_ms: now.saturating_add(pay_within_ms),
        };
        jobs.iter().map(number).collect()
    }

    /// An order under a number drawn here, because another order has the one that its
    /// purchase was given: two processes had the same worker id.
    fn renumbered(&mut self, job: &Job) -> NewOrder {
        let order = job.purchase.order;
        if order.is_some() {
            tracing::error!(
                order,
                user = job.purchase.user,
                "an order number was given twice: the buyer's order gets another one"
            );
        }
        let mut orders = self.numbered(std::slice::from_ref(job));
        let mut order = orders.swap_remove(0);
        order.id = self.ids.next(now_ms());
        order
    }

    /// Extends the hold on messages, so that waiting for the database does not count as a
    /// failed delivery. If the worker is to stop, requeues them and returns `None`.
    async fn extend_or_requeue(&self, jobs: &mut [Job], held: &mut Instant) -> Option<()> {
        let mut receipts: Vec<Receipt> = jobs.iter().map(|job| job.receipt.clone()).collect();
        if self.stop.is_cancelled() {
            self.requeue(&receipts, Duration::ZERO).await;
            return None;
        }
        if held.elapsed() < self.queues.orders.capabilities().hold / 3 {
            return Some(());
        }
        *held = Instant::now();
        if let Err(error) = self.queues.orders.extend(&mut receipts).await {
            tracing::debug!(%error, "messages may be delivered a second time");
        }
        for (job, receipt) in jobs.iter_mut().zip(receipts) {
            job.receipt = receipt;
        }
        Some(())
    }
}
