//! What a round sold, product by product, for its report.

use std::collections::BTreeMap;

use seckill_core::orders::order::State;
use sqlx::Row as _;

use super::{Store, StoreError, unsigned};

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

impl Store {
    /// What the round sold, by product.
    ///
    /// # Errors
    /// A database is away.
    pub async fn round_totals(&self, round: &str) -> Result<BTreeMap<String, Totals>, StoreError> {
        let mut all: BTreeMap<String, Totals> = BTreeMap::new();
        for shard in self.shards() {
            let rows = sqlx::query(
                "SELECT product, state, COUNT(*), CAST(SUM(quantity) AS SIGNED), \
                 CAST(SUM(quantity * price_cents) AS SIGNED), MIN(created_ms), MAX(created_ms) \
                 FROM orders WHERE round = ? GROUP BY product, state",
            )
            .bind(round)
            .fetch_all(shard.readers())
            .await?;
            for row in &rows {
                let product: String = row.try_get(0)?;
                let state: String = row.try_get(1)?;
                let number = |at: usize| row.try_get::<i64, _>(at).map(unsigned);
                let (orders, items, cents) = (number(2)?, number(3)?, number(4)?);
                let (first, last) = (number(5)?, number(6)?);
                let totals = all.entry(product).or_default();
                match State::parse(&state) {
                    Some(State::Paid) => {
                        totals.paid_items += items;
                        totals.paid_cents += cents;
                    }
                    Some(State::Created) => totals.unpaid_items += items,
                    Some(State::Cancelled) => totals.cancelled_items += items,
                    Some(State::Failed) => {
                        totals.failed_items += items;
                        continue;
                    }
                    // A state that newer software wrote is not one of ours.
                    None => continue,
                }
                totals.orders += orders;
                totals.first_ms = Some(totals.first_ms.map_or(first, |at| at.min(first)));
                totals.last_ms = Some(totals.last_ms.map_or(last, |at| at.max(last)));
            }
        }
        Ok(all)
    }

    /// The mean rates of the recorded past in a window: requests at the gates, in all and
    /// at most per second; `None` if nothing was recorded.
    ///
    /// # Errors
    /// The database is away.
    pub async fn recorded_requests(
        &self,
        from_ms: u64,
        to_ms: u64,
        every_ms: u64,
    ) -> Result<Option<(u64, f64)>, StoreError> {
        let points = self.history(from_ms, to_ms).await?;
        let rates: Vec<f64> = points
            .iter()
            .filter_map(|(_, data)| {
                let data: serde_json::Value = serde_json::from_str(data).ok()?;
                data["received"].as_f64()
            })
            .collect();
        if rates.is_empty() {
            return Ok(None);
        }
        let sum: f64 = rates.iter().sum::<f64>() * every_ms as f64 / 1e3;
        // A count of requests is small and not negative.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let all = sum.round() as u64;
        Ok(Some((all, rates.iter().copied().fold(0.0, f64::max))))
    }
}
