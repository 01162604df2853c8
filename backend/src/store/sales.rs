//! Rounds and their products in the database.

use std::fmt;

use std::collections::{BTreeSet, HashMap};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::audit::{Actor, Done, note};
use super::round_rows::{insert_round, update_draft};
use super::rounds::{ChangeError, refuse_overlap};
use super::{Store, StoreError, signed};
use crate::store::round::FileRound;
use crate::store::round::{Frozen, Product, Round, RoundState, StoredRound, Trail};

/// What to do with one round of the file.
#[derive(Debug)]
pub enum Decision {
    /// It is stored as it is.
    Keep,
    /// Store it as a draft.
    Save(Round),
}

/// What became of one round of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The round's id.
    pub round: String,
    /// What was done.
    pub change: Change,
}

/// What an import did with a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Created,
    /// The draft was replaced.
    Replaced,
    /// It was there already, just so.
    Unchanged,
}

impl Outcome {
    pub(crate) fn unchanged(round: &str) -> Self {
        Self {
            round: round.to_owned(),
            change: Change::Unchanged,
        }
    }

    pub(crate) fn saved(round: &str, existed: bool) -> Self {
        let change = if existed {
            Change::Replaced
        } else {
            Change::Created
        };
        Self {
            round: round.to_owned(),
            change,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Change::Created => "imported as a draft",
            Change::Replaced => "draft replaced",
            Change::Unchanged => "unchanged",
        })
    }
}

/// What [`stored_round`] reads, in its order.
pub(super) const COLUMNS: &str = "id, name, opens_ms, ends_ms, state, published_ms, version, \
                                  series, created_by, edited_by, edited_ms, submitted_by, \
                                  submitted_ms, decided_by, decided_ms, reason";

/// Products that one statement divides: each row is compared with each of them.
const FROZEN_AT_ONCE: usize = 100;

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
    /// The database, the first refusal of `decide`, or, unless it `may_overlap`, a
    /// product that would be in two rounds at once.
    pub async fn import_rounds<E>(
        &self,
        rounds: &[FileRound],
        decide: impl Fn(Option<&StoredRound>, &FileRound) -> Result<Decision, E>,
        may_overlap: bool,
        (by, now_ms): (&Actor, u64),
    ) -> Result<Vec<Outcome>, E>
    where
        E: From<ChangeError>,
    {
        let failed = |error: StoreError| E::from(ChangeError::from(error));
        // IMMEDIATE: nobody may approve a round between the look and the write.
        let begun = self.main().begin().await;
        let mut transaction = begun.map_err(|error| failed(error.into()))?;
        let mut outcomes = Vec::new();
        let mut saved = Vec::new();
        for file in rounds {
            let id = &file.round.id;
            let stored = load(&mut transaction, Some(id)).await.map_err(failed)?;
            let stored = stored.into_iter().next();
            let outcome = match decide(stored.as_ref(), file)? {
                Decision::Keep => Outcome::unchanged(id),
                Decision::Save(round) => {
                    let series = file.series.as_deref();
                    let kept = stored.is_some();
                    import_one(&mut transaction, &round, series, kept, (by, now_ms))
                        .await
                        .map_err(failed)?;
                    saved.push(round);
                    Outcome::saved(id, kept)
                }
            };
            outcomes.push(outcome);
        }
        // Last, when all of the file is there: rounds may change places.
        for round in saved.iter().filter(|_| !may_overlap) {
            refuse_overlap(&mut transaction, round, false).await?;
        }
        let committed = transaction.commit().await;
        committed.map_err(|error| failed(error.into()))?;
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

    /// Sets down how the amounts of approved products are divided among their
    /// segments, each once.
    ///
    /// # Errors
    /// The database; then nothing was set down.
    pub async fn freeze_segments(
        &self,
        round: &str,
        products: &[(&str, &[u64])],
    ) -> Result<(), StoreError> {
        if products.is_empty() {
            return Ok(());
        }
        // One transaction: a commit each would wait for the disk ten thousand times.
        let mut transaction = self.main().begin().await?;
        for chunk in products.chunks(FROZEN_AT_ONCE) {
            freeze(&mut transaction, round, chunk).await?;
        }
        Ok(transaction.commit().await?)
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

    /// The names of all pictures that rounds name, drafts and rounds that are over
    /// among them.
    ///
    /// # Errors
    /// The database.
    pub async fn pictures(&self) -> Result<BTreeSet<String>, StoreError> {
        let rows = sqlx::query("SELECT DISTINCT picture FROM round_products WHERE picture <> ''")
            .fetch_all(self.main().readers())
            .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
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

async fn import_one(
    connection: &mut AnyConnection,
    round: &Round,
    series: Option<&str>,
    is_stored: bool,
    (by, now_ms): (&Actor, u64),
) -> Result<(), StoreError> {
    if is_stored {
        update_draft(connection, round, None, by, now_ms).await?;
    } else {
        insert_round(connection, round, series, by, now_ms).await?;
    }
    let done = Done {
        action: "round.import",
        target: round.id.clone(),
        detail: serde_json::json!({ "name": round.name, "products": round.products.len() }),
    };
    note(connection, by, &done, now_ms).await
}

async fn freeze(
    connection: &mut AnyConnection,
    round: &str,
    products: &[(&str, &[u64])],
) -> Result<(), StoreError> {
    let cases = "WHEN ? THEN ? ".repeat(products.len());
    let ids = vec!["?"; products.len()].join(", ");
    let statement = sqlx::AssertSqlSafe(format!(
        "UPDATE frozen_stock SET segments = CASE product {cases}ELSE segments END
         WHERE round = ? AND segments = '' AND product IN ({ids})"
    ));
    let mut update = sqlx::query(statement);
    for (product, segments) in products {
        update = update.bind(*product).bind(amounts_text(segments));
    }
    update = update.bind(round);
    for (product, _) in products {
        update = update.bind(*product);
    }
    update.execute(connection).await?;
    Ok(())
}

/// The round of this id, or all of them by start.
pub(super) async fn load(
    connection: &mut AnyConnection,
    id: Option<&str>,
) -> Result<Vec<StoredRound>, StoreError> {
    let which = which("id", id);
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM rounds WHERE {which} ORDER BY opens_ms, id"
    ));
    let rows = sqlx::query(statement)
        .bind(id.unwrap_or_default())
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

/// The condition for one of them or for all, with one parameter. One condition for
/// both cases would keep a database from using its index.
fn which(column: &str, one: Option<&str>) -> String {
    match one {
        Some(_) => format!("{column} = ?"),
        None => format!("{column} <> ?"),
    }
}

async fn load_products(
    connection: &mut AnyConnection,
    round: Option<&str>,
) -> Result<HashMap<String, Vec<Product>>, StoreError> {
    let which = which("round", round);
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT round, product, title, amount, price_cents, list_price_cents, per_buyer, segments,
                text, picture
         FROM round_products WHERE {which} ORDER BY round, position"
    ));
    let rows = sqlx::query(statement)
        .bind(round.unwrap_or_default())
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
            text: row.try_get(8)?,
            picture: row.try_get(9)?,
        };
        products.entry(row.try_get(0)?).or_default().push(product);
    }
    Ok(products)
}

