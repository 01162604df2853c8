//! Rounds and their products in the database.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{Store, StoreError, signed};
use crate::sale::import::{Decision, Outcome};
use crate::sale::{Frozen, Product, Round, RoundState, StoredRound};

/// What the database holds of one product's orders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderCount {
    /// Orders that are not cancelled.
    pub orders: u64,
    /// Items in them.
    pub items: u64,
}

impl Store {
    /// Imports `rounds` in one transaction: `decide` sees each beside what is
    /// stored of it, and one refusal leaves everything as it was.
    ///
    /// # Errors
    /// The database, or the first refusal of `decide`.
    pub async fn import_rounds<F, R, E>(
        &self,
        rounds: &[F],
        id_of: impl Fn(&F) -> &str,
        decide: impl Fn(Option<&StoredRound>, &F) -> Result<Decision, R>,
        now_ms: u64,
    ) -> Result<Vec<Outcome>, E>
    where
        E: From<StoreError> + From<R>,
    {
        // IMMEDIATE: nobody may approve a round between the look and the write.
        let mut transaction = self.main().begin().await.map_err(StoreError::from)?;
        let mut outcomes = Vec::new();
        for file_round in rounds {
            let id = id_of(file_round);
            let stored = load(&mut transaction, Some(id)).await?.pop();
            let outcome = match decide(stored.as_ref(), file_round)? {
                Decision::Keep => Outcome::unchanged(id),
                Decision::Save(round) => {
                    save_draft(&mut transaction, &round, now_ms).await?;
                    Outcome::saved(id, stored.is_some())
                }
            };
            outcomes.push(outcome);
        }
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(outcomes)
    }

    /// All rounds, by start.
    ///
    /// # Errors
    /// The database, or a row it cannot have.
    pub async fn rounds(&self) -> Result<Vec<StoredRound>, StoreError> {
        load(&mut *self.main().readers().acquire().await?, None).await
    }

    /// The round of this id.
    ///
    /// # Errors
    /// The database, or a row it cannot have.
    pub async fn round(&self, id: &str) -> Result<Option<StoredRound>, StoreError> {
        Ok(load(&mut *self.main().readers().acquire().await?, Some(id))
            .await?
            .pop())
    }

    /// Marks a draft approved and sets its amounts aside. An approved round
    /// stays as it is.
    ///
    /// # Errors
    /// The database.
    pub async fn approve_round(&self, id: &str, now_ms: u64) -> Result<(), StoreError> {
        let now = signed(now_ms);
        let mut transaction = self.main().begin().await?;
        sqlx::query(
            "UPDATE rounds SET state = 'approved', approved_ms = ? WHERE id = ? AND state = 'draft'",
        )
        .bind(now)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT INTO frozen_stock (round, product, amount, frozen_ms)
             SELECT p.round, p.product, p.amount, ? FROM round_products p
             LEFT JOIN frozen_stock f ON f.round = p.round AND f.product = p.product
             WHERE p.round = ? AND f.round IS NULL",
        )
        .bind(now)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Sets down how the amount of an approved product is divided among its
    /// segments, once.
    ///
    /// # Errors
    /// The database.
    pub async fn freeze_segments(
        &self,
        round: &str,
        product: &str,
        segments: &[u64],
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE frozen_stock SET segments = ? WHERE round = ? AND product = ? AND segments = ''",
        )
        .bind(amounts_text(segments))
        .bind(round)
        .bind(product)
        .execute(self.main().writer())
        .await?;
        Ok(())
    }

    /// Notes that the amount of an approved product was adjusted.
    ///
    /// # Errors
    /// The database.
    pub async fn set_frozen_amount(
        &self,
        round: &str,
        product: &str,
        amount: u64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE frozen_stock SET amount = ? WHERE round = ? AND product = ?")
            .bind(signed(amount))
            .bind(round)
            .bind(product)
            .execute(self.main().writer())
            .await?;
        Ok(())
    }

    /// Notes that Redis has all of an approved round.
    ///
    /// # Errors
    /// The database.
    pub async fn mark_published(&self, id: &str, now_ms: u64) -> Result<(), StoreError> {
        sqlx::query("UPDATE rounds SET published_ms = ? WHERE id = ? AND published_ms IS NULL")
            .bind(signed(now_ms))
            .bind(id)
            .execute(self.main().writer())
            .await?;
        Ok(())
    }

    /// Live orders by round and product.
    ///
    /// # Errors
    /// The database.
    pub async fn order_counts(&self) -> Result<HashMap<(String, String), OrderCount>, StoreError> {
        let mut counts: HashMap<_, OrderCount> = HashMap::new();
        for shard in self.shards() {
            let rows = sqlx::query(
                "SELECT round, product, COUNT(*), CAST(SUM(quantity) AS SIGNED) FROM orders
                 WHERE state IN ('created', 'paid') GROUP BY round, product",
            )
            .fetch_all(shard.readers())
            .await?;
            for row in &rows {
                let count = counts
                    .entry((row.try_get(0)?, row.try_get(1)?))
                    .or_default();
                count.orders += unsigned(row, 2)?;
                count.items += unsigned(row, 3)?;
            }
        }
        Ok(counts)
    }
}

