//! The report of a rebuild, as data and as sentences.

use seckill_core::ids::Item;
use serde::Serialize;

/// The report of a rebuild, or of a dry run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The products that differed.
    pub products: Vec<Rebuilt>,
    /// Rounds that are on sale again, or would be.
    pub published: Vec<String>,
}

/// One product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Round and product.
    pub item: String,
    /// The segments that differed from what ledger and orders say.
    pub segments: Vec<SegmentRebuilt>,
    /// Permits granted and not returned, if the count was set.
    pub permits: Option<i64>,
    /// Items sold beyond the amount: so many have to be cancelled.
    pub oversold: u64,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentRebuilt {
    /// Its number.
    pub segment: u16,
    /// Items for sale.
    pub sale: i64,
    /// Items in orders that are not paid.
    pub locked: i64,
    /// Items paid.
    pub saled: i64,
    /// The three amounts before; `None` if there was no stock.
    pub before: Option<(i64, i64, i64)>,
    /// Buyers with a record.
    pub buyers: usize,
    /// Purchases that were known from their orders only.
    pub adopted: usize,
    /// Order messages that are sent again.
    pub redriven: usize,
    /// Items more, or fewer, than the ledger accounts for.
    pub correction: i64,
}

impl Rebuilt {
    /// A product of which these segments are done, and the rest failed.
    pub(super) fn partly(item: &Item, segments: Vec<SegmentRebuilt>) -> Self {
        Self {
            item: item.to_string(),
            segments,
            permits: None,
            oversold: 0,
        }
    }
}

impl Report {
    /// The report for people.
    #[must_use]
    pub fn text(&self, dry_run: bool) -> String {
        use std::fmt::Write as _;
        let verb = if dry_run { "would have" } else { "has" };
        let mut text = String::new();
        for product in &self.products {
            let item = &product.item;
            for it in &product.segments {
                let before = it
                    .before
                    .map_or("nothing".to_owned(), |(a, b, c)| format!("{a}/{b}/{c}"));
                let _ = writeln!(
                    text,
                    "{item}::{:02} {verb} {} for sale, {} locked, {} sold instead of {before}; {} buyers, \
                     {} purchases known from orders only, {} order messages sent again",
                    it.segment, it.sale, it.locked, it.saled, it.buyers, it.adopted, it.redriven
                );
                if it.correction != 0 {
                    let _ = writeln!(
                        text,
                        "{item}::{:02} has {:+} items against its ledger, to make up the amount on record",
                        it.segment, it.correction
                    );
                }
            }
            if let Some(permits) = product.permits {
                let _ = writeln!(text, "{item} {verb} {permits} permits out");
            }
            if product.oversold > 0 {
                let _ = writeln!(
                    text,
                    "Beware: {item} is oversold by {} items, sold before this command; cancel so many",
                    product.oversold
                );
            }
        }
        for round in &self.published {
            let _ = writeln!(
                text,
                "Round {round} {}.",
                if dry_run {
                    "would go on sale again"
                } else {
                    "is on sale again"
                }
            );
        }
        if text.is_empty() {
            return "Everything is as ledger and orders say; nothing was done.\n".to_owned();
        }
        if !dry_run {
            text.push_str(
                "Not to be had back: purchases that were in the lost Redis only, neither archived nor \
                 ordered (their items are for sale), bans, and reasons of dead letters.\n",
            );
        }
        text
    }
}