async fn load_frozen(
    connection: &mut AnyConnection,
    round: Option<&str>,
) -> Result<HashMap<String, HashMap<String, Frozen>>, StoreError> {
    let which = which("round", round);
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT round, product, amount, segments FROM frozen_stock WHERE {which}"
    ));
    let rows = sqlx::query(statement)
        .bind(round.unwrap_or_default())
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
pub(super) fn amounts_text(amounts: &[u64]) -> String {
    let texts: Vec<String> = amounts.iter().map(u64::to_string).collect();
    texts.join(",")
}

/// Reads them; empty text for none.
fn amounts(text: &str) -> Vec<u64> {
    text.split(',')
        .filter_map(|text| text.parse().ok())
        .collect()
}

pub(super) fn stored_round(row: &AnyRow) -> Result<StoredRound, StoreError> {
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
        trail: trail(row)?,
        published_ms: published.map(|ms| u64::try_from(ms).unwrap_or(0)),
        frozen: HashMap::new(),
    })
}

fn trail(row: &AnyRow) -> Result<Trail, sqlx::Error> {
    let time = |column| -> Result<Option<u64>, sqlx::Error> {
        let ms: Option<i64> = row.try_get(column)?;
        Ok(ms.map(super::unsigned))
    };
    Ok(Trail {
        version: unsigned(row, 6)?,
        series: row.try_get(7)?,
        created_by: row.try_get(8)?,
        edited_by: row.try_get(9)?,
        edited_ms: unsigned(row, 10)?,
        submitted_by: row.try_get(11)?,
        submitted_ms: time(12)?,
        decided_by: row.try_get(13)?,
        decided_ms: time(14)?,
        reason: row.try_get(15)?,
    })
}

/// A number that the table's checks keep from being negative.
fn unsigned(row: &AnyRow, column: usize) -> Result<u64, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    Ok(super::unsigned(number))
}
