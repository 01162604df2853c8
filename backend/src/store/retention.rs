//! What may be removed from the database, what must stay, and removing it.
//!
//! Orders and ledgers are removed by the round, and only of a round that is retired and of
//! which nothing is open: no order that waits for money or whose stock has to follow, no
//! refund, no notification, no event of the feed that somebody has still to get, nothing
//! that the shop's own inventory holds. Everything is exported before; what changes between
//! its export and its removal stays for the next pass.

use sqlx::any::AnyRow;
use sqlx::{Any, Column as _, QueryBuilder, Row as _};

use super::among::among;
use super::audit::{Actor, Done, note};
use super::{Store, StoreError, signed, totals, unsigned};

/// Records that are removed one by one.
mod records;

pub use records::Records;

/// Rows that one statement reads or removes.
const ROWS: u32 = 500;

/// Tables with rows of an order, each with the column that names the order.
const OF_ORDERS: &[&str] = &[
    "payments",
    "checkouts",
    "notices",
    "order_events",
    "order_details",
    "order_notes",
];

/// What is removed of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its orders, with payments, notifications, notes and events.
    Orders,
    /// Its archived ledger.
    Ledger,
}

impl Part {
    /// Its stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Ledger => "ledger",
        }
    }
}

/// A round of which something may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldRound {
    /// Its id.
    pub id: String,
    /// When it ended.
    ends_ms: i64,
}

/// An order that is to be removed, as it was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Its number.
    id: i64,
    /// When it had last changed.
    updated_ms: i64,
}

/// A removal of a part of a round.
#[derive(Debug, Clone, Copy)]
pub struct Removal<'a> {
    /// The round.
    pub round: &'a str,
    /// The part.
    pub part: Part,
    /// Rows in the file.
    pub rows: u64,
    /// The file that they were exported to.
    pub file: &'a str,
    /// Its SHA-256, in hexadecimal digits.
    pub digest: &'a str,
}

