//! What the database counts. It may be slow or away: it is asked beside the
//! looks at Redis, and never more often than it bears.

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
/// How long the database may take before it counts as away.
const PATIENCE: Duration = Duration::from_secs(4);
/// The orders that make up the rate, in ms: those of two whole seconds. The last
/// quarter of one is left out, since their batches may not be committed yet.
const RATE_MS: (u64, u64) = (2_250, 250);

/// The last count.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted {
    /// By product; `None` until they were counted once.
    pub(super) products: Option<HashMap<Item, Tally>>,
    /// Orders placed a second.
    pub(super) per_second: Option<f64>,
    /// Payments that are to be given back.
    pub(super) refunds_due: u64,
    /// Why the database does not answer; `None` while it does.
    pub(super) away: Option<String>,
}

/// The last count, as a task keeps it.
pub(super) type Seen = Arc<Mutex<Counted>>;

/// Counts until the set of tasks is dropped.
pub(super) fn follow(store: LazyStore) -> (Seen, JoinSet<()>) {
    let seen = Seen::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(follow_orders(store, Arc::clone(&seen)));
    (seen, tasks)
}

async fn follow_orders(store: LazyStore, seen: Seen) {
    let mut next_tally = Instant::now();
    loop {
        let began = Instant::now();
        let counted = timeout(PATIENCE, count(&store, began >= next_tally)).await;
        let answer = counted.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        if answer
            .as_ref()
            .is_ok_and(|counted| counted.products.is_some())
        {
            next_tally = Instant::now() + (began.elapsed() * SHARE).max(EVERY);
        }
        note(
            &mut seen.lock().unwrap_or_else(PoisonError::into_inner),
            answer,
        );
        sleep(EVERY.saturating_sub(began.elapsed()).max(EVERY / 4)).await;
    }
}

/// What was counted by products before holds until they are counted again.
fn note(seen: &mut Counted, answer: Result<Counted, String>) {
    let before = seen.products.take();
    *seen = answer.unwrap_or_else(|reason| Counted {
        refunds_due: seen.refunds_due,
        away: Some(reason),
        ..Counted::default()
    });
    seen.products = seen.products.take().or(before);
}

async fn count(store: &LazyStore, with_tally: bool) -> Result<Counted, String> {
    let store = store.get().await.map_err(|error| error.to_string())?;
    count_in(store, with_tally)
        .await
        .map_err(|error| error.to_string())
}

async fn count_in(store: &Store, with_tally: bool) -> Result<Counted, StoreError> {
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
    Ok(Counted {
        products,
        per_second: Some(placed as f64 / ((to - from) as f64 / 1e3)),
        refunds_due,
        away: None,
    })
}
