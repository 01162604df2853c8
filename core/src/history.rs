//! Checks a recorded history against the ledger: what shoppers were told, call by call,
//! beside what happened.
//!
//! `seckill verify` compares the parts of a system with one another, and cannot know what
//! they said. Here every answer must lie between its call and its return at an instant
//! at which it was true; nothing may be sold twice, and nobody may have been told that
//! they have nothing who has an item. A drill records the calls; ledger and orders are
//! read once the system is quiet.
//!
//! Times are epoch microseconds of one clock. An event of the ledger lies somewhere in
//! its millisecond.
//!
//! Worked example. One item. Buyer A calls at 10.0 ms and is accepted at 12.0 ms; the
//! ledger has the purchase at 11 ms. Buyer B calls at 10.5 ms and is told "sold out" at
//! 13.0 ms: true, since the stock was empty from 11 ms on. Had B been told so at 10.9 ms,
//! it would be a lie, unless A's request had taken the last permit.

/// Answers to clicks: accepted, refused, sold out.
mod clicks;
/// What happened, by ledger and orders.
mod facts;
/// Orders against purchases, stock against the amount.
mod goods;
/// What is recorded of a call.
pub mod record;
/// Answers about what became of a click, and to paying and cancelling.
mod told;

use facts::Facts;
use record::History;

/// A contradiction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lie {
    /// The kind of contradiction in one word, such as `sold_twice`.
    pub kind: &'static str,
    /// The contradiction as a sentence.
    pub what: String,
}

impl Lie {
    fn new(kind: &'static str, what: String) -> Self {
        Self { kind, what }
    }
}

/// Every contradiction in a history; none if it is true.
#[must_use]
pub fn check(history: &History) -> Vec<Lie> {
    let facts = Facts::of(history);
    let mut lies = Vec::new();
    goods::check(history, &facts, &mut lies);
    clicks::check(history, &facts, &mut lies);
    told::check(history, &facts, &mut lies);
    lies
}

#[cfg(test)]
mod tests;
