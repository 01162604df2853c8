//! The order feed: every change of an order, in the order in which they happened to it,
//! and how far each receiver is.
//!
//! A position is a number in one database; with orders in several, each has positions of
//! its own. Of an order all events are in one database, so that they stay in order.

use std::collections::HashMap;

use seckill_core::orders::notification::Kind;
use seckill_core::orders::order::OrderId;
use sqlx::{Any, QueryBuilder, Row as _};

use super::details::details_of;
use super::listeners::push_ids;
use super::orders::{Order, read};
use super::payments::Payment;
use super::{Database, Store, StoreError, signed, unsigned};

/// For how long a gap in the positions is waited for, in ms. Numbers are drawn before
/// their transactions are committed: a later one may be seen first. A transaction that
/// has not been committed for so long was rolled back, and leaves the gap for good.
const GAP_MS: u64 = 15_000;
/// Characters of a trouble that are kept.
const MAX_TROUBLE: usize = 500;

/// A change of an order.
#[derive(Debug, Clone)]
pub struct OrderEvent {
    /// The database that it is in.
    pub shard: usize,
    /// Its place there.
    pub position: u64,
    /// What happened.
    pub kind: Kind,
    /// When, epoch milliseconds.
    pub at_ms: u64,
    /// The order as it is now, which may be further.
    pub order: Order,
    /// The payment that it is about.
    pub payment: Option<Payment>,
    /// What the order needs from its buyer, as JSON.
    pub details: Option<String>,
}

/// How far a receiver is in one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedState {
    /// The receiver.
    pub name: String,
    /// The database.
    pub shard: usize,
    /// The last event that it has.
    pub position: u64,
    /// Events behind it.
    pub waiting: u64,
    /// When the oldest of them happened, epoch milliseconds.
    pub oldest_ms: Option<u64>,
    /// Why nothing is sent, and since when; `None` if all is well.
    pub trouble: Option<(String, u64)>,
}

impl Store {
    /// The same store, which writes every change of an order into the feed.
    #[must_use]
    pub fn feeding(self, feed: bool) -> Self {
        Self { feed, ..self }
    }

    /// The number of databases with orders, each of which has a feed.
    #[must_use]
    pub fn feeds(&self) -> usize {
        self.shards().len()
    }

    /// Makes `sender` the one who sends to this receiver until `until_ms`; returns the
    /// last position that the receiver has. `None` if somebody else sends to it.
    ///
    /// # Errors
    /// The database is away.
    pub async fn claim_feed(
        &self,
        (shard, name, sender): (usize, &str, &str),
        now_ms: u64,
        until_ms: u64,
    ) -> Result<Option<u64>, StoreError> {
        let database = self.feed_of(shard);
        let known = sqlx::query("SELECT position FROM order_feeds WHERE name = ?")
            .bind(name)
            .fetch_optional(database.readers())
            .await?;
        if known.is_none() {
            let inserted = sqlx::query("INSERT INTO order_feeds (name, position) VALUES (?, 0)")
                .bind(name)
                .execute(database.writer())
                .await
                .map_err(StoreError::from);
            match inserted {
                Err(error) if !error.is_double() => return Err(error),
                _ => {}
            }
        }
        let claimed = sqlx::query(
            "UPDATE order_feeds SET sender = ?, until_ms = ? \
             WHERE name = ? AND (sender = ? OR until_ms <= ?)",
        )
        .bind(sender)
        .bind(signed(until_ms))
        .bind(name)
        .bind(sender)
        .bind(signed(now_ms))
        .execute(database.writer())
        .await?;
        // MySQL counts a row only if its values changed, and two claims may fall into one
        // millisecond.
        let row = sqlx::query("SELECT position, sender FROM order_feeds WHERE name = ?")
            .bind(name)
            .fetch_one(database.writer())
            .await?;
        let holder: String = row.try_get(1)?;
        let mine = claimed.rows_affected() == 1 || holder == sender;
        Ok(mine.then_some(unsigned(row.try_get(0)?)))
    }

