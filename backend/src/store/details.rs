//! What orders need from their buyers: JSON that the shop defines, kept as it came.

use std::collections::HashMap;

use seckill_core::orders::order::{OrderId, State};
use sqlx::{Any, QueryBuilder, Row as _};

use super::listeners::push_ids;
use super::states::by_id;
use super::{Database, Store, StoreError, signed, unsigned};

impl Store {
    /// Keeps the details of a buyer's order instead of those before, unless it is paid or
    /// cancelled; returns whether it did. `None` if the buyer has no such order.
    ///
    /// # Errors
    /// The database is away.
    pub async fn keep_details(
        &self,
        user: &str,
        order: OrderId,
        details: &str,
        now_ms: u64,
    ) -> Result<Option<bool>, StoreError> {
        let mut transaction = self.orders_db(user).begin().await?;
        // It stays as it is until the details are kept: what follows the order sees both.
        sqlx::query("UPDATE orders SET updated_ms = updated_ms WHERE id = ?")
            .bind(signed(order.0))
            .execute(&mut *transaction)
            .await?;
        let stands = by_id(&mut transaction, order).await?;
        let Some(stands) = stands.filter(|it| it.user == user && it.state != State::Failed) else {
            return Ok(None);
        };
        if stands.state != State::Created {
            return Ok(Some(false));
        }
        sqlx::query("DELETE FROM order_details WHERE order_id = ?")
            .bind(signed(order.0))
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO order_details (order_id, details, updated_ms) VALUES (?, ?, ?)")
            .bind(signed(order.0))
            .bind(details)
            .bind(signed(now_ms))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Some(true))
    }

    /// The details of a buyer's order, as JSON.
    ///
    /// # Errors
    /// The database is away.
    pub async fn details(&self, user: &str, order: OrderId) -> Result<Option<String>, StoreError> {
        let mut found = details_of(self.orders_db(user), &[signed(order.0)]).await?;
        Ok(found.remove(&order))
    }
}

/// The details of these orders, as JSON.
pub(super) async fn details_of(
    database: &Database,
    ids: &[i64],
) -> Result<HashMap<OrderId, String>, StoreError> {
    let mut found = HashMap::new();
    for ids in ids.chunks(500) {
        let mut query = QueryBuilder::<Any>::new("SELECT order_id, details FROM order_details");
        push_ids(&mut query, " WHERE order_id IN (", ids);
        for row in query.build().fetch_all(database.readers()).await? {
            found.insert(OrderId(unsigned(row.try_get(0)?)), row.try_get(1)?);
        }
    }
    Ok(found)
}
