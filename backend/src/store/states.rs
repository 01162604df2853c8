//! Orders change state by conditional updates: of two that race, one takes effect.
//! The same transaction records what the stock has to follow, so that a crash after
//! it loses nothing.

use seckill_core::orders::notification::Kind;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::purchase::Reason;
use sqlx::{Any, QueryBuilder};

use super::listeners::{Listeners, push_ids};
use super::orders::{Order, StockDue, read, select_orders};
use super::session::Session;
use super::{Database, Store, StoreError, signed};

/// The outcome of changing an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It changed to this order.
    Now(Order),
    /// It was decided before and stays as it is.
    Not(Order),
    /// There is no such order.
    Missing,
}

impl Store {
    /// Cancels an unpaid order of this buyer.
    ///
    /// # Errors
    /// The database is away, or the row cannot be read.
    pub async fn cancel(
        &self,
        user: &str,
        id: OrderId,
        reason: Reason,
        now_ms: u64,
    ) -> Result<Changed, StoreError> {
        let database = self.orders_db(user);
        let mut transaction = database.begin().await?;
        let done = sqlx::query(
            "UPDATE orders SET state = 'cancelled', reason = ?, stock_due = 'release', \
             updated_ms = ? WHERE id = ? AND user = ? AND state = 'created'",
        )
        .bind(reason.as_str())
        .bind(signed(now_ms))
        .bind(signed(id.0))
        .bind(user)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 1 {
            let listeners = self.listeners();
            listeners
                .announce(&mut transaction, &[id], Kind::Cancelled, "", now_ms)
                .await?;
        }
        let order = by_id(&mut transaction, id).await?;
        transaction.commit().await?;
        Ok(match order.filter(|order| order.user == user) {
            Some(order) if done.rows_affected() == 1 => Changed::Now(order),
            Some(order) => Changed::Not(order),
            None => Changed::Missing,
        })
    }

    /// Cancels this order if it is unpaid past its time and the grace after it, as a
    /// delayed cancel message requests.
    ///
    /// # Errors
    /// The database is away, or the row cannot be read.
    pub async fn expire(
        &self,
        user: &str,
        id: OrderId,
        now_ms: u64,
    ) -> Result<Changed, StoreError> {
        match self.order(user, id).await? {
            Some(order) if self.cancelled_from_ms(&order) > now_ms => Ok(Changed::Not(order)),
            Some(_) => self.cancel(user, id, Reason::Unpaid, now_ms).await,
            None => Ok(Changed::Missing),
        }
    }

    /// When this order, if it stays unpaid, is cancelled, epoch milliseconds.
    #[must_use]
    pub fn cancelled_from_ms(&self, order: &Order) -> u64 {
        order.pay_by_ms.saturating_add(self.pay_grace_ms())
    }

    /// Cancels up to `limit` orders of each database that are unpaid past their
    /// time and the grace after it; returns how many.
    ///
    /// # Errors
    /// The database is away.
    pub async fn expire_overdue(&self, limit: u32, now_ms: u64) -> Result<u64, StoreError> {
        let mut expired = 0;
        for shard in self.shards() {
            let overdue_ms = now_ms.saturating_sub(self.pay_grace_ms());
            expired += expire_overdue((shard, self.listeners()), limit, overdue_ms, now_ms).await?;
        }
        Ok(expired)
    }

    /// Up to `limit` orders of each database whose stock has to follow since
    /// before `before_ms`, longest waiting first.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn stock_due(&self, limit: u32, before_ms: u64) -> Result<Vec<Order>, StoreError> {
        let mut orders = Vec::new();
        for shard in self.shards() {
            let rows = select_orders!(
                "WHERE stock_due IN ('confirm', 'release') AND updated_ms < ? \
                 ORDER BY updated_ms LIMIT ?"
            )
            .bind(signed(before_ms))
            .bind(i64::from(limit))
            .fetch_all(shard.readers())
            .await?;
            for row in &rows {
                orders.push(read(row)?);
            }
        }
        Ok(orders)
    }

    /// Records that the stock of these orders has followed, or, with
    /// [`StockDue::Lost`], that it never can.
    ///
    /// # Errors
    /// The database is away. The stock then follows once more, which has no effect.
    pub async fn stock_followed(
        &self,
        orders: &[&Order],
        left: Option<StockDue>,
    ) -> Result<(), StoreError> {
        for (number, shard) in self.shards().iter().enumerate() {
            // What is due may have changed meanwhile: of a paid order that the shop
            // cancels, the stock follows twice.
            for due in [StockDue::Confirm, StockDue::Release, StockDue::Lost] {
                let followed = |order: &&&Order| {
                    self.shard_of(&order.user) == number && order.stock_due == Some(due)
                };
                let ids: Vec<i64> = orders
                    .iter()
                    .filter(followed)
                    .map(|it| signed(it.id.0))
                    .collect();
                for ids in ids.chunks(500) {
                    let mut query = QueryBuilder::<Any>::new("UPDATE orders SET stock_due = ");
                    query.push_bind(left.map(StockDue::as_str));
                    push_ids(&mut query, " WHERE id IN (", ids);
                    query.push(" AND stock_due = ").push_bind(due.as_str());
                    query.build().execute(shard.writer()).await?;
                }
            }
        }
        Ok(())
    }

    /// Moves these orders to the end of the queue of [`Store::stock_due`].
    ///
    /// # Errors
    /// The database is away.
    pub async fn postpone_stock(&self, orders: &[&Order], now_ms: u64) -> Result<(), StoreError> {
        for (number, shard) in self.shards().iter().enumerate() {
            let here = orders.iter().filter(|it| self.shard_of(&it.user) == number);
            let ids: Vec<i64> = here.map(|it| signed(it.id.0)).collect();
            for ids in ids.chunks(500) {
                let mut query = QueryBuilder::<Any>::new("UPDATE orders SET updated_ms = ");
                query.push_bind(signed(now_ms));
                push_ids(&mut query, " WHERE id IN (", ids);
                query.build().execute(shard.writer()).await?;
            }
        }
        Ok(())
    }
}

async fn expire_overdue(
    (shard, listeners): (&Database, Listeners<'_>),
    limit: u32,
    overdue_ms: u64,
    now_ms: u64,
) -> Result<u64, StoreError> {
    let now = signed(now_ms);
    let overdue: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM orders WHERE state = 'created' AND pay_by_ms <= ? \
         ORDER BY pay_by_ms LIMIT ?",
    )
    .bind(signed(overdue_ms))
    .bind(i64::from(limit))
    .fetch_all(shard.readers())
    .await?;
    if overdue.is_empty() {
        return Ok(0);
    }
    let mut query = QueryBuilder::<Any>::new(
        "UPDATE orders SET state = 'cancelled', reason = 'unpaid', stock_due = 'release', \
         updated_ms = ",
    );
    query.push_bind(now);
    push_ids(&mut query, " WHERE state = 'created' AND id IN (", &overdue);
    if listeners.is_empty() {
        let done = query.build().execute(shard.writer()).await?;
        return Ok(done.rows_affected());
    }
    let mut transaction = shard.begin().await?;
    let done = query.build().execute(&mut *transaction).await?;
    listeners
        .announce_expired(&mut transaction, &overdue, now_ms)
        .await?;
    transaction.commit().await?;
    Ok(done.rows_affected())
}

/// The order of this number, of any buyer.
pub(super) async fn by_id(conn: &mut Session, id: OrderId) -> Result<Option<Order>, StoreError> {
    let row = select_orders!("WHERE id = ?")
        .bind(signed(id.0))
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(read).transpose()
}
