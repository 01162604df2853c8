//! The orders role: takes order messages from the queue at its own pace, places
//! them in batches, tells the buyers' records, and only then acknowledges.
//!
//! Each step may be repeated: placing a purchase again finds its order, telling
//! a record again changes nothing. So a worker may die anywhere.

use std::time::Duration;

use seckill_core::keys;
use seckill_core::message::OrderMessage;
use seckill_core::order::OrderIds;
use seckill_core::purchase::Reason;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::purchase::now_ms;
use crate::queue::{DeadLetter, DeadLetters, Delivery, Queue, QueueError, Receipt};
use crate::redis_link::{RedisLink, RedisLinkError};
use crate::segments::Segments;
use crate::store::orders::{NewOrder, Placed};
use crate::store::{Store, StoreError};

/// How many orders may be placed now.
mod pace;
/// Telling the buyers' records.
mod tell;

use pace::Pace;
use tell::Told;

/// How long to wait for a message before looking whether to stop.
const LOOK_ROUND: Duration = Duration::from_millis(500);
/// How long to pause when a part is away.
const PAUSE: Duration = Duration::from_millis(250);
/// A message that was handed out this often has killed its workers.
const MAX_ATTEMPTS: u32 = 16;

/// How fast orders are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Most orders a second over time. As many may be placed at once after a
    /// quiet second, so that few orders are never kept waiting.
    pub per_second: u32,
    /// Most orders in flight at once: taken from the queue and not yet committed.
    pub in_flight: usize,
    /// Number of this worker, 0 to 1,023, unique among those that run; drawn
    /// from a counter in Redis if `None`.
    pub worker: Option<u16>,
    /// How long a buyer has to pay.
    pub pay_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            per_second: 500,
            in_flight: 125,
            worker: None,
            pay_within: Duration::from_secs(600),
        }
    }
}

/// Places orders until told to stop; what is in hand then is finished, or given
/// back to the queue if that is not possible at once.
pub async fn run(
    queue: impl Queue,
    store: Store,
    redis: RedisLink,
    segments: Segments,
    options: Options,
    stop: CancellationToken,
) {
    let Some(number) = worker_number(&redis, options.worker, &stop).await else {
        return;
    };
    let mut pace = Pace::new(options.per_second, Instant::now());
    let mut worker = Worker {
        queue,
        store,
        letters: DeadLetters::new(redis, segments.clone()),
        segments,
        ids: OrderIds::new(number),
        pay_within_ms: u64::try_from(options.pay_within.as_millis()).unwrap_or(u64::MAX),
        stop,
    };
    while !worker.stop.is_cancelled() {
        let allowed = pace.allowed(Instant::now()).min(options.in_flight.max(1));
        if allowed == 0 {
            tokio::time::sleep(pace.pause()).await;
            continue;
        }
        match worker.queue.next(allowed, LOOK_ROUND).await {
            Ok(batch) => {
                pace.used(batch.len());
                worker.work(batch).await;
            }
            Err(error) => worker.wait("messages cannot be read", &error).await,
        }
    }
}

