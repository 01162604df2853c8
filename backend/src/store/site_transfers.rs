//! Transfers of items between sites that sell one round: this site's end of each.
//!
//! What a site may sell is the amount set aside for it. It changes with a transfer in one
//! transaction with the transfer's state ([`seckill_core::sites::transfer`]).

use seckill_core::ids::Item;
use seckill_core::sites::transfer::State;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::audit::{Actor, Done, note};
use super::session::Session;
use super::{Store, StoreError, signed, unsigned};

/// The columns, as [`read`] takes them.
const COLUMNS: &str =
    "id, peer, round, product, side, lost, wanted, items, short, state, updated_ms";

/// This site's end of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteTransfer {
    /// Its id, which the site that asked has chosen.
    pub id: String,
    /// The site at the other end.
    pub peer: String,
    /// The product.
    pub item: Item,
    /// Whether the items come here; else they leave.
    pub comes: bool,
    /// Whether the site that they leave was declared lost.
    pub lost: bool,
    /// Items asked for.
    pub wanted: u64,
    /// Items that left or came; 0 until that is known.
    pub items: u64,
    /// Items that were sold here before it was known that they were taken over elsewhere.
    pub short: u64,
    /// Where it stands.
    pub state: State,
    /// When it changed last, epoch milliseconds.
    pub updated_ms: u64,
}

impl Store {
    /// Puts a new transfer on record; `false` if one of this id is there already. A site that
    /// is declared lost is noted in the audit log, as done by `by`.
    ///
    /// # Errors
    /// The database; then nothing is on record.
    pub async fn begin_site_transfer(
        &self,
        transfer: &SiteTransfer,
        by: Option<&Actor>,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.main().begin().await?;
        let inserted = insert(&mut transaction, transfer, now_ms).await;
        match inserted {
            Err(error) if error.is_double() => return Ok(false),
            done => done?,
        }
        if let Some(by) = by {
            let done = Done {
                action: "site.lost",
                target: transfer.peer.clone(),
                detail: serde_json::json!({
                    "item": transfer.item.to_string(),
                    "items": transfer.items,
                    "transfer": transfer.id,
                }),
            };
            note(&mut transaction, by, &done, now_ms).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// A transfer.
    ///
    /// # Errors
    /// The database, or the row cannot be read.
    pub async fn site_transfer(&self, id: &str) -> Result<Option<SiteTransfer>, StoreError> {
        let rows = self.some_site_transfers("id = ?", &[id]).await?;
        Ok(rows.into_iter().next())
    }

    /// The transfers that are not done and have not changed since `before_ms`.
    ///
    /// # Errors
    /// The database, or a row cannot be read.
    pub async fn open_site_transfers(
        &self,
        before_ms: u64,
    ) -> Result<Vec<SiteTransfer>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM site_transfers \
             WHERE state IN ('asked', 'granted', 'arrived', 'taking', 'given') \
             AND updated_ms <= ? ORDER BY updated_ms LIMIT 200"
        ));
        let rows = sqlx::query(statement)
            .bind(signed(before_ms))
            .fetch_all(self.main().readers())
            .await?;
        rows.iter().map(read).collect()
    }

    /// All transfers of a product.
    ///
    /// # Errors
    /// The database, or a row cannot be read.
    pub async fn site_transfers(&self, item: &Item) -> Result<Vec<SiteTransfer>, StoreError> {
        let of = [item.round(), item.product()];
        self.some_site_transfers("round = ? AND product = ?", &of)
            .await
    }

    /// What other sites took over of this one while it was lost, or this one of them.
    ///
    /// # Errors
    /// The database, or a row cannot be read.
    pub async fn lost_site_transfers(&self, peer: &str) -> Result<Vec<SiteTransfer>, StoreError> {
        self.some_site_transfers("lost = 1 AND peer = ?", &[peer])
            .await
    }

    /// Where stock and database may differ by a transfer of this product, and the amount
    /// set aside, both of one instant.
    ///
    /// # Errors
    /// The database, or a row cannot be read.
    pub async fn share_and_between(
        &self,
        item: &Item,
    ) -> Result<Option<(u64, Vec<SiteTransfer>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT f.amount, t.id, t.peer, t.round, t.product, t.side, t.lost, t.wanted, \
             t.items, t.short, t.state, t.updated_ms FROM frozen_stock f \
             LEFT JOIN site_transfers t ON t.round = f.round AND t.product = f.product \
             AND t.state IN ('granted', 'taking') \
             WHERE f.round = ? AND f.product = ?",
        )
        .bind(item.round())
        .bind(item.product())
        .fetch_all(self.main().writer())
        .await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let amount = unsigned(first.try_get(0)?);
        let mut between = Vec::new();
        for row in &rows {
            if row.try_get::<Option<String>, _>(1)?.is_some() {
                between.push(read_from(row, 1)?);
            }
        }
        Ok(Some((amount, between)))
    }

    /// Records the answer to a transfer that was asked for: so many items come.
    ///
    /// # Errors
    /// The database.
    pub async fn grant_site_transfer(
        &self,
        id: &str,
        items: u64,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let state = match items {
            0 => State::Done,
            _ => State::Granted,
        };
        sqlx::query(
            "UPDATE site_transfers SET state = ?, items = ?, updated_ms = ? \
             WHERE id = ? AND state = 'asked'",
        )
        .bind(state.as_str())
        .bind(signed(items))
        .bind(signed(now_ms))
        .bind(id)
        .execute(self.main().writer())
        .await?;
        Ok(())
    }

    /// Records that the items of a granted transfer are on sale here, and sets them aside,
    /// once.
    ///
    /// # Errors
    /// The database.
    pub async fn arrive_site_transfer(
        &self,
        transfer: &SiteTransfer,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.main().begin().await?;
        let changed = sqlx::query(
            "UPDATE site_transfers SET state = 'arrived', updated_ms = ? \
             WHERE id = ? AND state = 'granted'",
        )
        .bind(signed(now_ms))
        .bind(&transfer.id)
        .execute(&mut *transaction)
        .await?;
        if changed.rows_affected() > 0 {
            let items = signed(transfer.items);
            set_aside(&mut transaction, &transfer.item, items).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Records that so many items were taken off the sale here for the other site, and sets
    /// that many less aside, once. `short` of those that it took over were sold here.
    ///
    /// # Errors
    /// The database.
    pub async fn give_site_transfer(
        &self,
        transfer: &SiteTransfer,
        (items, short): (u64, u64),
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.main().begin().await?;
        let changed = sqlx::query(
            "UPDATE site_transfers SET state = 'given', items = ?, short = ?, updated_ms = ? \
             WHERE id = ? AND state = 'taking'",
        )
        .bind(signed(items))
        .bind(signed(short))
        .bind(signed(now_ms))
        .bind(&transfer.id)
        .execute(&mut *transaction)
        .await?;
        if changed.rows_affected() > 0 && items > 0 {
            set_aside(&mut transaction, &transfer.item, -signed(items)).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Records that nothing is left to do for a transfer.
    ///
    /// # Errors
    /// The database.
    pub async fn finish_site_transfer(&self, id: &str, now_ms: u64) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE site_transfers SET state = 'done', updated_ms = ? \
             WHERE id = ? AND state IN ('arrived', 'given')",
        )
        .bind(signed(now_ms))
        .bind(id)
        .execute(self.main().writer())
        .await?;
        Ok(())
    }

    async fn some_site_transfers(
        &self,
        which: &str,
        values: &[&str],
    ) -> Result<Vec<SiteTransfer>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM site_transfers WHERE {which} ORDER BY created_ms, id"
        ));
        let mut query = sqlx::query(statement);
        for value in values {
            query = query.bind(*value);
        }
        // By the connection that writes: whoever asks has just changed it.
        let rows = query.fetch_all(self.main().writer()).await?;
        rows.iter().map(read).collect()
    }
}

