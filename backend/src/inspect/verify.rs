//! `seckill verify`: replays the ledger and checks that stock, permits, buyers'
//! records, orders and events agree.
//!
//! A running system changes while it is read: an apparent breach may be a step that
//! is under way. So a breach counts only if the same one is found in every one of
//! several passes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use seckill_core::ids::Item;
use seckill_core::stock::ledger::Event;
use serde::Serialize;

use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError};
use crate::sale::catalogue;
use crate::store::{Store, StoreError};

/// Verifies rounds that have left Redis.
mod archived;
/// Checks a product's state against the invariants.
mod check;
/// Checks orders against the ledger.
mod check_orders;
/// Reads the state of a product from Redis, queue and database.
pub(crate) mod gather;

pub use archived::verify_archived;

/// Passes in which a breach must be found before it counts.
const PASSES: u32 = 6;
/// Pause between two passes by default.
pub const PAUSE: Duration = Duration::from_millis(500);
/// Most events that are reported with a breach.
const MAX_EVENTS: usize = 10;

/// Why a system cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Redis is away or refused.
    #[error("the system cannot be verified: {0}")]
    Redis(#[from] RedisLinkError),
    /// The database is away or refused.
    #[error("the system cannot be verified: {0}")]
    Store(#[from] StoreError),
}

impl From<redis::RedisError> for VerifyError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

/// A state that breaks an invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// The invariant, 1 to 5.
    pub invariant: u8,
    /// The kind of breach, in one word.
    pub kind: &'static str,
    /// Round and product, and the segment if the breach is in one.
    pub place: String,
    /// The buyer, order or event in question. With kind and place, it names the breach.
    pub subject: String,
    /// The breach as a sentence.
    pub what: String,
    /// The events that show it.
    pub events: Vec<String>,
}

impl Breach {
    /// Whether `other` is this breach, found in another pass.
    fn is(&self, other: &Breach) -> bool {
        (self.kind, &self.place, &self.subject) == (other.kind, &other.place, &other.subject)
    }
}

/// Counts of what was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Products that were checked.
    pub products: usize,
    /// Stock segments.
    pub segments: usize,
    /// Events in the ledger.
    pub events: usize,
    /// Purchases among them.
    pub purchases: usize,
    /// Orders in the database.
    pub orders: usize,
    /// Purchases whose order is still on its way.
    pub on_their_way: usize,
    /// Items for sale, locked and sold together.
    pub items: i64,
    /// Permits granted and not returned.
    pub permits: i64,
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every invariant holds.
    pub pass: bool,
    /// Counts of what was checked.
    pub counts: Counts,
    /// The breaches, by invariant.
    pub breaches: Vec<Breach>,
}

/// The parts of the system that is verified.
#[derive(Clone, Copy)]
pub struct System<'a> {
    /// The database.
    pub store: &'a Store,
    /// The main Redis.
    pub redis: &'a RedisLink,
    /// The stock's masters.
    pub segments: &'a Segments,
    /// Whether the queue of orders is in Redis, so that its messages can be read.
    pub queue_is_visible: bool,
    /// Pause between two passes.
    pub pause: Duration,
}

/// Verifies every product of the catalogue.
///
/// # Errors
/// A part of the system is away.
pub async fn verify(system: System<'_>) -> Result<Report, VerifyError> {
    let mut conn = system.redis.conn().await?;
    let products = catalogue::read(&mut conn).await?;
    let items: BTreeSet<&Item> = products.keys().collect();
    let (mut counts, mut breaches) = (Counts::default(), Vec::new());
    for item in items {
        let entry = &products[item];
        let mut found = Vec::new();
        for pass in 0..PASSES {
            let state = gather::gather(system, item, entry).await?;
            let (seen, again) = check::check(&state);
            found = match pass {
                0 => again,
                // In the words of the last pass, which is the most recent.
                _ => again
                    .into_iter()
                    .filter(|breach| found.iter().any(|known: &Breach| known.is(breach)))
                    .collect(),
            };
            if found.is_empty() || pass + 1 == PASSES {
                counts.add(&seen);
                break;
            }
            tokio::time::sleep(system.pause).await;
        }
        breaches.extend(found);
    }
    breaches.sort_by_key(|breach| breach.invariant);
    Ok(Report {
        pass: breaches.is_empty(),
        counts,
        breaches,
    })
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.products += other.products;
        self.segments += other.segments;
        self.events += other.events;
        self.purchases += other.purchases;
        self.orders += other.orders;
        self.on_their_way += other.on_their_way;
        self.items += other.items;
        self.permits += other.permits;
    }
}

impl Report {
    /// The outcome for people: a line that begins with PASS or FAIL, and the
    /// first breach with its events.
    #[must_use]
    pub fn text(&self) -> String {
        let Counts {
            products,
            segments,
            events,
            purchases,
            orders,
            on_their_way,
            items,
            permits,
        } = self.counts;
        let seen = format!(
            "{products} products in {segments} segments: {items} items, {permits} permits out, \
             {events} events, {purchases} purchases, {orders} orders, {on_their_way} on their way"
        );
        let Some(first) = self.breaches.first() else {
            return format!("PASS {seen}; every invariant holds\n");
        };
        let mut text = format!(
            "FAIL invariant {}, {} ({}): {}\n",
            first.invariant, first.place, first.kind, first.what
        );
        for event in &first.events {
            let _ = writeln!(text, "     event {event}");
        }
        let others = self.breaches.len() - 1;
        if others > 0 {
            let _ = writeln!(
                text,
                "     {others} more breaches; --json lists all of them"
            );
        }
        let _ = writeln!(text, "     checked {seen}");
        text
    }
}

/// The first events as lines of the report.
fn lines<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<String> {
    events
        .into_iter()
        .take(MAX_EVENTS)
        .map(ToString::to_string)
        .collect()
}