    /// Records that a receiver has everything up to `position`, unless somebody else
    /// sends to it by now, or it was sent back by [`Store::replay_feed`] meanwhile.
    ///
    /// # Errors
    /// The database is away; the events are sent once more then.
    pub async fn advance_feed(
        &self,
        (shard, name, sender): (usize, &str, &str),
        from: u64,
        position: u64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE order_feeds SET position = ?, trouble = '', since_ms = 0 \
             WHERE name = ? AND sender = ? AND position = ?",
        )
        .bind(signed(position))
        .bind(name)
        .bind(sender)
        .bind(signed(from))
        .execute(self.feed_of(shard).writer())
        .await?;
        Ok(())
    }

    /// Records why nothing is sent to a receiver, since the first time.
    ///
    /// # Errors
    /// The database is away.
    pub async fn note_feed_trouble(
        &self,
        shard: usize,
        name: &str,
        trouble: &str,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let trouble: String = trouble.chars().take(MAX_TROUBLE).collect();
        sqlx::query(
            "UPDATE order_feeds SET since_ms = CASE WHEN trouble = '' THEN ? ELSE since_ms END, \
             trouble = ? WHERE name = ?",
        )
        .bind(signed(now_ms))
        .bind(trouble)
        .bind(name)
        .execute(self.feed_of(shard).writer())
        .await?;
        Ok(())
    }

    /// Sends a receiver back: it gets everything after `position` again, or everything
    /// that happened since `since_ms`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn replay_feed(
        &self,
        shard: usize,
        name: &str,
        from: ReplayFrom,
    ) -> Result<u64, StoreError> {
        let database = self.feed_of(shard);
        let position = match from {
            ReplayFrom::Position(position) => signed(position),
            ReplayFrom::Time(since_ms) => {
                let before: Option<i64> =
                    sqlx::query_scalar("SELECT MAX(position) FROM order_events WHERE at_ms < ?")
                        .bind(signed(since_ms))
                        .fetch_one(database.readers())
                        .await?;
                before.unwrap_or(0)
            }
        };
        sqlx::query("UPDATE order_feeds SET position = ? WHERE name = ? AND position > ?")
            .bind(position)
            .bind(name)
            .bind(position)
            .execute(database.writer())
            .await?;
        Ok(unsigned(position))
    }

    /// Up to `limit` events after `position`, in order, and the position that they reach.
    /// It ends before a gap that may still be filled.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn events_after(
        &self,
        shard: usize,
        position: u64,
        limit: u32,
        now_ms: u64,
    ) -> Result<(Vec<OrderEvent>, u64), StoreError> {
        let database = self.feed_of(shard);
        let rows = sqlx::query(
            "SELECT position, order_id, kind, payment, at_ms FROM order_events \
             WHERE position > ? ORDER BY position LIMIT ?",
        )
        .bind(signed(position))
        .bind(i64::from(limit))
        .fetch_all(database.readers())
        .await?;
        let mut found = Vec::with_capacity(rows.len());
        let mut last = position;
        for row in &rows {
            let (at, at_ms) = (unsigned(row.try_get(0)?), unsigned(row.try_get(4)?));
            let is_gap = at != last + 1 && last != 0;
            if is_gap && now_ms < at_ms.saturating_add(GAP_MS) {
                break;
            }
            last = at;
            let kind: String = row.try_get(2)?;
            let (order, payment): (i64, String) = (row.try_get(1)?, row.try_get(3)?);
            found.push((at, order, kind, payment, at_ms));
        }
        let ids: Vec<i64> = found.iter().map(|(_, order, ..)| *order).collect();
        let orders = orders_by_id(database, &ids).await?;
        let details = details_of(database, &ids).await?;
        let mut events = Vec::with_capacity(found.len());
        for (position, order, kind, payment, at_ms) in found {
            let Some(kind) = Kind::parse(&kind) else {
                let (table, column, value) = ("order_events", "kind", kind);
                let id = position.to_string();
                return Err(StoreError::Row {
                    table,
                    id,
                    column,
                    value,
                });
            };
            // An order that was archived and deleted is nobody's business any more.
            let Some(order) = orders.get(&order).cloned() else {
                continue;
            };
            let payment = match payment.as_str() {
                "" => None,
                key => self
                    .payments_of(&order)
                    .await?
                    .into_iter()
                    .find(|it| it.key == key),
            };
            events.push(OrderEvent {
                shard,
                position,
                kind,
                at_ms,
                details: details.get(&order.id).cloned(),
                order,
                payment,
            });
        }
        Ok((events, last))
    }

    /// How far all receivers are.
    ///
    /// # Errors
    /// The database is away.
    pub async fn feed_states(&self) -> Result<Vec<FeedState>, StoreError> {
        let mut states = Vec::new();
        for (shard, database) in self.shards().iter().enumerate() {
            let rows = sqlx::query(
                "SELECT name, position, trouble, since_ms FROM order_feeds ORDER BY name",
            )
            .fetch_all(database.readers())
            .await?;
            for row in &rows {
                let position: i64 = row.try_get(1)?;
                let behind =
                    sqlx::query("SELECT COUNT(*), MIN(at_ms) FROM order_events WHERE position > ?")
                        .bind(position)
                        .fetch_one(database.readers())
                        .await?;
                let trouble: String = row.try_get(2)?;
                let since = unsigned(row.try_get(3)?);
                states.push(FeedState {
                    name: row.try_get(0)?,
                    shard,
                    position: unsigned(position),
                    waiting: unsigned(behind.try_get(0)?),
                    oldest_ms: behind.try_get::<Option<i64>, _>(1)?.map(unsigned),
                    trouble: (!trouble.is_empty()).then_some((trouble, since)),
                });
            }
        }
        Ok(states)
    }

    /// Deletes up to `limit` events of each database that happened before `before_ms` and
    /// that every receiver has; returns how many.
    ///
    /// # Errors
    /// The database is away.
    pub async fn forget_events(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        for database in self.shards() {
            let last: Option<i64> = sqlx::query_scalar("SELECT MIN(position) FROM order_feeds")
                .fetch_one(database.readers())
                .await?;
            let Some(last) = last else { continue };
            let old: Vec<i64> = sqlx::query_scalar(
                "SELECT position FROM order_events WHERE position <= ? AND at_ms < ? \
                 ORDER BY position LIMIT ?",
            )
            .bind(last)
            .bind(signed(before_ms))
            .bind(i64::from(limit))
            .fetch_all(database.readers())
            .await?;
            let Some(end) = old.last() else { continue };
            let done = sqlx::query("DELETE FROM order_events WHERE position <= ?")
                .bind(*end)
                .execute(database.writer())
                .await?;
            forgotten += done.rows_affected();
        }
        Ok(forgotten)
    }

    fn feed_of(&self, shard: usize) -> &Database {
        self.shards().get(shard).unwrap_or(self.main())
    }
}

/// The point from which on a receiver gets events again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayFrom {
    /// After this position.
    Position(u64),
    /// This time, epoch milliseconds.
    Time(u64),
}

async fn orders_by_id(database: &Database, ids: &[i64]) -> Result<HashMap<i64, Order>, StoreError> {
    let mut orders = HashMap::new();
    for ids in ids.chunks(500) {
        let mut query = QueryBuilder::<Any>::new(
            "SELECT id, request, round, product, segment, user, quantity, price_cents, permit, \
             state, reason, stock_due, pay_by_ms, locked_ms, created_ms FROM orders",
        );
        push_ids(&mut query, " WHERE id IN (", ids);
        for row in query.build().fetch_all(database.readers()).await? {
            let order = read(&row)?;
            let OrderId(id) = order.id;
            orders.insert(signed(id), order);
        }
    }
    Ok(orders)
}
