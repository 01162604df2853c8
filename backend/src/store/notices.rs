//! What buyers are to be told: written with the change of their order, tried
//! until it is told or given up.

use seckill_core::orders::notice::{Channel, Kind};
use seckill_core::orders::order::OrderId;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, QueryBuilder, Row as _};

use super::{Database, Store, StoreError, signed, unsigned};

/// Characters of a reason that are kept.
const REASON: usize = 250;

/// What is told about: one order's change, and through which channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeKey {
    /// The order.
    pub order: OrderId,
    /// What became of it.
    pub kind: Kind,
    /// The payment that is to be given back; else empty.
    pub payment: String,
    /// The way it takes.
    pub channel: Channel,
}

/// A notice that waits to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredNotice {
    /// Which.
    pub key: NoticeKey,
    /// How often it was tried, this time included.
    pub attempts: u32,
    /// When it happened, epoch milliseconds.
    pub created_ms: u64,
    /// The place of its database among the shards.
    pub(crate) shard: usize,
}

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It was told.
    Sent,
    /// There is nobody to tell, for this reason.
    Skipped(String),
    /// It did not work; it is tried again then, epoch milliseconds.
    Again {
        /// When.
        due_ms: u64,
        /// What was wrong.
        reason: String,
    },
    /// It did not work and is given up.
    Dead(String),
}

/// How many notices stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct NoticeCount {
    /// Not told yet.
    pub waiting: u64,
    /// When the oldest of them happened, epoch milliseconds.
    pub oldest_ms: Option<u64>,
    /// Given up.
    pub dead: u64,
}

/// A notice that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadNotice {
    /// Which.
    pub key: NoticeKey,
    /// How often it was tried.
    pub attempts: u32,
    /// What was wrong.
    pub reason: String,
    /// When it was given up, epoch milliseconds.
    pub updated_ms: u64,
}

impl Store {
    /// From now on every change of an order is put down for these channels.
    #[must_use]
    pub fn announcing(self, channels: &[Channel]) -> Self {
        Self {
            announced: channels.into(),
            ..self
        }
    }

    /// Takes up to `limit` notices of a channel that are due, longest waiting
    /// first, for itself until `until_ms`. Another who asks meanwhile gets others.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn take_notices(
        &self,
        channel: Channel,
        limit: u32,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<Vec<StoredNotice>, StoreError> {
        let mut taken = Vec::new();
        for (place, shard) in self.shards().iter().enumerate() {
            let due = due(shard, channel, limit, now_ms).await?;
            if due.is_empty() {
                continue;
            }
            let mut transaction = shard.begin().await?;
            for (mut notice, due_ms) in due {
                let mut query = QueryBuilder::<Any>::new(
                    "UPDATE notices SET attempts = attempts + 1, due_ms = ",
                );
                query.push_bind(signed(until_ms));
                push_key(&mut query, &notice.key);
                query.push(" AND state = 'waiting' AND due_ms = ");
                query.push_bind(due_ms);
                let done = query.build().execute(&mut *transaction).await?;
                if done.rows_affected() == 1 {
                    notice.attempts += 1;
                    notice.shard = place;
                    taken.push(notice);
                }
            }
            transaction.commit().await?;
        }
        Ok(taken)
    }