async fn save_draft(
    connection: &mut AnyConnection,
    round: &Round,
    now_ms: u64,
) -> Result<(), StoreError> {
    // Deleting takes the products along; only a draft ever gets here.
    sqlx::query("DELETE FROM rounds WHERE id = ? AND state = 'draft'")
        .bind(&round.id)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO rounds (id, name, opens_ms, ends_ms, state, imported_ms)
         VALUES (?, ?, ?, ?, 'draft', ?)",
    )
    .bind(&round.id)
    .bind(&round.name)
    .bind(signed(round.opens_ms))
    .bind(signed(round.ends_ms))
    .bind(signed(now_ms))
    .execute(&mut *connection)
    .await?;
    for (position, product) in (1_i64..).zip(&round.products) {
        sqlx::query(
            "INSERT INTO round_products
             (round, product, position, title, amount, price_cents, list_price_cents, per_buyer,
              segments)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&round.id)
        .bind(&product.id)
        .bind(position)
        .bind(&product.title)
        .bind(signed(product.amount))
        .bind(signed(product.price_cents))
        .bind(signed(product.list_price_cents))
        .bind(i64::from(product.per_buyer))
        .bind(amounts_text(&product.segments))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The round of this id, or all of them by start.
async fn load(
    connection: &mut AnyConnection,
    id: Option<&str>,
) -> Result<Vec<StoredRound>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, name, opens_ms, ends_ms, state, published_ms FROM rounds
         WHERE ? IS NULL OR id = ? ORDER BY opens_ms, id",
    )
    .bind(id)
    .bind(id)
    .fetch_all(&mut *connection)
    .await?;
    let mut frozen = load_frozen(connection, id).await?;
    let mut products = load_products(connection, id).await?;
    rows.iter()
        .map(|row| {
            let mut stored = stored_round(row)?;
            stored.round.products = products.remove(&stored.round.id).unwrap_or_default();
            stored.frozen = frozen.remove(&stored.round.id).unwrap_or_default();
            Ok(stored)
        })
        .collect()
}

async fn load_products(
    connection: &mut AnyConnection,
    round: Option<&str>,
) -> Result<HashMap<String, Vec<Product>>, StoreError> {
    let rows = sqlx::query(
        "SELECT round, product, title, amount, price_cents, list_price_cents, per_buyer, segments
         FROM round_products WHERE ? IS NULL OR round = ? ORDER BY round, position",
    )
    .bind(round)
    .bind(round)
    .fetch_all(connection)
    .await?;
    let mut products: HashMap<String, Vec<Product>> = HashMap::new();
    for row in &rows {
        let product = Product {
            id: row.try_get(1)?,
            title: row.try_get(2)?,
            amount: unsigned(row, 3)?,
            price_cents: unsigned(row, 4)?,
            list_price_cents: unsigned(row, 5)?,
            per_buyer: u32::try_from(unsigned(row, 6)?).unwrap_or(u32::MAX),
            segments: amounts(row.try_get(7)?),
        };
        products.entry(row.try_get(0)?).or_default().push(product);
    }
    Ok(products)
}

async fn load_frozen(
    connection: &mut AnyConnection,
    round: Option<&str>,
) -> Result<HashMap<String, HashMap<String, Frozen>>, StoreError> {
    let rows = sqlx::query(
        "SELECT round, product, amount, segments FROM frozen_stock WHERE ? IS NULL OR round = ?",
    )
    .bind(round)
    .bind(round)
    .fetch_all(connection)
    .await?;
    let mut frozen: HashMap<String, HashMap<String, Frozen>> = HashMap::new();
    for row in &rows {
        let of_product = Frozen {
            amount: unsigned(row, 2)?,
            segments: amounts(row.try_get(3)?),
        };
        let of_round = frozen.entry(row.try_get(0)?).or_default();
        of_round.insert(row.try_get(1)?, of_product);
    }
    Ok(frozen)
}

/// Amounts of segments as they are stored: `3000,3000,4000`.
fn amounts_text(amounts: &[u64]) -> String {
    let texts: Vec<String> = amounts.iter().map(u64::to_string).collect();
    texts.join(",")
}

/// Reads them; empty text for none.
fn amounts(text: &str) -> Vec<u64> {
    text.split(',')
        .filter_map(|text| text.parse().ok())
        .collect()
}

fn stored_round(row: &AnyRow) -> Result<StoredRound, StoreError> {
    let state: String = row.try_get(4)?;
    let Some(state) = RoundState::parse(&state) else {
        let (table, column) = ("rounds", "state");
        return Err(StoreError::Row {
            table,
            id: row.try_get(0)?,
            column,
            value: state,
        });
    };
    let published: Option<i64> = row.try_get(5)?;
    Ok(StoredRound {
        round: Round {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            opens_ms: unsigned(row, 2)?,
            ends_ms: unsigned(row, 3)?,
            products: Vec::new(),
        },
        state,
        published_ms: published.map(|ms| u64::try_from(ms).unwrap_or(0)),
        frozen: HashMap::new(),
    })
}

/// A number that the table's checks keep from being negative.
fn unsigned(row: &AnyRow, column: usize) -> Result<u64, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    Ok(super::unsigned(number))
}