/// This worker's number. A counter rather than chance: a thousand starts pass
/// before one comes again.
async fn worker_number(
    redis: &RedisLink,
    given: Option<u16>,
    stop: &CancellationToken,
) -> Option<u16> {
    if given.is_some() {
        return given;
    }
    while !stop.is_cancelled() {
        let drawn: Result<u64, RedisLinkError> = async {
            let mut conn = redis.conn().await?;
            Ok(redis::cmd("INCR")
                .arg(keys::WORKERS)
                .query_async(&mut conn)
                .await?)
        }
        .await;
        match drawn {
            Ok(number) => return u16::try_from(number % 1024).ok(),
            Err(error) => {
                tracing::warn!(%error, "the orders worker waits for its number");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    None
}

struct Worker<Q> {
    queue: Q,
    store: Store,
    segments: Segments,
    letters: DeadLetters,
    ids: OrderIds,
    pay_within_ms: u64,
    stop: CancellationToken,
}

/// A message in hand.
struct Job {
    receipt: Receipt,
    attempt: u32,
    purchase: OrderMessage,
}

impl<Q: Queue> Worker<Q> {
    /// Sees a batch through all its steps.
    async fn work(&mut self, batch: Vec<Delivery>) {
        let mut jobs = Vec::with_capacity(batch.len());
        for delivery in batch {
            match readable(&delivery) {
                Ok(purchase) => {
                    let Delivery {
                        receipt, attempt, ..
                    } = delivery;
                    jobs.push(Job {
                        receipt,
                        attempt,
                        purchase,
                    });
                }
                Err(reason) => self.bury(delivery, reason).await,
            }
        }
        let Some(placed) = self.place(jobs).await else {
            return;
        };
        let (taken, orders): (Vec<_>, Vec<_>) = placed
            .into_iter()
            .partition(|(_, placed)| matches!(placed, Placed::Taken(_)));
        self.let_go(taken.into_iter().map(|(job, _)| job).collect())
            .await;
        self.finish(orders).await;
    }

    /// Places jobs, trying until it works or the worker is to stop. A message
    /// that the database refuses for what it says is set apart.
    async fn place(&mut self, mut jobs: Vec<Job>) -> Option<Vec<(Job, Placed)>> {
        if jobs.is_empty() {
            return Some(Vec::new());
        }
        loop {
            let orders = self.numbered(&jobs);
            match self.store.place_batch(&orders, now_ms()).await {
                Ok(placed) => return Some(jobs.into_iter().zip(placed).collect()),
                Err(error) if !error.is_passing() => return Some(self.place_singly(jobs).await),
                Err(error) => {
                    self.wait("orders cannot be placed", &error).await;
                    self.keep_or_give_back(jobs.iter_mut()).await?;
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
                // Left unacknowledged, it comes again.
                Err(error) if error.is_passing() => tracing::warn!(%error, "an order waits"),
                Err(error) => self.bury(job.into_delivery(), refused(&error)).await,
            }
        }
        placed
    }

    /// Has the stock of purchases go back whose buyer has a live order from
    /// another one, which only lost data can lead to.
    async fn let_go(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let orders = self.numbered(&jobs);
        let decided = self.store.fail_batch(&orders, Reason::Duplicate, now_ms());
        match decided.await {
            Ok(_) => self.acknowledge(&jobs).await,
            // Left unacknowledged, they come again.
            Err(error) => tracing::warn!(%error, "second orders of a buyer wait to be let go"),
        }
    }

    async fn acknowledge(&self, jobs: &[Job]) {
        let receipts: Vec<Receipt> = jobs.iter().map(|job| job.receipt.clone()).collect();
        if let Err(error) = self.queue.ack(&receipts).await {
            // They come again, and are found decided.
            tracing::warn!(%error, count = receipts.len(), "messages were not acknowledged");
        }
    }

    /// Tells the records and acknowledges; the orders are committed.
    async fn finish(&mut self, mut orders: Vec<(Job, Placed)>) {
        if orders.is_empty() {
            return;
        }
        while let Err(error) = tell::tell(&self.segments, &told(&orders)).await {
            self.wait("buyers cannot be told of their orders", &error)
                .await;
            let jobs = orders.iter_mut().map(|(job, _)| job);
            if self.keep_or_give_back(jobs).await.is_none() {
                return;
            }
        }
        let receipts: Vec<Receipt> = orders.iter().map(|(job, _)| job.receipt.clone()).collect();
        if let Err(error) = self.queue.ack(&receipts).await {
            // They come again, and are found placed.
            tracing::warn!(%error, count = receipts.len(), "placed orders were not acknowledged");
        }
        tracing::debug!(count = receipts.len(), "orders placed");
    }

    fn numbered(&mut self, jobs: &[Job]) -> Vec<NewOrder> {
        let now = now_ms();
        let number = |job: &Job| NewOrder {
            id: self.ids.next(now),
            purchase: job.purchase.clone(),
            pay_by_ms: now.saturating_add(self.pay_within_ms),
        };
        jobs.iter().map(number).collect()
    }

    /// Keeps hold of what is in hand, so that waiting for a part that is away
    /// does not count as a failed delivery; gives it back, and tells so by
    /// `None`, if the worker is to stop.
    async fn keep_or_give_back(&self, jobs: impl Iterator<Item = &mut Job>) -> Option<()> {
        let jobs: Vec<&mut Job> = jobs.collect();
        let mut receipts: Vec<Receipt> = jobs.iter().map(|job| job.receipt.clone()).collect();
        let stopping = self.stop.is_cancelled();
        let done = match stopping {
            true => self.queue.release(&receipts, Duration::ZERO).await,
            false => self.queue.extend(&mut receipts).await,
        };
        if let Err(error) = done {
            tracing::debug!(%error, "messages in hand may be handed out again");
        }
        for (job, receipt) in jobs.into_iter().zip(receipts) {
            job.receipt = receipt;
        }
        (!stopping).then_some(())
    }

    async fn bury(&self, delivery: Delivery, reason: String) {
        tracing::error!(reason, "an order message goes to the dead letters");
        let letter = DeadLetter {
            body: delivery.body,
            reason,
            source: keys::QUEUE_ORDERS.to_owned(),
            attempts: delivery.attempt,
        };
        let buried: Result<(), QueueError> = async {
            self.letters.bury(letter).await?;
            self.queue.ack(&[delivery.receipt]).await
        }
        .await;
        if let Err(error) = buried {
            tracing::warn!(%error, "a dead letter was not put away; its message comes again");
        }
    }

    async fn wait(&self, what: &str, error: &(dyn std::error::Error + Sync)) {
        tracing::warn!(%error, "{what}; trying again");
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

impl Job {
    fn into_delivery(self) -> Delivery {
        let body = self.purchase.to_json().into_bytes();
        Delivery {
            receipt: self.receipt,
            body,
            attempt: self.attempt,
        }
    }
}

/// The purchase in a message, or why there is none to be had.
fn readable(delivery: &Delivery) -> Result<OrderMessage, String> {
    if delivery.attempt > MAX_ATTEMPTS {
        let times = delivery.attempt;
        return Err(format!(
            "it was handed out {times} times and never finished"
        ));
    }
    OrderMessage::parse(&delivery.body).map_err(|error| error.to_string())
}

/// The orders whose buyers are to be told.
fn told(orders: &[(Job, Placed)]) -> Vec<Told<'_>> {
    let told = orders.iter().filter_map(|(job, placed)| match placed {
        Placed::New(order) | Placed::Before(order) => Some(Told {
            purchase: &job.purchase,
            order: *order,
        }),
        Placed::Taken(_) | Placed::Failed => None,
    });
    told.collect()
}

fn refused(error: &StoreError) -> String {
    format!("no order can be made of it: {error}")
}
