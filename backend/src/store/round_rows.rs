//! The rows of a round and its products.

use sqlx::AnyConnection;

use super::audit::Actor;
use super::sales::amounts_text;
use super::{StoreError, signed};
use crate::store::round::Round;

/// Products that one statement writes.
const PRODUCTS_AT_ONCE: usize = 500;

/// Writes a new draft.
pub(super) async fn insert_round(
    connection: &mut AnyConnection,
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

/// `false` if it is no draft of the version that was seen.
pub(super) async fn update_draft(
    connection: &mut AnyConnection,
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

/// Writes the products anew.
pub(super) async fn replace_products(
    connection: &mut AnyConnection,
    round: &Round,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM round_products WHERE round = ?")
        .bind(&round.id)
        .execute(&mut *connection)
        .await?;
    let products: Vec<_> = (1_i64..).zip(&round.products).collect();
    for chunk in products.chunks(PRODUCTS_AT_ONCE) {
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; chunk.len()].join(", ");
        let statement = sqlx::AssertSqlSafe(format!(
            "INSERT INTO round_products (round, product, position, title, amount, price_cents,
             list_price_cents, per_buyer, segments, text, picture) VALUES {rows}"
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
                .bind(&product.picture);
        }
        insert.execute(&mut *connection).await?;
    }
    Ok(())
}