    /// Puts down what became of these.
    ///
    /// # Errors
    /// The database is away; they are tried once more then.
    pub async fn tried_notices(
        &self,
        tried: &[(StoredNotice, Tried)],
        now_ms: u64,
    ) -> Result<(), StoreError> {
        for (place, shard) in self.shards().iter().enumerate() {
            let mut of_shard = Vec::new();
            for one in tried {
                if one.0.shard == place {
                    of_shard.push(one);
                }
            }
            if of_shard.is_empty() {
                continue;
            }
            let mut transaction = shard.begin().await?;
            for (notice, outcome) in of_shard {
                put_down(&mut transaction, notice, outcome, now_ms).await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }

    /// How many wait, and how many were given up.
    ///
    /// # Errors
    /// The database is away.
    pub async fn notice_count(&self) -> Result<NoticeCount, StoreError> {
        let mut sum = NoticeCount::default();
        for shard in self.shards() {
            let waiting = "SELECT COUNT(*), MIN(created_ms) FROM notices WHERE state = 'waiting'";
            let row = sqlx::query(waiting).fetch_one(shard.readers()).await?;
            sum.waiting += unsigned(row.try_get(0)?);
            let oldest = row.try_get::<Option<i64>, _>(1)?.map(unsigned);
            sum.oldest_ms = sum.oldest_ms.into_iter().chain(oldest).min();
            let dead: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM notices WHERE state = 'dead'")
                .fetch_one(shard.readers())
                .await?;
            sum.dead += unsigned(dead);
        }
        Ok(sum)
    }

    /// Notices that were given up, latest first: up to `limit` of each database.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn dead_notices(&self, limit: u32) -> Result<Vec<DeadNotice>, StoreError> {
        let mut dead = Vec::new();
        for shard in self.shards() {
            let rows = sqlx::query(
                "SELECT order_id, kind, payment, channel, attempts, reason, updated_ms \
                 FROM notices WHERE state = 'dead' ORDER BY updated_ms DESC LIMIT ?",
            )
            .bind(i64::from(limit))
            .fetch_all(shard.readers())
            .await?;
            for row in &rows {
                dead.push(DeadNotice {
                    key: read_key(row)?,
                    attempts: u32::try_from(row.try_get::<i64, _>(4)?).unwrap_or(u32::MAX),
                    reason: row.try_get::<Option<String>, _>(5)?.unwrap_or_default(),
                    updated_ms: unsigned(row.try_get(6)?),
                });
            }
        }
        Ok(dead)
    }

    /// Has everything that was given up tried again, as often as at first;
    /// returns how much that is.
    ///
    /// # Errors
    /// The database is away.
    pub async fn retry_dead_notices(&self, now_ms: u64) -> Result<u64, StoreError> {
        let mut again = 0;
        for shard in self.shards() {
            let done = sqlx::query(
                "UPDATE notices SET state = 'waiting', attempts = 0, due_ms = ?, updated_ms = ? \
                 WHERE state = 'dead'",
            )
            .bind(signed(now_ms))
            .bind(signed(now_ms))
            .execute(shard.writer())
            .await?;
            again += done.rows_affected();
        }
        Ok(again)
    }
}

/// Puts down that these orders' buyers are to be told this, in the transaction
/// that changed them.
pub(super) async fn announce(
    conn: &mut AnyConnection,
    channels: &[Channel],
    orders: &[OrderId],
    kind: Kind,
    payment: &str,
    now_ms: u64,
) -> Result<(), StoreError> {
    let now = signed(now_ms);
    for channel in channels {
        // As many rows as every kind of database takes in one statement.
        for orders in orders.chunks(500) {
            let mut query = QueryBuilder::<Any>::new(
                "INSERT INTO notices (order_id, kind, payment, channel, state, attempts, due_ms, \
                 created_ms, updated_ms) ",
            );
            query.push_values(orders, |mut row, order| {
                row.push_bind(signed(order.0))
                    .push_bind(kind.as_str())
                    .push_bind(payment)
                    .push_bind(channel.as_str())
                    .push("'waiting', 0")
                    .push_bind(now)
                    .push_bind(now)
                    .push_bind(now);
            });
            query.build().execute(&mut *conn).await?;
        }
    }
    Ok(())
}

async fn due(
    shard: &Database,
    channel: Channel,
    limit: u32,
    now_ms: u64,
) -> Result<Vec<(StoredNotice, i64)>, StoreError> {
    let rows = sqlx::query(
        "SELECT order_id, kind, payment, channel, attempts, created_ms, due_ms FROM notices \
         WHERE channel = ? AND state = 'waiting' AND due_ms <= ? ORDER BY due_ms LIMIT ?",
    )
    .bind(channel.as_str())
    .bind(signed(now_ms))
    .bind(i64::from(limit))
    .fetch_all(shard.readers())
    .await?;
    rows.iter()
        .map(|row| {
            let notice = StoredNotice {
                key: read_key(row)?,
                attempts: u32::try_from(row.try_get::<i64, _>(4)?).unwrap_or(u32::MAX),
                created_ms: unsigned(row.try_get(5)?),
                shard: 0,
            };
            Ok((notice, row.try_get(6)?))
        })
        .collect()
}

async fn put_down(
    conn: &mut AnyConnection,
    notice: &StoredNotice,
    outcome: &Tried,
    now_ms: u64,
) -> Result<(), StoreError> {
    let (state, due_ms, reason) = match outcome {
        Tried::Sent => ("sent", None, None),
        Tried::Skipped(reason) => ("skipped", None, Some(reason)),
        Tried::Again { due_ms, reason } => ("waiting", Some(*due_ms), Some(reason)),
        Tried::Dead(reason) => ("dead", None, Some(reason)),
    };
    let reason = reason.map(|reason| reason.chars().take(REASON).collect::<String>());
    let mut query = QueryBuilder::<Any>::new("UPDATE notices SET state = ");
    query.push_bind(state).push(", reason = ").push_bind(reason);
    query.push(", updated_ms = ").push_bind(signed(now_ms));
    if let Some(due_ms) = due_ms {
        query.push(", due_ms = ").push_bind(signed(due_ms));
    }
    push_key(&mut query, &notice.key);
    query.push(" AND state = 'waiting'");
    query.build().execute(conn).await?;
    Ok(())
}

fn push_key(query: &mut QueryBuilder<Any>, key: &NoticeKey) {
    query
        .push(" WHERE order_id = ")
        .push_bind(signed(key.order.0));
    query.push(" AND kind = ").push_bind(key.kind.as_str());
    query.push(" AND payment = ").push_bind(key.payment.clone());
    query
        .push(" AND channel = ")
        .push_bind(key.channel.as_str());
}

/// Reads the first four columns.
fn read_key(row: &AnyRow) -> Result<NoticeKey, StoreError> {
    let id: i64 = row.try_get(0)?;
    let (kind, channel): (String, String) = (row.try_get(1)?, row.try_get(3)?);
    let unreadable = |column, value| StoreError::Row {
        table: "notices",
        id: id.to_string(),
        column,
        value,
    };
    Ok(NoticeKey {
        order: OrderId(unsigned(id)),
        kind: Kind::parse(&kind).ok_or_else(|| unreadable("kind", kind))?,
        payment: row.try_get(2)?,
        channel: Channel::parse(&channel).ok_or_else(|| unreadable("channel", channel))?,
    })
}
