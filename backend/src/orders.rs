//! The orders role: takes order messages from the queue at its own pace, places
//! them in batches, tells the buyers' records, and only then acknowledges.
//!
//! Each step may be repeated: placing a purchase again finds its order, telling
//! a record again changes nothing. So a worker may die anywhere.

use std::time::Duration;

use seckill_core::orders::order::OrderIds;
use seckill_core::orders::purchase::Reason;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::now_ms;
use crate::queue::{DeadLetters, Queue, Queues};
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::store::Store;

/// How long messages wait, and which are let go when that is too long.
mod backlog;
/// Cancelling what was not paid in time.
pub mod cancels;
/// What is left to do for orders that are placed.
mod finish;
/// A message in hand.
mod job;
/// Notifying buyers about their orders, by webhook and e-mail.
pub mod notices;
/// This worker's number.
mod number;
/// How many orders may be placed now.
mod pace;
/// Writing order numbers into the buyers' records.
mod records;
/// Redrives dead letters from time to time.
pub mod redrive;
/// Saying once that something is away.
mod trouble;
/// The steps of a batch.
mod worker;

use backlog::Watch;
use finish::Finisher;
use pace::Pace;
use trouble::Trouble;
use worker::Worker;

/// How long to wait for a message before looking whether to stop.
const LOOK_ROUND: Duration = Duration::from_millis(500);
/// Batches that are placed and wait to be finished, besides the one in work.
const TO_FINISH: usize = 1;
/// What is wrong when the queue is away.
const UNREADABLE: &str = "messages cannot be read";

/// How orders are written.
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
    /// How often a message that cannot be placed is tried before it goes to the
    /// dead letters.
    pub attempts: u32,
    /// How long a message may wait before part of those behind it is let go.
    pub backlog_after: Duration,
    /// How many a second are let go then.
    pub release_per_second: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            per_second: 500,
            in_flight: 125,
            worker: None,
            pay_within: Duration::from_secs(600),
            attempts: 5,
            backlog_after: Duration::from_secs(120),
            release_per_second: 1000,
        }
    }
}

/// Places orders until told to stop; what is in hand then is finished, or given
/// back to the queue if that is not possible at once.
pub async fn run<Q: Queue, C: Queue>(
    queues: Queues<Q, C>,
    store: Store,
    redis: RedisLink,
    segments: Segments,
    options: Options,
    stop: CancellationToken,
) {
    let Some(number) = number::draw(&redis, options.worker, &stop).await else {
        return;
    };
    let (placed, to_finish) = mpsc::channel(TO_FINISH);
    let finisher = Finisher {
        orders: queues.orders.clone(),
        cancels: queues.cancels.clone(),
        segments: segments.clone(),
        pay_within: options.pay_within,
        trouble: Trouble::new(stop.clone()),
    };
    let watch = Watch::new(redis.clone(), options.backlog_after);
    let worker = Worker {
        letters: DeadLetters::new(redis, segments),
        queues,
        store,
        placed,
        ids: OrderIds::new(number),
        options,
        trouble: Trouble::new(stop.clone()),
        stop,
    };
    // The finisher ends when the worker, and with it the way there, is gone.
    tokio::join!(place(worker, watch), finisher.run(to_finish));
}

/// Takes messages and places them until told to stop.
async fn place<Q: Queue, C: Queue>(mut worker: Worker<Q, C>, mut watch: Watch) {
    let now = Instant::now();
    let mut pace = Pace::new(worker.options.per_second, now);
    let mut release_pace = Pace::new(worker.options.release_per_second, now);
    let most = worker.options.in_flight.max(1);
    while !worker.stop.is_cancelled() {
        let now = Instant::now();
        let placing = pace.allowed(now).min(most);
        let releasing = match watch.is_backlog() {
            true => release_pace.allowed(now).min(most),
            false => 0,
        };
        if placing + releasing == 0 {
            tokio::time::sleep(pace.pause()).await;
            continue;
        }
        match worker
            .queues
            .orders
            .next(placing + releasing, LOOK_ROUND)
            .await
        {
            Ok(batch) => {
                worker.trouble.is_over(UNREADABLE);
                let jobs = worker.readable(batch).await;
                let now_ms = now_ms();
                watch.saw(&jobs, now_ms).await;
                let (place, let_go) = watch.split(jobs, placing, now_ms);
                pace.used(place.len());
                release_pace.used(let_go.len());
                worker.let_go(let_go, Reason::Backlog).await;
                worker.work(place).await;
            }
            Err(error) => worker.trouble.wait(UNREADABLE, &error).await,
        }
    }
}
