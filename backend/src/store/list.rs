//! Listing orders of all buyers.

use seckill_core::orders::order::State;

use super::orders::{Order, read, select_orders};
use super::{Store, StoreError};

impl Store {
    /// Up to `limit` orders, newest first: all, or only those of one buyer or in one
    /// state. A purchase that failed to become an order has the state `failed`.
    ///
    /// # Errors
    /// A database is away, or a row cannot be read.
    pub async fn list_orders(
        &self,
        user: Option<&str>,
        state: Option<State>,
        limit: u32,
    ) -> Result<Vec<Order>, StoreError> {
        let (user, state) = (user.unwrap_or(""), state.map_or("", State::as_str));
        let mut orders = Vec::new();
        for shard in self.shards() {
            let rows = select_orders!(
                "WHERE (? = '' OR user = ?) AND (? = '' OR state = ?) ORDER BY id DESC LIMIT ?"
            )
            .bind(user)
            .bind(user)
            .bind(state)
            .bind(state)
            .bind(i64::from(limit))
            .fetch_all(shard.readers())
            .await?;
            for row in &rows {
                orders.push(read(row)?);
            }
        }
        // Each database returned its newest; order numbers are in order of time.
        orders.sort_by_key(|order| std::cmp::Reverse(order.id.0));
        orders.truncate(limit as usize);
        Ok(orders)
    }
}
