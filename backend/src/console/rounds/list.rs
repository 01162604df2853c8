//! The list of rounds, and one round with its products.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::stored;
use super::view::{RoundList, RoundSummary, RoundView};
use crate::console::ConsoleState;
use crate::console::auth::Operator;
use crate::console::error::ConsoleError;
use crate::console::extract::{Path, Query};
use crate::now_ms;
use crate::store::round::SHOWN_STATES;
use crate::store::rounds::SummaryQuery;

/// Rounds on one page of the list.
const PAGE: u32 = 50;

/// Which rounds to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(in crate::console) struct RoundQuery {
    /// draft, submitted, rejected, approved, published, running, paused, ended or withdrawn;
    /// left out for all.
    state: String,
    /// Part of a name or an id.
    q: String,
    /// The name that the days of a repeated round share.
    series: String,
    /// The page of 50 rounds, counted from 1.
    page: Option<u64>,
}

/// Rounds, latest start first.
#[utoipa::path(get, path = "/ops/api/rounds", tag = "rounds", params(RoundQuery), responses(
    (status = 200, body = RoundList),
))]
pub(in crate::console) async fn list(
    State(state): State<ConsoleState>,
    _: Operator,
    Query(query): Query<RoundQuery>,
) -> Result<Json<RoundList>, ConsoleError> {
    let now_ms = now_ms();
    if !query.state.is_empty() && !SHOWN_STATES.contains(&query.state.as_str()) {
        return Err(ConsoleError::BadRequest(format!(
            "\"{}\" is no state of a round; write one of {}.",
            query.state,
            SHOWN_STATES.join(", ")
        )));
    }
    let page = query.page.unwrap_or(1);
    let before = page.checked_sub(1).ok_or_else(|| {
        ConsoleError::BadRequest("There is no page 0; pages begin at 1.".to_owned())
    })?;
    let wanted = SummaryQuery {
        state: query.state,
        search: query.q,
        series: query.series,
        skip: before.saturating_mul(u64::from(PAGE)),
        limit: PAGE,
    };
    let (rounds, total) = state
        .store
        .get()
        .await?
        .round_summaries(&wanted, now_ms)
        .await?;
    let rounds = rounds
        .into_iter()
        .map(|summary| RoundSummary::of(summary, now_ms))
        .collect();
    Ok(Json(RoundList { rounds, total }))
}

/// One round with its products.
#[utoipa::path(get, path = "/ops/api/rounds/{id}", tag = "rounds", responses(
    (status = 200, body = RoundView), (status = 404, description = "There is none"),
))]
pub(in crate::console) async fn show(
    State(state): State<ConsoleState>,
    _: Operator,
    Path(id): Path<String>,
) -> Result<Json<RoundView>, ConsoleError> {
    let stored = stored(state.store.get().await?, &id).await?;
    Ok(Json(RoundView::of(&stored, now_ms())))
}
