//! The orders role: takes order messages from the queue at its own pace, places them in
//! batches, writes the order numbers into the buyers' records, and only then
//! acknowledges.
//!
//! Each step may be repeated: placing a purchase again finds its order, writing a number
//! again changes nothing. So a worker may die anywhere. What lives here may use the
//! queue, the database, the stock and Redis, and call others over HTTP; it serves none.

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

/// The steps after orders are committed.
mod after_commit;
/// Places an order before its message's turn.
pub(crate) mod at_once;
/// How long messages wait, and which are failed when that is too long.
mod backlog;
/// Cancelling what was not paid in time.
pub mod cancels;
/// When the database was away.
mod excused;
/// Sends every change of an order to the shop's own systems.
pub mod feed;
/// Reads the order form.
pub mod form_file;
/// Gives up dead letters.
pub mod give_up;
/// One order message and what may be done with it.
mod job;
/// Notifying buyers about their orders, by webhook and e-mail.
pub mod notifications;
/// What fails at the moment, reported once.
mod outages;
/// The port to payment providers, its adapters, and reconciliation with their records.
pub mod payments;
/// Writing order numbers into the buyers' records.
mod records;
/// Redrives dead letters from time to time.
pub mod redrive;
/// Removing what is old and settled from the database, after exporting it.
pub mod retention;
/// How many orders may be placed now.
mod throttle;
/// The traces of orders that are placed together.
mod traced;
/// The steps of a batch up to the commit.
mod worker;
/// The worker id, which tells order numbers apart.
pub(crate) mod worker_id;

use after_commit::AfterCommit;
use backlog::BacklogWatch;
use excused::Excused;
use outages::Outages;
use throttle::{SiteThrottle, Throttle};
use worker::Worker;

/// Longest wait for a message, and so how late a stop is noticed.
const WAIT: Duration = Duration::from_millis(500);
/// Batches that are placed and wait for the steps after the commit.
const PLACED: usize = 1;
/// What fails when the queue is away, as operators read it.
const UNREADABLE: &str = "messages cannot be read";

/// How orders are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Most orders a second over time, of all workers of the site together. As many may be placed at once after a
    /// quiet second, so that few orders are never kept waiting.
    pub per_second: u32,
    /// Most orders in flight at once: taken from the queue and not yet committed.
    pub in_flight: usize,
    /// The worker id, 0 to 1,023, unique among the workers that run; drawn from a
    /// counter in Redis if `None`.
    pub worker: Option<u16>,
    /// How long a buyer has to pay.
    pub pay_within: Duration,
    /// How often a message that cannot be placed is tried before it becomes a dead
    /// letter.
    pub attempts: u32,
    /// How long a message may wait before part of the backlog is failed.
    pub backlog_after: Duration,
    /// How many a second are failed then.
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

/// Places orders until `stop`. Messages taken by then are finished, or requeued if that
/// is not possible at once.
pub async fn run<Q: Queue, C: Queue>(
    queues: Queues<Q, C>,
    store: Store,
    redis: RedisLink,
    segments: Segments,
    options: Options,
    stop: CancellationToken,
) {
    let Some(worker_id) = worker_id::draw(&redis, options.worker, &stop).await else {
        return;
    };
    let (placed, committed) = mpsc::channel(PLACED);
    let after_commit = AfterCommit {
        orders: queues.orders.clone(),
        cancels: queues.cancels.clone(),
        segments: segments.clone(),
        pay_within: options.pay_within,
        outages: Outages::new(stop.clone()),
    };
    let watch = BacklogWatch::new(redis.clone(), options.backlog_after);
    let throttle = SiteThrottle::new(redis.clone(), options.per_second, Instant::now());
    let worker = Worker {
        letters: DeadLetters::new(redis, segments),
        queues,
        store,
        placed,
        ids: OrderIds::new(worker_id),
        options,
        outages: Outages::new(stop.clone()),
        excused: Excused::default(),
        stop,
    };
    // The steps after the commit end when the worker, and with it the sender, is gone.
    tokio::join!(place(worker, watch, throttle), after_commit.run(committed));
}

/// Takes messages and places them until the worker is to stop.
async fn place<Q: Queue, C: Queue>(
    mut worker: Worker<Q, C>,
    mut watch: BacklogWatch,
    mut throttle: SiteThrottle,
) {
    let mut failing = Throttle::new(worker.options.release_per_second, Instant::now());
    let most = worker.options.in_flight.max(1);
    while !worker.stop.is_cancelled() {
        let to_place = throttle.draw(most).await;
        let to_fail = match watch.is_backlog() {
            true => failing.allowed(Instant::now()).min(most),
            false => 0,
        };
        if to_place + to_fail == 0 {
            tokio::time::sleep(throttle.pause()).await;
            continue;
        }
        match worker.queues.orders.next(to_place + to_fail, WAIT).await {
            Ok(batch) => {
                worker.outages.over(UNREADABLE);
                let jobs = worker.readable(batch).await;
                let now_ms = now_ms();
                watch.observe(&jobs, now_ms, &worker.excused).await;
                let (place, fail) = watch.split(jobs, to_place, now_ms, &worker.excused);
                throttle.used(place.len()).await;
                failing.used(fail.len());
                worker.fail(fail, Reason::Backlog).await;
                worker.work(place).await;
            }
            Err(error) => {
                throttle.used(0).await;
                worker.outages.report_and_pause(UNREADABLE, &error).await;
            }
        }
    }
}
