//! Notifications to buyers. Each is written in the transaction that changes the
//! order, and retried until it is sent or given up.

use seckill_core::orders::notification::{Channel, Kind};
use seckill_core::orders::order::OrderId;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row as _};

use super::session::Session;
use super::{Database, Store, StoreError, signed, unsigned};

/// Most characters of a reason that are stored.
const MAX_REASON: usize = 250;

/// Names a notification: the order, its change, and the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationKey {
    /// The order.
    pub order: OrderId,
    /// The change of the order.
    pub kind: Kind,
    /// The payment whose refund is due; empty for other changes.
    pub payment: String,
    /// The channel it is sent by.
    pub channel: Channel,
}

/// A notification that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredNotification {
    /// Its name.
    pub key: NotificationKey,
    /// The number of attempts, including the current one.
    pub attempts: u32,
    /// When the order changed, epoch milliseconds.
    pub created_ms: u64,
    /// The trace that it belongs to, as a `traceparent`.
    pub traceparent: Option<String>,
    /// The index of its database in [`Store::shards`].
    pub(crate) shard: usize,
}

/// The outcome of an attempt to send a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// It was sent.
    Sent,
    /// It has no recipient, for this reason.
    Skipped(String),
    /// It failed and is retried.
    Retry {
        /// The time of the next attempt, epoch milliseconds.
        due_ms: u64,
        /// The cause of the failure.
        reason: String,
    },
    /// It failed for this reason and is given up.
    Dead(String),
}

/// Counts of notifications.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct NotificationCount {
    /// Notifications that are not sent yet.
    pub waiting: u64,
    /// When the order of the oldest of them changed, epoch milliseconds.
    pub oldest_ms: Option<u64>,
    /// Notifications that were given up.
    pub dead: u64,
}

/// A notification that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadNotification {
    /// Its name.
    pub key: NotificationKey,
    /// The number of attempts.
    pub attempts: u32,
    /// The cause of the last failure.
    pub reason: String,
    /// When it was given up, epoch milliseconds.
    pub updated_ms: u64,
}

impl Store {
    /// The same store, which writes a notification for each channel whenever an order
    /// changes.
    #[must_use]
    pub fn notifying(self, channels: &[Channel]) -> Self {
        Self {
            channels: channels.into(),
            ..self
        }
    }

    /// Claims up to `limit` notifications of a channel that are due, longest waiting
    /// first. Nobody else gets them before `until_ms`.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn claim_notifications(
        &self,
        channel: Channel,
        limit: u32,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<Vec<StoredNotification>, StoreError> {
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

    /// Records the outcomes of attempts.
    ///
    /// # Errors
    /// The database is away; the notifications are sent once more then.
    pub async fn record_outcomes(
        &self,
        outcomes: &[(StoredNotification, SendOutcome)],
        now_ms: u64,
    ) -> Result<(), StoreError> {
        for (place, shard) in self.shards().iter().enumerate() {
            let mut of_shard = Vec::new();
            for one in outcomes {
                if one.0.shard == place {
                    of_shard.push(one);
                }
            }
            if of_shard.is_empty() {
                continue;
            }
            let mut transaction = shard.begin().await?;
            for (notice, outcome) in of_shard {
                record_outcome(&mut transaction, notice, outcome, now_ms).await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Counts the notifications that wait and those that were given up.
    ///
    /// # Errors
    /// The database is away.
    pub async fn count_notifications(&self) -> Result<NotificationCount, StoreError> {
        let mut sum = NotificationCount::default();
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

    /// Notifications that were given up, latest first: up to `limit` of each database.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn dead_notifications(
        &self,
        limit: u32,
    ) -> Result<Vec<DeadNotification>, StoreError> {
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
                dead.push(DeadNotification {
                    key: read_key(row)?,
                    attempts: u32::try_from(row.try_get::<i64, _>(4)?).unwrap_or(u32::MAX),
                    reason: row.try_get::<Option<String>, _>(5)?.unwrap_or_default(),
                    updated_ms: unsigned(row.try_get(6)?),
                });
            }
        }
        Ok(dead)
    }

    /// Makes all notifications that were given up due again, with as many attempts as
    /// at first; returns their number.
    ///
    /// # Errors
    /// The database is away.
    pub async fn retry_dead_notifications(&self, now_ms: u64) -> Result<u64, StoreError> {
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

async fn due(
    shard: &Database,
    channel: Channel,
    limit: u32,
    now_ms: u64,
) -> Result<Vec<(StoredNotification, i64)>, StoreError> {
    let rows = sqlx::query(
        "SELECT order_id, kind, payment, channel, attempts, created_ms, due_ms, traceparent \
         FROM notices \
         WHERE channel = ? AND state = 'waiting' AND due_ms <= ? ORDER BY due_ms LIMIT ?",
    )
    .bind(channel.as_str())
    .bind(signed(now_ms))
    .bind(i64::from(limit))
    .fetch_all(shard.readers())
    .await?;
    rows.iter()
        .map(|row| {
            let notice = StoredNotification {
                key: read_key(row)?,
                attempts: u32::try_from(row.try_get::<i64, _>(4)?).unwrap_or(u32::MAX),
                created_ms: unsigned(row.try_get(5)?),
                traceparent: row.try_get(7)?,
                shard: 0,
            };
            Ok((notice, row.try_get(6)?))
        })
        .collect()
}

async fn record_outcome(
    conn: &mut Session,
    notice: &StoredNotification,
    outcome: &SendOutcome,
    now_ms: u64,
) -> Result<(), StoreError> {
    let (state, due_ms, reason) = match outcome {
        SendOutcome::Sent => ("sent", None, None),
        SendOutcome::Skipped(reason) => ("skipped", None, Some(reason)),
        SendOutcome::Retry { due_ms, reason } => ("waiting", Some(*due_ms), Some(reason)),
        SendOutcome::Dead(reason) => ("dead", None, Some(reason)),
    };
    let reason = reason.map(|reason| reason.chars().take(MAX_REASON).collect::<String>());
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

fn push_key(query: &mut QueryBuilder<Any>, key: &NotificationKey) {
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
fn read_key(row: &AnyRow) -> Result<NotificationKey, StoreError> {
    let id: i64 = row.try_get(0)?;
    let (kind, channel): (String, String) = (row.try_get(1)?, row.try_get(3)?);
    let unreadable = |column, value| StoreError::Row {
        table: "notices",
        id: id.to_string(),
        column,
        value,
    };
    Ok(NotificationKey {
        order: OrderId(unsigned(id)),
        kind: Kind::parse(&kind).ok_or_else(|| unreadable("kind", kind))?,
        payment: row.try_get(2)?,
        channel: Channel::parse(&channel).ok_or_else(|| unreadable("channel", channel))?,
    })
}