async fn insert(
    connection: &mut Session,
    transfer: &SiteTransfer,
    now_ms: u64,
) -> Result<(), StoreError> {
    let side = if transfer.comes { "in" } else { "out" };
    sqlx::query(
        "INSERT INTO site_transfers (id, peer, round, product, side, lost, wanted, items, short, \
         state, created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)",
    )
    .bind(&transfer.id)
    .bind(&transfer.peer)
    .bind(transfer.item.round())
    .bind(transfer.item.product())
    .bind(side)
    .bind(i64::from(transfer.lost))
    .bind(signed(transfer.wanted))
    .bind(signed(transfer.items))
    .bind(transfer.state.as_str())
    .bind(signed(now_ms))
    .bind(signed(now_ms))
    .execute(connection)
    .await?;
    Ok(())
}

/// Sets so many items more aside.
async fn set_aside(connection: &mut Session, item: &Item, items: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE frozen_stock SET amount = amount + ? WHERE round = ? AND product = ?")
        .bind(items)
        .bind(item.round())
        .bind(item.product())
        .execute(connection)
        .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<SiteTransfer, StoreError> {
    read_from(row, 0)
}

/// Reads the columns from this one on.
fn read_from(row: &AnyRow, at: usize) -> Result<SiteTransfer, StoreError> {
    let (id, side): (String, String) = (row.try_get(at)?, row.try_get(at + 4)?);
    let (round, product): (String, String) = (row.try_get(at + 2)?, row.try_get(at + 3)?);
    let state: String = row.try_get(at + 9)?;
    let unreadable = |column, value| StoreError::Row {
        table: "site_transfers",
        id: id.clone(),
        column,
        value,
    };
    let Some(item) = Item::new(&round, &product) else {
        return Err(unreadable("product", product));
    };
    let Some(known) = State::parse(&state) else {
        return Err(unreadable("state", state));
    };
    Ok(SiteTransfer {
        peer: row.try_get(at + 1)?,
        item,
        comes: side == "in",
        lost: row.try_get::<i64, _>(at + 5)? != 0,
        wanted: unsigned(row.try_get(at + 6)?),
        items: unsigned(row.try_get(at + 7)?),
        short: unsigned(row.try_get(at + 8)?),
        state: known,
        updated_ms: unsigned(row.try_get(at + 10)?),
        id,
    })
}