impl Store {
    /// Up to `limit` rounds that are over since before `ended_before_ms`, are retired, and
    /// of which this part is not wholly removed; longest over first, behind `after`.
    ///
    /// # Errors
    /// The database.
    pub async fn rounds_to_remove(
        &self,
        part: Part,
        ended_before_ms: u64,
        after: Option<&OldRound>,
        limit: u32,
    ) -> Result<Vec<OldRound>, StoreError> {
        let (ends_ms, id) = after.map_or((i64::MIN, ""), |old| (old.ends_ms, &old.id));
        let rows = sqlx::query(
            "SELECT id, ends_ms FROM rounds WHERE retired_ms IS NOT NULL AND cleared = 1
             AND ends_ms < ? AND (ends_ms > ? OR (ends_ms = ? AND id > ?))
             AND NOT EXISTS (SELECT 1 FROM removals r WHERE r.round = rounds.id
             AND r.what = ? AND r.done_ms IS NOT NULL) ORDER BY ends_ms, id LIMIT ?",
        )
        .bind(signed(ended_before_ms))
        .bind(ends_ms)
        .bind(ends_ms)
        .bind(id)
        .bind(part.as_str())
        .bind(i64::from(limit))
        .fetch_all(self.main().readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(OldRound {
                    id: row.try_get(0)?,
                    ends_ms: row.try_get(1)?,
                })
            })
            .collect()
    }

    /// Why the orders and the ledger of a round have to stay: what of it is not settled, or
    /// has changed since `before_ms`.
    ///
    /// # Errors
    /// A database.
    pub async fn keeps_round(
        &self,
        round: &str,
        before_ms: u64,
    ) -> Result<Option<&'static str>, StoreError> {
        if self.has_open_orders(round).await? {
            return Ok(Some(
                "an order waits for its payment, or its stock to follow",
            ));
        }
        let held: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM inventory_holds WHERE round = ? AND state <> 'settled' LIMIT 1",
        )
        .bind(round)
        .fetch_optional(self.main().readers())
        .await?;
        if held.is_some() {
            return Ok(Some("the shop's inventory has not settled what it held"));
        }
        let checks = [
            (
                "an order or a payment of it changed lately",
                "SELECT 1 FROM orders o LEFT JOIN payments p ON p.order_id = o.id
                 WHERE o.round = ? AND (o.updated_ms >= ? OR p.updated_ms >= ?) LIMIT 1",
            ),
            (
                "a refund is due",
                "SELECT 1 FROM payments p JOIN orders o ON o.id = p.order_id
                 WHERE o.round = ? AND ? <= ? AND p.state = 'refund_due' LIMIT 1",
            ),
            (
                "a notification waits to be sent",
                "SELECT 1 FROM notices n JOIN orders o ON o.id = n.order_id
                 WHERE o.round = ? AND ? <= ? AND n.state = 'waiting' LIMIT 1",
            ),
            (
                "a receiver of the feed has not got all events",
                "SELECT 1 FROM order_events e JOIN orders o ON o.id = e.order_id
                 WHERE o.round = ? AND ? <= ?
                 AND e.position > (SELECT MIN(position) FROM order_feeds) LIMIT 1",
            ),
        ];
        for shard in self.shards() {
            for (why, statement) in checks {
                let found: Option<i64> = sqlx::query_scalar(statement)
                    .bind(round)
                    .bind(signed(before_ms))
                    .bind(signed(before_ms))
                    .fetch_optional(shard.readers())
                    .await?;
                if found.is_some() {
                    return Ok(Some(why));
                }
            }
        }
        let open: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT payment FROM refunds WHERE state IN ('asked', 'pending')",
        )
        .fetch_all(self.main().readers())
        .await?;
        for payment in open {
            for shard in self.shards() {
                let found: Option<i64> = sqlx::query_scalar(
                    "SELECT 1 FROM payments p JOIN orders o ON o.id = p.order_id
                     WHERE p.id = ? AND o.round = ?",
                )
                .bind(&payment)
                .bind(round)
                .fetch_optional(shard.readers())
                .await?;
                if found.is_some() {
                    return Ok(Some("a refund is under way"));
                }
            }
        }
        Ok(None)
    }

    /// The number of databases with orders.
    #[must_use]
    pub fn order_databases(&self) -> usize {
        self.shards().len()
    }

    /// A page of a round's orders in one database, behind `after`, and lines of JSON with
    /// all rows that belong to them.
    ///
    /// # Errors
    /// The database.
    pub async fn export_orders(
        &self,
        shard: usize,
        round: &str,
        after: Option<Exported>,
    ) -> Result<(Vec<Exported>, Vec<String>), StoreError> {
        let database = self.shards().get(shard).unwrap_or(self.main());
        let rows =
            sqlx::query("SELECT * FROM orders WHERE round = ? AND id > ? ORDER BY id LIMIT ?")
                .bind(round)
                .bind(after.map_or(i64::MIN, |order| order.id))
                .bind(i64::from(ROWS))
                .fetch_all(database.readers())
                .await?;
        let mut orders = Vec::with_capacity(rows.len());
        let mut lines = Vec::with_capacity(rows.len());
        for row in &rows {
            orders.push(Exported {
                id: row.try_get("id")?,
                updated_ms: row.try_get("updated_ms")?,
            });
            lines.push(line("orders", row)?);
        }
        let ids: Vec<i64> = orders.iter().map(|order| order.id).collect();
        for table in OF_ORDERS {
            let mut query = QueryBuilder::<Any>::new(format!("SELECT * FROM {table}"));
            among(&mut query, " WHERE order_id", &ids);
            for row in query.build().fetch_all(database.readers()).await? {
                lines.push(line(table, &row)?);
            }
        }
        let mut payments = QueryBuilder::<Any>::new("SELECT id FROM payments");
        among(&mut payments, " WHERE order_id", &ids);
        for row in payments.build().fetch_all(database.readers()).await? {
            let payment: String = row.try_get(0)?;
            let refunds = sqlx::query("SELECT * FROM refunds WHERE payment = ?")
                .bind(payment)
                .fetch_all(self.main().readers())
                .await?;
            for row in &refunds {
                lines.push(line("refunds", row)?);
            }
        }
        Ok((orders, lines))
    }

    /// A page of the archived ledger of a round as lines of JSON, after the first `skip`
    /// rows.
    ///
    /// # Errors
    /// The database.
    pub async fn export_ledger(&self, round: &str, skip: u64) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM ledger WHERE round = ?
             ORDER BY product, segment, entry_ms, entry_seq LIMIT ? OFFSET ?",
        )
        .bind(round)
        .bind(i64::from(ROWS))
        .bind(signed(skip))
        .fetch_all(self.main().readers())
        .await?;
        rows.iter().map(|row| line("ledger", row)).collect()
    }

    /// Records that a part of a round is exported and about to be removed, with an entry in
    /// the audit log.
    ///
    /// # Errors
    /// The database.
    pub async fn begin_removal(
        &self,
        removal: Removal<'_>,
        by: &Actor,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let (round, what) = (removal.round, removal.part.as_str());
        let mut transaction = self.main().begin().await?;
        let again = sqlx::query(
            "UPDATE removals SET file = ?, digest = ?, at_ms = ? WHERE round = ? AND what = ?",
        )
        .bind(removal.file)
        .bind(removal.digest)
        .bind(signed(now_ms))
        .bind(round)
        .bind(what)
        .execute(&mut *transaction)
        .await?;
        if again.rows_affected() == 0 {
            sqlx::query(
                "INSERT INTO removals (round, what, removed, file, digest, at_ms)
                 VALUES (?, ?, 0, ?, ?, ?)",
            )
            .bind(round)
            .bind(what)
            .bind(removal.file)
            .bind(removal.digest)
            .bind(signed(now_ms))
            .execute(&mut *transaction)
            .await?;
        }
        let done = Done {
            action: "retention.remove",
            target: round.to_owned(),
            detail: serde_json::json!({ "what": what, "rows": removal.rows,
                "file": removal.file, "digest": removal.digest }),
        };
        note(&mut transaction, by, &done, now_ms).await?;
        Ok(transaction.commit().await?)
    }

    /// Removes exported orders of one database with what belongs to them: those that have
    /// not changed since and have become due for nothing. What they sold is kept, for the
    /// report of their round. Returns how many.
    ///
    /// # Errors
    /// The database.
    pub async fn remove_orders(
        &self,
        shard: usize,
        exported: &[Exported],
    ) -> Result<u64, StoreError> {
        let database = self.shards().get(shard).unwrap_or(self.main());
        let mut removed = 0;
        for chunk in exported.chunks(ROWS as usize) {
            let mut transaction = database.begin().await?;
            let ids: Vec<i64> = chunk.iter().map(|order| order.id).collect();
            let mut still = QueryBuilder::<Any>::new(
                "SELECT id, updated_ms FROM orders WHERE state <> 'created'
                 AND (stock_due IS NULL OR stock_due = 'lost')
                 AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.order_id = orders.id
                                 AND p.state = 'refund_due')",
            );
            among(&mut still, " AND id", &ids);
            let mut gone = Vec::new();
            for row in still.build().fetch_all(&mut *transaction).await? {
                let (id, updated_ms) = (row.try_get(0)?, row.try_get(1)?);
                if chunk.contains(&Exported { id, updated_ms }) {
                    gone.push(id);
                }
            }
            if gone.is_empty() {
                continue;
            }
            for table in OF_ORDERS {
                let mut delete = QueryBuilder::<Any>::new(format!("DELETE FROM {table}"));
                among(&mut delete, " WHERE order_id", &gone);
                delete.build().execute(&mut *transaction).await?;
            }
            totals::keep_removed(&mut transaction, &gone).await?;
            let mut delete = QueryBuilder::<Any>::new("DELETE FROM orders");
            among(&mut delete, " WHERE id", &gone);
            let deleted = delete.build().execute(&mut *transaction).await?;
            if deleted.rows_affected() != gone.len() as u64 {
                // Another process removes the same ones, and counts them.
                continue;
            }
            removed += deleted.rows_affected();
            transaction.commit().await?;
        }
        Ok(removed)
    }

    /// Removes the archived ledger of a round.
    ///
    /// # Errors
    /// The database.
    pub async fn remove_ledger(&self, round: &str) -> Result<u64, StoreError> {
        let segments = sqlx::query("SELECT DISTINCT product, segment FROM ledger WHERE round = ?")
            .bind(round)
            .fetch_all(self.main().readers())
            .await?;
        let mut removed = 0;
        for row in &segments {
            let (product, segment): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            let gone =
                sqlx::query("DELETE FROM ledger WHERE round = ? AND product = ? AND segment = ?")
                    .bind(round)
                    .bind(product)
                    .bind(segment)
                    .execute(self.main().writer())
                    .await?;
            removed += gone.rows_affected();
        }
        Ok(removed)
    }

    /// Counts orders, or entries of the ledger, that were removed. What was only exported
    /// does not count: it is exported once more. A crash before this counts too few.
    ///
    /// # Errors
    /// The database.
    pub async fn count_removed(
        &self,
        round: &str,
        part: Part,
        removed: u64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE removals SET removed = removed + ? WHERE round = ? AND what = ?")
            .bind(signed(removed))
            .bind(round)
            .bind(part.as_str())
            .execute(self.main().writer())
            .await?;
        Ok(())
    }

    /// Records that nothing is left of this part of a round.
    ///
    /// # Errors
    /// The database.
    pub async fn removal_done(
        &self,
        round: &str,
        part: Part,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE removals SET done_ms = ? WHERE round = ? AND what = ?")
            .bind(signed(now_ms))
            .bind(round)
            .bind(part.as_str())
            .execute(self.main().writer())
            .await?;
        Ok(())
    }

    /// When orders of this round were last exported to be removed, epoch milliseconds, and
    /// how many were removed in all; `None` if they were not.
    ///
    /// # Errors
    /// The database.
    pub async fn orders_removed(&self, round: &str) -> Result<Option<(u64, u64)>, StoreError> {
        let row = sqlx::query("SELECT at_ms, removed FROM removals WHERE round = ? AND what = ?")
            .bind(round)
            .bind(Part::Orders.as_str())
            .fetch_optional(self.main().readers())
            .await?;
        row.map(|row| Ok((unsigned(row.try_get(0)?), unsigned(row.try_get(1)?))))
            .transpose()
    }

    /// The file to which this part of a round was exported before it was removed; `None` if
    /// it was not removed.
    ///
    /// # Errors
    /// The database.
    pub async fn removed(&self, round: &str, part: Part) -> Result<Option<String>, StoreError> {
        let file = sqlx::query_scalar("SELECT file FROM removals WHERE round = ? AND what = ?")
            .bind(round)
            .bind(part.as_str())
            .fetch_optional(self.main().readers())
            .await?;
        Ok(file)
    }
}

/// A row as a line of JSON, whatever its columns are: `{"table":…,"row":{…}}`.
fn line(table: &str, row: &AnyRow) -> Result<String, StoreError> {
    let mut fields = serde_json::Map::new();
    for column in row.columns() {
        let at = column.ordinal();
        let value = match row.try_get::<Option<i64>, _>(at) {
            Ok(number) => number.map_or(serde_json::Value::Null, Into::into),
            Err(_) => row
                .try_get::<Option<String>, _>(at)?
                .map_or(serde_json::Value::Null, Into::into),
        };
        fields.insert(column.name().to_owned(), value);
    }
    Ok(serde_json::json!({ "table": table, "row": fields }).to_string())
}
