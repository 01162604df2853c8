//! Titles of the products and rounds of orders.

use std::collections::HashMap;

use seckill_core::orders::order::OrderId;
use sqlx::{Any, QueryBuilder, Row as _};

use super::notifications::StoredNotification;
use super::orders::{Order, read, select_orders};
use super::{Store, StoreError, signed};

/// Titles by round and product.
pub type Titles = HashMap<(String, String), Title>;

/// The titles of a product and its round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title {
    /// The product's title.
    pub product: String,
    /// The round's name.
    pub round: String,
    /// The product's pictures, as `seckill_core::pages::picture::parse_all` reads them.
    pub picture: String,
}

impl Store {
    /// The titles of the products in these orders. A product whose round was deleted
    /// has none.
    ///
    /// # Errors
    /// The database is away.
    pub async fn titles(&self, orders: &[Order]) -> Result<Titles, StoreError> {
        let mut titles = Titles::new();
        for order in orders {
            let key = (order.round.clone(), order.product.clone());
            if titles.contains_key(&key) {
                continue;
            }
            let row = QueryBuilder::<Any>::new(
                "SELECT p.title, r.name, p.picture FROM round_products p JOIN rounds r ON r.id = p.round \
                 WHERE p.round = ",
            )
            .push_bind(&key.0)
            .push(" AND p.product = ")
            .push_bind(&key.1)
            .build()
            .fetch_optional(self.main().readers())
            .await?;
            if let Some(row) = row {
                let title = Title {
                    product: row.try_get(0)?,
                    round: row.try_get(1)?,
                    picture: row.try_get(2)?,
                };
                titles.insert(key, title);
            }
        }
        Ok(titles)
    }

    /// The order that a notification is about, of any buyer.
    ///
    /// # Errors
    /// The database is away, or the row cannot be read.
    pub(crate) async fn order_of_notification(
        &self,
        notification: &StoredNotification,
    ) -> Result<Option<Order>, StoreError> {
        let OrderId(id) = notification.key.order;
        let shard = self.shards().get(notification.shard).unwrap_or(self.main());
        let row = select_orders!("WHERE id = ?")
            .bind(signed(id))
            .fetch_optional(shard.readers())
            .await?;
        row.as_ref().map(read).transpose()
    }
}
