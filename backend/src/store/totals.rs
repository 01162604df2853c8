//! What a round sold, product by product, for its report.

use std::collections::BTreeMap;

use seckill_core::orders::order::State;
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row as _};

use super::among::among;
use super::session::Session;
use super::{Store, StoreError, signed, unsigned};

/// Items and money of one product in a round.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Orders that were placed, ever.
    pub orders: u64,
    /// Items that were paid.
    pub paid_items: u64,
    /// What was paid for them, in cents.
    pub paid_cents: u64,
    /// Items in orders that wait for their payment.
    pub unpaid_items: u64,
    /// Items in cancelled orders.
    pub cancelled_items: u64,
    /// Items of purchases that failed to become orders.
    pub failed_items: u64,
    /// When the first order was placed, epoch milliseconds.
    pub first_ms: Option<u64>,
    /// When the last order was placed, epoch milliseconds.
    pub last_ms: Option<u64>,
}

/// Orders of one product that are in one state, or were when they were removed.
struct Group {
    product: String,
    state: String,
    orders: u64,
    items: u64,
    cents: u64,
    first_ms: u64,
    last_ms: u64,
}

impl Group {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let number = |at: usize| row.try_get::<i64, _>(at).map(unsigned);
        Ok(Self {
            product: row.try_get(0)?,
            state: row.try_get(1)?,
            orders: number(2)?,
            items: number(3)?,
            cents: number(4)?,
            first_ms: number(5)?,
            last_ms: number(6)?,
        })
    }
}

impl Totals {
    fn add(&mut self, group: &Group) {
        match State::parse(&group.state) {
            Some(State::Paid) => {
                self.paid_items += group.items;
                self.paid_cents += group.cents;
            }
            Some(State::Created) => self.unpaid_items += group.items,
            Some(State::Cancelled) => self.cancelled_items += group.items,
            Some(State::Failed) => {
                self.failed_items += group.items;
                return;
            }
            // A state that newer software wrote is not one of ours.
            None => return,
        }
        self.orders += group.orders;
        let (first, last) = (group.first_ms, group.last_ms);
        self.first_ms = Some(self.first_ms.map_or(first, |at| at.min(first)));
        self.last_ms = Some(self.last_ms.map_or(last, |at| at.max(last)));
    }
}

impl Store {
    /// What the round sold, by product: of the orders that are there, and of those that
    /// retention has removed.
    ///
    /// # Errors
    /// A database is away.
    pub async fn round_totals(&self, round: &str) -> Result<BTreeMap<String, Totals>, StoreError> {
        let mut all: BTreeMap<String, Totals> = BTreeMap::new();
        for shard in self.shards() {
            // One statement, so that an order that is removed meanwhile is counted once.
            let rows = sqlx::query(
                "SELECT product, state, COUNT(*), CAST(SUM(quantity) AS SIGNED), \
                 CAST(SUM(quantity * price_cents) AS SIGNED), MIN(created_ms), MAX(created_ms) \
                 FROM orders WHERE round = ? GROUP BY product, state \
                 UNION ALL SELECT product, state, orders, items, cents, first_ms, last_ms \
                 FROM removed_orders WHERE round = ?",
            )
            .bind(round)
            .bind(round)
            .fetch_all(shard.readers())
            .await?;
            for row in &rows {
                let group = Group::read(row)?;
                all.entry(group.product.clone()).or_default().add(&group);
            }
        }
        Ok(all)
    }

    /// The requests at the gates in a window, by the recorded past: in all, and at most per
    /// second; `None` if nothing was recorded. A point is the mean rate of the `every_ms`
    /// before it.
    ///
    /// Rates of 5 at 10:00:00, 30 at 10:00:10 and 8 at 10:00:20 say of 10:00:00 to 10:00:15
    /// that 300 and 40 came: the first was of the time before.
    ///
    /// # Errors
    /// The database is away.
    pub async fn recorded_requests(
        &self,
        from_ms: u64,
        to_ms: u64,
        every_ms: u64,
    ) -> Result<Option<(u64, f64)>, StoreError> {
        let points = self.history(from_ms + 1, to_ms + every_ms).await?;
        let (mut sum, mut peak) = (0.0, None);
        for (at_ms, data) in points {
            let data: serde_json::Value = serde_json::from_str(&data).unwrap_or_default();
            let Some(rate) = data["received"].as_f64() else {
                continue;
            };
            let began_ms = at_ms.saturating_sub(every_ms).max(from_ms);
            let within_ms = at_ms.min(to_ms).saturating_sub(began_ms);
            if within_ms > 0 {
                sum += rate * within_ms as f64 / 1e3;
                peak = Some(rate.max(peak.unwrap_or(0.0)));
            }
        }
        // A count of requests is small and not negative.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let all = sum.round() as u64;
        Ok(peak.map(|peak| (all, peak)))
    }
}

/// Adds the orders with these numbers to what is kept of removed ones, in the transaction
/// that removes them.
pub(super) async fn keep_removed(transaction: &mut Session, ids: &[i64]) -> Result<(), StoreError> {
    let mut read = QueryBuilder::<Any>::new(
        "SELECT product, state, COUNT(*), CAST(SUM(quantity) AS SIGNED), \
         CAST(SUM(quantity * price_cents) AS SIGNED), MIN(created_ms), MAX(created_ms), round \
         FROM orders WHERE",
    );
    among(&mut read, " id", ids);
    read.push(" GROUP BY product, state, round");
    let rows = read.build().fetch_all(&mut *transaction).await?;
    for row in &rows {
        let (group, round): (Group, String) = (Group::read(row)?, row.try_get(7)?);
        let added = sqlx::query(
            "UPDATE removed_orders SET orders = orders + ?, items = items + ?, cents = cents + ?, \
             first_ms = CASE WHEN first_ms < ? THEN first_ms ELSE ? END, \
             last_ms = CASE WHEN last_ms > ? THEN last_ms ELSE ? END \
             WHERE round = ? AND product = ? AND state = ?",
        )
        .bind(signed(group.orders))
        .bind(signed(group.items))
        .bind(signed(group.cents))
        .bind(signed(group.first_ms))
        .bind(signed(group.first_ms))
        .bind(signed(group.last_ms))
        .bind(signed(group.last_ms))
        .bind(&round)
        .bind(&group.product)
        .bind(&group.state)
        .execute(&mut *transaction)
        .await?;
        if added.rows_affected() == 0 {
            sqlx::query(
                "INSERT INTO removed_orders \
                 (orders, items, cents, first_ms, last_ms, round, product, state) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(signed(group.orders))
            .bind(signed(group.items))
            .bind(signed(group.cents))
            .bind(signed(group.first_ms))
            .bind(signed(group.last_ms))
            .bind(&round)
            .bind(&group.product)
            .bind(&group.state)
            .execute(&mut *transaction)
            .await?;
        }
    }
    Ok(())
}
