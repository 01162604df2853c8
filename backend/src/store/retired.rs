//! Rounds that have left the catalogue and Redis: which are to, which did, and what their
//! segments held at the end.

use std::collections::HashSet;

use seckill_core::ids::Item;
use seckill_core::orders::order::OrderId;
use sqlx::Row as _;

use super::audit::{Actor, Done, note};
use super::session::Session;
use super::{Store, StoreError, signed, unsigned};

/// What a segment of a retired round held at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiredSegment {
    /// The round.
    pub round: String,
    /// The product.
    pub product: String,
    /// The segment's number, from 1.
    pub segment: u16,
    /// Items that nobody bought.
    pub sale: u64,
    /// Items that were paid.
    pub saled: u64,
    /// Archived events.
    pub events: u64,
    /// SHA-256 of them, in hexadecimal digits.
    pub digest: String,
}

/// A round that is over or withdrawn and still in Redis. The default comes before all of
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Over {
    /// Its id.
    pub round: String,
    /// When it ended or was withdrawn, epoch milliseconds.
    pub ends_ms: u64,
}

impl Store {
    /// Up to `limit` approved rounds that ended or were withdrawn before this moment and are
    /// still in Redis, longest over first, from the one behind `after` on.
    ///
    /// # Errors
    /// The database, or a row that cannot be read.
    pub async fn rounds_to_retire(
        &self,
        ended_before_ms: u64,
        after: &Over,
        limit: u32,
    ) -> Result<Vec<Over>, StoreError> {
        let ends_ms = signed(after.ends_ms);
        let rows = sqlx::query(
            "SELECT id, ends_ms FROM
               (SELECT rounds.id, CASE WHEN stops.at_ms < rounds.ends_ms THEN stops.at_ms
                                       ELSE rounds.ends_ms END AS ends_ms
                FROM rounds LEFT JOIN stops
                  ON stops.round = rounds.id AND stops.product = '' AND stops.kind = 'withdrawn'
                WHERE retired_ms IS NULL AND state = 'approved' AND published_ms IS NOT NULL) held
             WHERE ends_ms < ? AND (ends_ms > ? OR (ends_ms = ? AND id > ?))
             ORDER BY ends_ms, id LIMIT ?",
        )
        .bind(signed(ended_before_ms))
        .bind(ends_ms)
        .bind(ends_ms)
        .bind(&after.round)
        .bind(i64::from(limit))
        .fetch_all(self.main().readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Over {
                    round: row.try_get(0)?,
                    ends_ms: unsigned(row.try_get(1)?),
                })
            })
            .collect()
    }

    /// Rounds that are approved, were written to Redis and have not left it.
    ///
    /// # Errors
    /// The database.
    pub async fn rounds_in_redis(&self) -> Result<Vec<String>, StoreError> {
        let rounds = sqlx::query_scalar(
            "SELECT id FROM rounds WHERE retired_ms IS NULL AND state = 'approved'
             AND published_ms IS NOT NULL ORDER BY ends_ms DESC, id",
        )
        .fetch_all(self.main().readers())
        .await?;
        Ok(rounds)
    }

    /// Rounds that are retired, and of which Redis may still hold something.
    ///
    /// # Errors
    /// The database.
    pub async fn rounds_to_clear(&self) -> Result<Vec<String>, StoreError> {
        let rounds = sqlx::query_scalar(
            "SELECT id FROM rounds WHERE retired_ms IS NOT NULL AND cleared = 0",
        )
        .fetch_all(self.main().readers())
        .await?;
        Ok(rounds)
    }

    /// Whether an order of the round is unpaid, or its stock has still to follow.
    ///
    /// # Errors
    /// A database.
    pub async fn has_open_orders(&self, round: &str) -> Result<bool, StoreError> {
        for shard in self.shards() {
            let open: Option<i64> = sqlx::query_scalar(
                "SELECT id FROM orders WHERE round = ?
                 AND (state = 'created' OR stock_due IN ('confirm', 'release')) LIMIT 1",
            )
            .bind(round)
            .fetch_optional(shard.readers())
            .await?;
            if open.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Retires a round: with what its segments held, and an entry in the audit log. It
    /// cannot be published again. `false` if it was retired before.
    ///
    /// # Errors
    /// The database.
    pub async fn retire_round(
        &self,
        id: &str,
        segments: &[RetiredSegment],
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.main().begin().await?;
        let retired = sqlx::query(
            "UPDATE rounds SET retired_ms = ?, version = version + 1
             WHERE id = ? AND retired_ms IS NULL",
        )
        .bind(signed(now_ms))
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        if retired.rows_affected() == 0 {
            return Ok(false);
        }
        for segment in segments {
            insert(&mut transaction, segment).await?;
        }
        // What it cancels is cancelled: no pass over the stops meets it again.
        sqlx::query("UPDATE stops SET cancel = '' WHERE round = ?")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let sold: u64 = segments.iter().map(|it| it.saled).sum();
        let done = Done {
            action: "round.retire",
            target: id.to_owned(),
            detail: serde_json::json!({ "segments": segments.len(), "sold": sold }),
        };
        note(&mut transaction, &Actor::system(), &done, now_ms).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Records that nothing of a retired round is left in Redis.
    ///
    /// # Errors
    /// The database; Redis is then cleared once more.
    pub async fn round_cleared(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE rounds SET cleared = 1 WHERE id = ? AND retired_ms IS NOT NULL")
            .bind(id)
            .execute(self.main().writer())
            .await?;
        Ok(())
    }

    /// Whether the round of this id is retired.
    ///
    /// # Errors
    /// The database.
    pub async fn is_retired(&self, id: &str) -> Result<bool, StoreError> {
        let retired: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM rounds WHERE id = ? AND retired_ms IS NOT NULL")
                .bind(id)
                .fetch_optional(self.main().readers())
                .await?;
        Ok(retired.is_some())
    }

    /// The orders for a product of a retired round that were cancelled since it retired: its
    /// stock had left Redis, and could not follow.
    ///
    /// # Errors
    /// A database.
    pub async fn cancelled_since_retirement(
        &self,
        item: &Item,
    ) -> Result<HashSet<OrderId>, StoreError> {
        let retired: Option<i64> =
            sqlx::query_scalar("SELECT retired_ms FROM rounds WHERE id = ? AND retired_ms > 0")
                .bind(item.round())
                .fetch_optional(self.main().readers())
                .await?;
        let mut cancelled = HashSet::new();
        let Some(retired_ms) = retired else {
            return Ok(cancelled);
        };
        for shard in self.shards() {
            let ids: Vec<i64> = sqlx::query_scalar(
                "SELECT id FROM orders WHERE round = ? AND product = ? AND state = 'cancelled'
                 AND updated_ms >= ?",
            )
            .bind(item.round())
            .bind(item.product())
            .bind(retired_ms)
            .fetch_all(shard.readers())
            .await?;
            cancelled.extend(ids.into_iter().map(|id| OrderId(unsigned(id))));
        }
        Ok(cancelled)
    }

    /// A page of what retired segments held, in the order of their keys, behind `after`.
    ///
    /// # Errors
    /// The database.
    pub async fn retired_segments(
        &self,
        after: Option<(&Item, u16)>,
        limit: u32,
    ) -> Result<Vec<RetiredSegment>, StoreError> {
        let (round, product, segment) = match after {
            Some((item, segment)) => (item.round(), item.product(), segment),
            None => ("", "", 0),
        };
        let rows = sqlx::query(
            "SELECT round, product, segment, sale, saled, events, digest FROM retired_segments
             WHERE round > ? OR (round = ? AND (product > ? OR (product = ? AND segment > ?)))
             ORDER BY round, product, segment LIMIT ?",
        )
        .bind(round)
        .bind(round)
        .bind(product)
        .bind(product)
        .bind(i64::from(segment))
        .bind(i64::from(limit))
        .fetch_all(self.main().readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(RetiredSegment {
                    round: row.try_get(0)?,
                    product: row.try_get(1)?,
                    segment: u16::try_from(unsigned(row.try_get(2)?)).unwrap_or(u16::MAX),
                    sale: unsigned(row.try_get(3)?),
                    saled: unsigned(row.try_get(4)?),
                    events: unsigned(row.try_get(5)?),
                    digest: row.try_get(6)?,
                })
            })
            .collect()
    }
}

async fn insert(connection: &mut Session, segment: &RetiredSegment) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO retired_segments (round, product, segment, sale, saled, events, digest)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&segment.round)
    .bind(&segment.product)
    .bind(i64::from(segment.segment))
    .bind(signed(segment.sale))
    .bind(signed(segment.saled))
    .bind(signed(segment.events))
    .bind(&segment.digest)
    .execute(connection)
    .await?;
    Ok(())
}
