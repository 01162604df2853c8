//! What a round is compared with before it is approved: the round that it was copied from,
//! or else the latest approved one of its series.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::stored;
use crate::console::ConsoleState;
use crate::console::auth::Operator;
use crate::console::error::ConsoleError;
use crate::console::extract::Path;
use crate::store::Store;
use crate::store::difference::Difference;
use crate::store::round::StoredRound;

/// What a round is compared with, and every difference.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::console) struct BasisView {
    /// `copy` or `series`; null if there is nothing to compare it with.
    kind: Option<&'static str>,
    /// The other round.
    round: Option<String>,
    /// Its name.
    name: Option<String>,
    /// Every field that differs, before and now.
    changes: Vec<Difference>,
    /// The titles of the products in `changes`, by id.
    titles: BTreeMap<String, String>,
}

/// The differences of a round from the one that it was copied from, or from the latest
/// approved one of its series.
#[utoipa::path(get, path = "/ops/api/rounds/{id}/basis", tag = "approval",
    responses((status = 200, body = BasisView)))]
pub(in crate::console) async fn basis(
    State(state): State<ConsoleState>,
    _: Operator,
    Path(id): Path<String>,
) -> Result<Json<BasisView>, ConsoleError> {
    let store = state.store.get().await?;
    let round = stored(store, &id).await?;
    let Some((kind, other)) = compared_with(store, &round).await? else {
        return Ok(Json(BasisView {
            kind: None,
            round: None,
            name: None,
            changes: Vec::new(),
            titles: BTreeMap::new(),
        }));
    };
    let (was, is) = (other.in_force(), round.in_force());
    let titles = was.products.iter().chain(&is.products);
    let titles = titles.map(|it| (it.id.clone(), it.title.clone())).collect();
    Ok(Json(BasisView {
        kind: Some(kind),
        changes: Difference::between(&was, &is),
        titles,
        round: Some(was.id),
        name: Some(was.name),
    }))
}

async fn compared_with(
    store: &Store,
    round: &StoredRound,
) -> Result<Option<(&'static str, StoredRound)>, ConsoleError> {
    let id = &round.round.id;
    if let Some(from) = store.copied_from(id).await?
        && let Some(other) = store.round(&from).await?
    {
        return Ok(Some(("copy", other)));
    }
    let Some(series) = &round.trail.series else {
        return Ok(None);
    };
    let Some(other) = store.approved_of_series(series, id).await? else {
        return Ok(None);
    };
    Ok(store.round(&other).await?.map(|other| ("series", other)))
}
