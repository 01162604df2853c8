//! What the shop's own inventory holds for our rounds.

use seckill_core::ids::Item;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, signed, unsigned};

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// It is asked for; whether the inventory holds it is not known.
    Asked,
    /// The inventory holds it.
    Held,
    /// It is to be settled: what was sold stays gone, the rest is returned.
    Settling,
    /// It is settled.
    Settled,
}

impl HoldState {
    /// The name in the database and in what commands print.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HoldState::Asked => "asked",
            HoldState::Held => "held",
            HoldState::Settling => "settling",
            HoldState::Settled => "settled",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::Asked, Self::Held, Self::Settling, Self::Settled];
        all.into_iter().find(|state| state.as_str() == text)
    }
}

/// What the inventory holds for a product in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// Its name at the inventory.
    pub id: String,
    /// Counts how often it was held anew.
    pub generation: u64,
    /// The inventory's name for the product.
    pub sku: String,
    /// How many items are held.
    pub amount: u64,
    /// Its state.
    pub state: HoldState,
    /// Items that were sold, once it is settled.
    pub sold: u64,
    /// Items that were returned, once it is settled.
    pub returned: u64,
    /// Why it is as it is; empty if all is well.
    pub trouble: String,
    /// When it changed last, epoch milliseconds.
    pub updated_ms: u64,
}

impl Store {
    /// Records which of the inventory's items a product is.
    ///
    /// # Errors
    /// The database is away.
    pub async fn choose_item(
        &self,
        product: &str,
        sku: &str,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let update = || {
            sqlx::query("UPDATE inventory_items SET sku = ?, chosen_ms = ? WHERE product = ?")
                .bind(sku)
                .bind(signed(now_ms))
                .bind(product)
        };
        let insert =
            sqlx::query("INSERT INTO inventory_items (sku, chosen_ms, product) VALUES (?, ?, ?)")
                .bind(sku)
                .bind(signed(now_ms))
                .bind(product);
        self.main().put(update, insert).await
    }

    /// The inventory's name for a product; `None` if it was not chosen from there.
    ///
    /// # Errors
    /// The database is away.
    pub async fn sku_of(&self, product: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT sku FROM inventory_items WHERE product = ?")
            .bind(product)
            .fetch_optional(self.main().readers())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// The hold of a product in a round.
    ///
    /// # Errors
    /// The database is away, or the row cannot be read.
    pub async fn hold(&self, round: &str, product: &str) -> Result<Option<Hold>, StoreError> {
        let row = sqlx::query(
            "SELECT round, product, hold, generation, sku, amount, state, sold, returned, \
             trouble, updated_ms FROM inventory_holds WHERE round = ? AND product = ?",
        )
        .bind(round)
        .bind(product)
        .fetch_optional(self.main().readers())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The holds that are not settled, by round and product. Of a shop that has sold for
    /// years these are few.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn open_holds(&self) -> Result<Vec<Hold>, StoreError> {
        let rows = sqlx::query(
            "SELECT round, product, hold, generation, sku, amount, state, sold, returned, \
             trouble, updated_ms FROM inventory_holds \
             WHERE state IN ('asked', 'held', 'settling') ORDER BY round, product",
        )
        .fetch_all(self.main().readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// All holds, by round and product.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        let rows = sqlx::query(
            "SELECT round, product, hold, generation, sku, amount, state, sold, returned, \
             trouble, updated_ms FROM inventory_holds ORDER BY round, product",
        )
        .fetch_all(self.main().readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Puts a hold on record as it is now, instead of what was recorded of it.
    ///
    /// # Errors
    /// The database is away.
    pub async fn keep_hold(&self, hold: &Hold) -> Result<(), StoreError> {
        const MAX_TROUBLE: usize = 500;
        let trouble: String = hold.trouble.chars().take(MAX_TROUBLE).collect();
        // Both name the columns in the same order, those of the key last.
        let bound = |statement| {
            sqlx::query(statement)
                .bind(&hold.id)
                .bind(signed(hold.generation))
                .bind(&hold.sku)
                .bind(signed(hold.amount))
                .bind(hold.state.as_str())
                .bind(signed(hold.sold))
                .bind(signed(hold.returned))
                .bind(trouble.clone())
                .bind(signed(hold.updated_ms))
                .bind(&hold.round)
                .bind(&hold.product)
        };
        let update = || {
            bound(
                "UPDATE inventory_holds SET hold = ?, generation = ?, sku = ?, amount = ?, \
                 state = ?, sold = ?, returned = ?, trouble = ?, updated_ms = ? \
                 WHERE round = ? AND product = ?",
            )
        };
        let insert = bound(
            "INSERT INTO inventory_holds (hold, generation, sku, amount, state, sold, returned, \
             trouble, updated_ms, round, product) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        );
        self.main().put(update, insert).await
    }

    /// How many items of a product were sold in a round, and whether an order may still
    /// change. A refunded order counts as sold if its items stayed sold.
    ///
    /// # Errors
    /// The database is away.
    pub async fn sold(
        &self,
        item: &Item,
        refunded_counts: bool,
    ) -> Result<(u64, bool), StoreError> {
        let (mut sold, mut open) = (0, false);
        for shard in self.shards() {
            let rows = sqlx::query(
                "SELECT state, reason, quantity, stock_due FROM orders \
                 WHERE round = ? AND product = ?",
            )
            .bind(item.round())
            .bind(item.product())
            .fetch_all(shard.readers())
            .await?;
            for row in &rows {
                let state: String = row.try_get(0)?;
                let reason: Option<String> = row.try_get(1)?;
                let due: Option<String> = row.try_get(3)?;
                let is_refunded = reason.as_deref() == Some("refunded");
                if state == "paid" || (is_refunded && refunded_counts) {
                    sold += unsigned(row.try_get(2)?);
                }
                open |= state == "created" || due.is_some_and(|due| due != "lost");
            }
        }
        Ok((sold, open))
    }
}

fn read(row: &AnyRow) -> Result<Hold, StoreError> {
    let (id, state): (String, String) = (row.try_get(2)?, row.try_get(6)?);
    let Some(state) = HoldState::parse(&state) else {
        let (table, column, value) = ("inventory_holds", "state", state);
        return Err(StoreError::Row {
            table,
            id,
            column,
            value,
        });
    };
    Ok(Hold {
        round: row.try_get(0)?,
        product: row.try_get(1)?,
        id,
        generation: unsigned(row.try_get(3)?),
        sku: row.try_get(4)?,
        amount: unsigned(row.try_get(5)?),
        state,
        sold: unsigned(row.try_get(7)?),
        returned: unsigned(row.try_get(8)?),
        trouble: row.try_get(9)?,
        updated_ms: unsigned(row.try_get(10)?),
    })
}
