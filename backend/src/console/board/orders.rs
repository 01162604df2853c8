//! Orders as the database counts them. It may be slow or away: it is polled in a task
//! of its own, and no more often than it can bear.

use std::collections::{BTreeSet, HashMap};
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
/// Timeout of a count by product.
const TALLY_TIMEOUT: Duration = Duration::from_secs(60);
/// The orders that make up the rate, in ms: those of two whole seconds. The last
/// quarter of one is left out, since their batches may not be committed yet.
const RATE_MS: (u64, u64) = (2_250, 250);

/// The last count.
#[derive(Debug, Clone, Default)]
pub(super) struct OrderCounts {
    /// The counts by product; `None` until they were counted once.
    pub(super) products: Option<HashMap<Item, Tally>>,
    /// Orders placed per second.
    pub(super) per_second: Option<f64>,
    /// Refunds that are due.
    pub(super) refunds_due: u64,
    /// Why the database does not respond; `None` while it does.
    pub(super) away: Option<String>,
}

/// The last count, which the tasks update.
pub(super) type LastCount = Arc<Mutex<OrderCounts>>;

/// The rounds on the board: only their orders are counted, not those of every round that
/// was ever held.
pub(super) type RoundIds = Arc<Mutex<BTreeSet<String>>>;

/// Counts until the set of tasks is dropped.
pub(super) fn follow(store: LazyStore, rounds: RoundIds) -> (LastCount, JoinSet<()>) {
    let last = LastCount::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(follow_orders(store.clone(), Arc::clone(&last)));
    tasks.spawn(follow_tally(store, rounds, Arc::clone(&last)));
    (last, tasks)
}

async fn follow_orders(store: LazyStore, last: LastCount) {
    loop {
        let began = Instant::now();
        let counted = timeout(TIMEOUT, count(&store)).await;
        let counted = counted.unwrap_or_else(|_| Err(format!("no response within {TIMEOUT:?}")));
        update(
            &mut last.lock().unwrap_or_else(PoisonError::into_inner),
            counted,
        );
        sleep(EVERY.saturating_sub(began.elapsed()).max(EVERY / 4)).await;
    }
}

/// Counts orders by product, in a task of its own: in a large table that takes a while,
/// which says nothing about whether the database responds.
async fn follow_tally(store: LazyStore, rounds: RoundIds, last: LastCount) {
    loop {
        let began = Instant::now();
        let wanted = rounds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match timeout(TALLY_TIMEOUT, tally(&store, &wanted)).await {
            Ok(Ok(products)) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                last.products = Some(products);
            }
            Ok(Err(error)) => tracing::debug!(%error, "orders are not counted by product"),
            Err(_) => tracing::warn!("counting orders by product took over {TALLY_TIMEOUT:?}"),
        }
        sleep((began.elapsed() * SHARE).max(EVERY)).await;
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
    last.products = before;
}

async fn count(store: &LazyStore) -> Result<OrderCounts, String> {
    let store = store.get().await.map_err(|error| error.to_string())?;
    count_in(store).await.map_err(|error| error.to_string())
}

async fn count_in(store: &Store) -> Result<OrderCounts, StoreError> {
    let now = now_ms();
    let (from, to) = (now.saturating_sub(RATE_MS.0), now.saturating_sub(RATE_MS.1));
    let placed = store.placed_between(from, to).await?;
    let refunds_due = store.count_refunds_due().await?;
    Ok(OrderCounts {
        products: None,
        per_second: Some(placed as f64 / ((to - from) as f64 / 1e3)),
        refunds_due,
        away: None,
    })
}

async fn tally(
    store: &LazyStore,
    rounds: &BTreeSet<String>,
) -> Result<HashMap<Item, Tally>, StoreError> {
    let all = store.get().await?.order_tally(rounds).await?;
    let named = |((round, product), tally): ((String, String), Tally)| {
        Some((Item::new(&round, &product)?, tally))
    };
    Ok(all.into_iter().filter_map(named).collect())
}
