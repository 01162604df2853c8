//! Rows of rounds, products and amounts set aside: written, and read as records.

use std::collections::HashMap;

use seckill_core::pages::picture;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::audit::Actor;
use super::round::{Frozen, Product, Round, RoundState, StoredRound, Trail};
use super::session::Session;
use super::stop::Stops;
use super::stop_rows::load_stops;
use super::{StoreError, signed, unsigned};

/// The columns that [`stored_round`] reads, in its order.
pub(super) const COLUMNS: &str = "id, name, opens_ms, ends_ms, state, published_ms, version, \
                                  series, created_by, edited_by, edited_ms, submitted_by, \
                                  submitted_ms, decided_by, decided_ms, reason";

/// Products that one statement writes.
const PRODUCTS_AT_ONCE: usize = 500;

/// Inserts a new draft.
pub(super) async fn insert_round(
    connection: &mut Session,
    round: &Round,
    series: Option<&str>,
    by: &Actor,
    now_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO rounds (id, name, opens_ms, ends_ms, state, series, created_by, edited_by,
                             edited_ms, imported_ms)
         VALUES (?, ?, ?, ?, 'draft', ?, ?, ?, ?, ?)",
    )
    .bind(&round.id)
    .bind(&round.name)
    .bind(signed(round.opens_ms))
    .bind(signed(round.ends_ms))
    .bind(series)
    .bind(&by.name)
    .bind(&by.name)
    .bind(signed(now_ms))
    .bind(signed(now_ms))
    .execute(&mut *connection)
    .await?;
    replace_products(connection, round).await
}

/// Updates a draft; `false` if it is no draft, or not of the version that was seen.
pub(super) async fn update_draft(
    connection: &mut Session,
    round: &Round,
    seen: Option<u64>,
    by: &Actor,
    now_ms: u64,
) -> Result<bool, StoreError> {
    let changed = sqlx::query(
        "UPDATE rounds SET name = ?, opens_ms = ?, ends_ms = ?, state = 'draft',
         version = version + 1, edited_by = ?, edited_ms = ?, submitted_by = NULL,
         submitted_ms = NULL, decided_by = NULL, decided_ms = NULL, reason = NULL
         WHERE id = ? AND (? < 0 OR version = ?) AND state IN ('draft', 'rejected')",
    )
    .bind(&round.name)
    .bind(signed(round.opens_ms))
    .bind(signed(round.ends_ms))
    .bind(&by.name)
    .bind(signed(now_ms))
    .bind(&round.id)
    .bind(seen.map_or(-1, signed))
    .bind(seen.map_or(-1, signed))
    .execute(&mut *connection)
    .await?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    replace_products(connection, round).await?;
    Ok(true)
}

/// Replaces the products of a round.
pub(super) async fn replace_products(
    connection: &mut Session,
    round: &Round,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM round_products WHERE round = ?")
        .bind(&round.id)
        .execute(&mut *connection)
        .await?;
    let products: Vec<_> = (1_i64..).zip(&round.products).collect();
    for chunk in products.chunks(PRODUCTS_AT_ONCE) {
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; chunk.len()].join(", ");
        let statement = sqlx::AssertSqlSafe(format!(
            "INSERT INTO round_products (round, product, position, title, amount, price_cents,
             list_price_cents, per_buyer, segments, text, picture, priced_ms, picture_alt) VALUES {rows}"
        ));
        let mut insert = sqlx::query(statement);
        for (position, product) in chunk {
            insert = insert
                .bind(&round.id)
                .bind(&product.id)
                .bind(*position)
                .bind(&product.title)
                .bind(signed(product.amount))
                .bind(signed(product.price_cents))
                .bind(signed(product.list_price_cents))
                .bind(i64::from(product.per_buyer))
                .bind(amounts_text(&product.segments))
                .bind(&product.text)
                .bind(&product.picture)
                .bind(signed(product.priced_ms))
                .bind(picture::alt_lines(&product.picture_alt));
        }
        insert.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Reads the round of this id, or all rounds by start.
pub(super) async fn load(
    connection: &mut Session,
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
    let mut stops = load_stops(connection, id).await?;
    rows.iter()
        .map(|row| {
            let mut stored = stored_round(row)?;
            stored.round.products = products.remove(&stored.round.id).unwrap_or_default();
            stored.stops = stops.remove(&stored.round.id).unwrap_or_default();
            stored.frozen = frozen.remove(&stored.round.id).unwrap_or_default();
            Ok(stored)
        })
        .collect()
}

/// The condition for one row or for all, with one parameter. A single condition for
/// both would keep a database from using its index.
fn which(column: &str, one: Option<&str>) -> String {
    match one {
        Some(_) => format!("{column} = ?"),
        None => format!("{column} <> ?"),
    }
}

async fn load_products(
    connection: &mut Session,
    round: Option<&str>,
) -> Result<HashMap<String, Vec<Product>>, StoreError> {
    let which = which("round", round);
    let statement = sqlx::AssertSqlSafe(format!(
        "SELECT round, product, title, amount, price_cents, list_price_cents, per_buyer, segments,
                text, picture, priced_ms, picture_alt
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
            amount: number(row, 3)?,
            price_cents: number(row, 4)?,
            list_price_cents: number(row, 5)?,
            per_buyer: u32::try_from(number(row, 6)?).unwrap_or(u32::MAX),
            segments: amounts(row.try_get(7)?),
            text: row.try_get(8)?,
            picture: row.try_get(9)?,
            priced_ms: number(row, 10)?,
            picture_alt: picture::parse_alts(row.try_get(11)?),
        };
        products.entry(row.try_get(0)?).or_default().push(product);
    }
    Ok(products)
}

async fn load_frozen(
    connection: &mut Session,
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
            amount: number(row, 2)?,
            segments: amounts(row.try_get(3)?),
        };
        let of_round = frozen.entry(row.try_get(0)?).or_default();
        of_round.insert(row.try_get(1)?, of_product);
    }
    Ok(frozen)
}

/// The stored form of the segments' amounts: `3000,3000,4000`.
pub(super) fn amounts_text(amounts: &[u64]) -> String {
    let texts: Vec<String> = amounts.iter().map(u64::to_string).collect();
    texts.join(",")
}

/// Reads the segments' amounts; an empty text is none.
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
            opens_ms: number(row, 2)?,
            ends_ms: number(row, 3)?,
            products: Vec::new(),
        },
        state,
        trail: trail(row)?,
        published_ms: published.map(|ms| u64::try_from(ms).unwrap_or(0)),
        frozen: HashMap::new(),
        stops: Stops::default(),
    })
}

fn trail(row: &AnyRow) -> Result<Trail, sqlx::Error> {
    let time = |column| -> Result<Option<u64>, sqlx::Error> {
        let ms: Option<i64> = row.try_get(column)?;
        Ok(ms.map(unsigned))
    };
    Ok(Trail {
        version: number(row, 6)?,
        series: row.try_get(7)?,
        created_by: row.try_get(8)?,
        edited_by: row.try_get(9)?,
        edited_ms: number(row, 10)?,
        submitted_by: row.try_get(11)?,
        submitted_ms: time(12)?,
        decided_by: row.try_get(13)?,
        decided_ms: time(14)?,
        reason: row.try_get(15)?,
    })
}

/// A column with a number that the table's checks keep from being negative.
fn number(row: &AnyRow, column: usize) -> Result<u64, sqlx::Error> {
    let value: i64 = row.try_get(column)?;
    Ok(unsigned(value))
}
