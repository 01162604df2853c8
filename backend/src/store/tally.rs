//! Counts of orders and of the items in them.

use std::collections::{BTreeSet, HashMap};

use seckill_core::orders::order::{OrderId, State};
use sqlx::Row as _;

use super::{Database, Store, StoreError, signed, unsigned};

/// Items in orders of one product, by the orders' state, and their money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Placed and not paid yet.
    pub created: u64,
    /// Placed and paid.
    pub paid: u64,
    /// Placed and cancelled.
    pub cancelled: u64,
    /// Purchased, and failed to become an order.
    pub failed: u64,
    /// What was paid, in cents: each order at its own price.
    pub paid_cents: u64,
    /// What orders that are not paid yet will cost, in cents.
    pub unpaid_cents: u64,
}

impl Tally {
    /// Items in orders that were ever placed.
    #[must_use]
    pub fn ordered(&self) -> u64 {
        self.created + self.paid + self.cancelled
    }

    /// Adds the items of another database or product.
    pub fn add(&mut self, more: &Tally) {
        self.created += more.created;
        self.paid += more.paid;
        self.cancelled += more.cancelled;
        self.failed += more.failed;
        self.paid_cents += more.paid_cents;
        self.unpaid_cents += more.unpaid_cents;
    }
}

/// Orders of one product that are neither cancelled nor failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderCount {
    /// Orders that are created or paid.
    pub orders: u64,
    /// Items in them.
    pub items: u64,
}

impl Store {
    /// Items and money in the orders of these rounds, by round, product and state.
    ///
    /// # Errors
    /// A database is away.
    pub async fn order_tally(
        &self,
        rounds: &BTreeSet<String>,
    ) -> Result<HashMap<(String, String), Tally>, StoreError> {
        let mut all: HashMap<_, Tally> = HashMap::new();
        for shard in self.shards() {
            for round in rounds {
                tally_of(shard, round, &mut all).await?;
            }
        }
        Ok(all)
    }

    /// Orders that are created or paid, by round and product.
    ///
    /// # Errors
    /// The database.
    pub async fn order_counts(&self) -> Result<HashMap<(String, String), OrderCount>, StoreError> {
        let mut counts: HashMap<_, OrderCount> = HashMap::new();
        for shard in self.shards() {
            let rows = sqlx::query(
                "SELECT round, product, COUNT(*), CAST(SUM(quantity) AS SIGNED) FROM orders
                 WHERE state IN ('created', 'paid') GROUP BY round, product",
            )
            .fetch_all(shard.readers())
            .await?;
            for row in &rows {
                let count = counts
                    .entry((row.try_get(0)?, row.try_get(1)?))
                    .or_default();
                count.orders += unsigned(row.try_get(2)?);
                count.items += unsigned(row.try_get(3)?);
            }
        }
        Ok(counts)
    }

    /// The number of orders placed from `from_ms` until before `to_ms`, by the time in
    /// their order numbers.
    ///
    /// # Errors
    /// A database is away.
    pub async fn placed_between(&self, from_ms: u64, to_ms: u64) -> Result<u64, StoreError> {
        let mut placed = 0;
        for shard in self.shards() {
            let n: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM orders WHERE id >= ? AND id < ? AND state <> 'failed'",
            )
            .bind(signed(OrderId::first_of(from_ms).0))
            .bind(signed(OrderId::first_of(to_ms).0))
            .fetch_one(shard.readers())
            .await?;
            placed += unsigned(n);
        }
        Ok(placed)
    }

    /// The number of refunds that are due.
    ///
    /// # Errors
    /// A database is away.
    pub async fn count_refunds_due(&self) -> Result<u64, StoreError> {
        let mut due = 0;
        for shard in self.shards() {
            let n: i64 =
                sqlx::query_scalar("SELECT COUNT(*) FROM payments WHERE state = 'refund_due'")
                    .fetch_one(shard.readers())
                    .await?;
            due += unsigned(n);
        }
        Ok(due)
    }
}

/// Adds the items and the money in the orders of one round in one database.
async fn tally_of(
    shard: &Database,
    round: &str,
    all: &mut HashMap<(String, String), Tally>,
) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "SELECT round, product, state, CAST(SUM(quantity) AS SIGNED),
         CAST(SUM(quantity * price_cents) AS SIGNED) FROM orders
         WHERE round = ? GROUP BY round, product, state",
    )
    .bind(round)
    .fetch_all(shard.readers())
    .await?;
    for row in &rows {
        let tally = all.entry((row.try_get(0)?, row.try_get(1)?)).or_default();
        let state: String = row.try_get(2)?;
        let (items, cents) = (unsigned(row.try_get(3)?), unsigned(row.try_get(4)?));
        match State::parse(&state) {
            Some(State::Created) => {
                tally.created += items;
                tally.unpaid_cents += cents;
            }
            Some(State::Paid) => {
                tally.paid += items;
                tally.paid_cents += cents;
            }
            Some(State::Cancelled) => tally.cancelled += items,
            Some(State::Failed) => tally.failed += items,
            // A state that newer software wrote is not one of ours.
            None => {}
        }
    }
    Ok(())
}
