//! `seckill verify`: replays the ledger and checks that stock, permits, buyers'
//! records, orders and events agree.
//!
//! On a running system things move while they are read: what looks like a breach
//! may be a step that is being taken. So a breach counts only if it is found
//! again, the same one, in every one of several looks.

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

/// Compares what was read.
mod check;
/// Orders against the ledger.
mod check_orders;
/// Reads a product's state from every part.
pub(crate) mod gather;

/// Looks at a breach before it counts.
const LOOKS: u32 = 6;
/// Pause between two looks, unless told otherwise.
pub const PAUSE: Duration = Duration::from_millis(500);
/// Events told with a breach.
const TOLD: usize = 10;

/// Why it cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Redis.
    #[error("it cannot be verified: {0}")]
    Redis(#[from] RedisLinkError),
    /// The database.
    #[error("it cannot be verified: {0}")]
    Store(#[from] StoreError),
}

impl From<redis::RedisError> for VerifyError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

/// Something that can never be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// Which invariant, 1 to 5.
    pub invariant: u8,
    /// What it is, in one word.
    pub kind: &'static str,
    /// Round and product, and the segment if it is about one.
    pub place: String,
    /// What exactly: a buyer, an order, an event. With kind and place, its name.
    pub subject: String,
    /// As a sentence.
    pub what: String,
    /// The events that show it.
    pub events: Vec<String>,
}

impl Breach {
    /// Whether `other` is this breach, found at another look.
    fn is(&self, other: &Breach) -> bool {
        (self.kind, &self.place, &self.subject) == (other.kind, &other.place, &other.subject)
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Products.
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
    /// What was looked at.
    pub counts: Counts,
    /// What is wrong, first things first.
    pub breaches: Vec<Breach>,
}

/// What is verified.
#[derive(Clone, Copy)]
pub struct System<'a> {
    /// The database.
    pub store: &'a Store,
    /// The main Redis.
    pub redis: &'a RedisLink,
    /// The stock's masters.
    pub segments: &'a Segments,
    /// Whether the queue of orders is in Redis, where it can be looked into.
    pub queue_is_visible: bool,
    /// Pause between two looks at something that seems to be a breach.
    pub pause: Duration,
}

/// Verifies every product of the catalogue.
///
/// # Errors
/// A part is away, so that nothing can be said.
pub async fn verify(system: System<'_>) -> Result<Report, VerifyError> {
    let mut conn = system.redis.conn().await?;
    let products = catalogue::read(&mut conn).await?;
    let items: BTreeSet<&Item> = products.keys().collect();
    let (mut counts, mut breaches) = (Counts::default(), Vec::new());
    for item in items {
        let entry = &products[item];
        let mut found = Vec::new();
        for look in 0..LOOKS {
            let state = gather::gather(system, item, entry).await?;
            let (seen, again) = check::check(&state);
            found = match look {
                0 => again,
                // As told by the last look, which is the latest truth.
                _ => again
                    .into_iter()
                    .filter(|breach| found.iter().any(|known: &Breach| known.is(breach)))
                    .collect(),
            };
            if found.is_empty() || look + 1 == LOOKS {
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
                "     {others} more breaches; --json tells all of them"
            );
        }
        let _ = writeln!(text, "     looked at {seen}");
        text
    }
}

/// Events as they are told.
fn lines<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<String> {
    events
        .into_iter()
        .take(TOLD)
        .map(ToString::to_string)
        .collect()
}
