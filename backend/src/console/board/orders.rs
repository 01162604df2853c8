//! Orders as the database counts them. It may be slow or away: it is polled in a task
//! of its own, and no more often than it can bear.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seckill_core::ids::Item;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::now_ms;
use crate::store::tally::Tally;
use crate::store::{LazyStore, Store, StoreError};

/// How often orders are counted at most.
const EVERY: Duration = Duration::from_millis(1_000);
/// Counting may take this share of the time at most, so that a million old orders
/// make the board slower and not the shop.
const SHARE: u32 = 50;
/// Timeout of one count; after it the database counts as away.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The orders that make up the rate, in ms: those of two whole seconds. The last
/// quarter of one is left out, since their batches may not be committed yet.
const RATE_MS: (u64, u64) = (2_250, 250);

/// The last count.
#[derive(Debug, Clone, Default)]
pub(super) struct OrderCounts {
    /// By product; `None` until they were counted once.
    pub(super) products: Option<HashMap<Item, Tally>>,
    /// Orders placed per second.
    pub(super) per_second: Option<f64>,
    /// Refunds that are due.
    pub(super) refunds_due: u64,
    /// Why the database does not respond; `None` while it does.
    pub(super) away: Option<String>,
}

/// The last count, which the task updates.
pub(super) type LastCount = Arc<Mutex<OrderCounts>>;

/// Counts until the set of tasks is dropped.
pub(super) fn follow(store: LazyStore) -> (LastCount, JoinSet<()>) {
    let last = LastCount::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(follow_orders(store, Arc::clone(&last)));
    (last, tasks)
}

async fn follow_orders(store: LazyStore, last: LastCount) {
    let mut next_tally = Instant::now();
    loop {
        let began = Instant::now();
        let counted = timeout(TIMEOUT, count(&store, began >= next_tally)).await;
        let counted = counted.unwrap_or_else(|_| Err(format!("no response within {TIMEOUT:?}")));
        if counted
            .as_ref()
            .is_ok_and(|counted| counted.products.is_some())
        {
            next_tally = Instant::now() + (began.elapsed() * SHARE).max(EVERY);
        }
        update(
            &mut last.lock().unwrap_or_else(PoisonError::into_inner),
            counted,
        );
        sleep(EVERY.saturating_sub(began.elapsed()).max(EVERY / 4)).await;
    }
}

/// Replaces the last count. Its counts by product hold until they are counted again.
fn update(last: &mut OrderCounts, counted: Result<OrderCounts, String>) {
    let before = last.products.take();
    *last = counted.unwrap_or_else(|reason| OrderCounts {
        refunds_due: last.refunds_due,
        away: Some(reason),
        ..OrderCounts::default()
    });
    last.products = last.products.take().or(before);
}

async fn count(store: &LazyStore, with_tally: bool) -> Result<OrderCounts, String> {
    let store = store.get().await.map_err(|error| error.to_string())?;
    count_in(store, with_tally)
        .await
        .map_err(|error| error.to_string())
}

async fn count_in(store: &Store, with_tally: bool) -> Result<OrderCounts, StoreError> {
    let now = now_ms();
    let (from, to) = (now.saturating_sub(RATE_MS.0), now.saturating_sub(RATE_MS.1));
    let placed = store.placed_between(from, to).await?;
    let refunds_due = store.count_refunds_due().await?;
    let products = match with_tally {
        false => None,
        true => {
            let all = store.order_tally().await?;
            let named = |((round, product), tally): ((String, String), Tally)| {
                Some((Item::new(&round, &product)?, tally))
            };
            Some(all.into_iter().filter_map(named).collect())
        }
    };
    Ok(OrderCounts {
        products,
        per_second: Some(placed as f64 / ((to - from) as f64 / 1e3)),
        refunds_due,
        away: None,
    })
}
