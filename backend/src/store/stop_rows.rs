//! Rows of what operators stopped: written, and read as records.

use std::collections::HashMap;

use sqlx::Row as _;

use super::session::Session;
use super::stop::{Cancelling, Stop, StopKind, Stops};
use super::{StoreError, signed, unsigned};

/// Sets or removes the stop of a round, or of one product of it.
pub(super) async fn set(
    connection: &mut Session,
    (round, product): (&str, &str),
    stop: Option<Stop>,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM stops WHERE round = ? AND product = ?")
        .bind(round)
        .bind(product)
        .execute(&mut *connection)
        .await?;
    let Some(stop) = stop else { return Ok(()) };
    sqlx::query("INSERT INTO stops (round, product, kind, at_ms, cancel) VALUES (?, ?, ?, ?, ?)")
        .bind(round)
        .bind(product)
        .bind(stop.kind.as_str())
        .bind(signed(stop.at_ms))
        .bind(stop.cancel.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Reads the stops of one round, or of all.
pub(super) async fn load_stops(
    connection: &mut Session,
    round: Option<&str>,
) -> Result<HashMap<String, Stops>, StoreError> {
    // A single condition for both would keep a database from using its index.
    let statement = match round {
        Some(_) => "SELECT round, product, kind, at_ms, cancel FROM stops WHERE round = ?",
        None => "SELECT round, product, kind, at_ms, cancel FROM stops WHERE round <> ?",
    };
    let rows = sqlx::query(statement)
        .bind(round.unwrap_or_default())
        .fetch_all(connection)
        .await?;
    let mut stops: HashMap<String, Stops> = HashMap::new();
    for row in &rows {
        let (round, product): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let text: String = row.try_get(2)?;
        let kind = StopKind::parse(&text).ok_or_else(|| StoreError::Row {
            table: "stops",
            id: format!("{round}::{product}"),
            column: "kind",
            value: text,
        })?;
        let stop = Stop {
            kind,
            at_ms: unsigned(row.try_get(3)?),
            cancel: Cancelling::parse(row.try_get(4)?),
        };
        let of_round = stops.entry(round).or_default();
        match product.is_empty() {
            true => of_round.round = Some(stop),
            false => {
                of_round.products.insert(product, stop);
            }
        }
    }
    Ok(stops)
}
