//! Has the stock follow what the database decided of an order, and cancels orders that
//! were not paid in time.
//!
//! The process that decides has the stock follow at once. The sweep is the safety net: it
//! finds in the database what a crash or an absent Redis left due and does it, and cancels
//! orders that are unpaid past their time even if no delayed message arrives.

use std::collections::HashMap;
use std::time::Duration;

use seckill_core::permits::reopening::KNOWN_MS;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::now_ms;
use crate::redis::RedisLinkError;
use crate::redis::scripts::stock::Moved;
use crate::redis::segments::Segments;
use crate::stock::steps;
use crate::store::orders::{Order, StockDue};
use crate::store::{Store, StoreError};
use crate::time::periodic::Passes;

/// Pause between two passes.
const EVERY: Duration = Duration::from_millis(500);
/// Orders that one pass expires, and orders whose stock it has follow.
const BATCH: u32 = 500;
/// How long the process that decided has before the sweep does it too, in ms: of what is
/// sold out, the release waits.
const HEAD_START_MS: u64 = 300 + KNOWN_MS;

/// Why stock could not follow now. What is due stays in the database.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis is away or refuses.
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
}

/// Has the stock of these orders follow, where something is due; returns for how many it
/// did. That of a retired round is gone, and nothing has to follow.
///
/// # Errors
/// The database or Redis is away. Calling again is safe, and the sweep does.
pub async fn follow(
    store: &Store,
    segments: &Segments,
    orders: &[Order],
) -> Result<usize, FollowError> {
    let due: Vec<_> = orders
        .iter()
        .filter_map(|order| Some((order, order.step_due()?)))
        .collect();
    if due.is_empty() {
        return Ok(0);
    }
    let steps: Vec<_> = due.iter().map(|(_, step)| step.clone()).collect();
    let moved = steps::take(segments, &steps).await?;
    let (mut done, mut lost, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    let mut retired: HashMap<&str, bool> = HashMap::new();
    for ((order, _), moved) in due.into_iter().zip(moved) {
        match moved {
            Ok(Moved::Now | Moved::Before) => done.push(order),
            Ok(Moved::Unknown) => lost.push(order),
            Err(error) => {
                let round = order.round.as_str();
                if !retired.contains_key(round) {
                    retired.insert(round, store.is_retired(round).await?);
                }
                // Its stock has left Redis: what it sold stays as its retirement found it.
                if retired.get(round) == Some(&true) {
                    done.push(order);
                    continue;
                }
                tracing::error!(order = %order.id, %error, "stock does not follow its order");
                refused.push(order);
            }
        }
    }
    store.stock_followed(&done, None).await?;
    store.stock_followed(&lost, Some(StockDue::Lost)).await?;
    // They go behind the others, so that they cannot hold them up.
    store.postpone_stock(&refused, now_ms()).await?;
    Ok(done.len())
}

/// Sweeps until `stop`, each database with orders by itself. Several may run: every step
/// happens once.
pub async fn run(store: Store, segments: Segments, stop: CancellationToken) {
    let databases = store.each_database().into_iter();
    let sweeps = databases.map(|store| go_on(store, segments.clone(), stop.clone()));
    JoinSet::from_iter(sweeps).join_all().await;
}

async fn go_on(store: Store, segments: Segments, stop: CancellationToken) {
    let mut passes = Passes::new(stop, "stock waits to follow its orders", EVERY);
    while passes.go_on() {
        let outcome = sweep(&store, &segments).await;
        // After a full batch there may be more.
        let pause = outcome.map(|followed| match followed >= BATCH as usize {
            true => Duration::ZERO,
            false => EVERY,
        });
        passes.pause_after(pause).await;
    }
}

/// One pass: cancels what is unpaid past its time or was stopped by operators, and has the stock follow that is due.
async fn sweep(store: &Store, segments: &Segments) -> Result<usize, FollowError> {
    let now = now_ms();
    let expired = store.expire_overdue(BATCH, now).await?;
    let stopped = store.cancel_stopped(BATCH, now).await?;
    if stopped > 0 {
        tracing::info!(stopped, "orders of stopped rounds are cancelled");
    }
    if expired > 0 {
        tracing::info!(expired, "orders were not paid in time and are cancelled");
    }
    // Those just expired were decided here: no other process has their stock follow.
    let before = if expired + stopped > 0 {
        now + 1
    } else {
        now.saturating_sub(HEAD_START_MS)
    };
    let due = store.stock_due(BATCH, before).await?;
    follow(store, segments, &due).await
}
