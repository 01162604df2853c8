//! Rounds and what is sold in them: made, edited, copied, deleted, and taken from
//! hand to hand until they are on sale.

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use seckill_core::ids;
use serde::Deserialize;

use super::ConsoleState;
use super::body::Body;
use super::error::{ConsoleError, FieldMistake, Part};
use super::operator::Operator;
use crate::now_ms;
use crate::sale::repeat;
use crate::store::round::{Round, RoundState, StoredRound};
use crate::store::round_changes::ChangeError;
use crate::store::rounds::SummaryQuery;
use crate::store::{Actor, Done, Store};

/// What an edit changed, in the words of the audit log.
mod changes;
/// Sale files in and out.
pub(super) mod files;
/// A round as the editor sends it, and its rules.
pub mod form;
/// Ids for new rounds.
mod numbering;
/// The product page as it would be.
pub(super) mod preview;
/// Changes that the database's state does not allow.
mod refusals;
/// Edits of a round that is approved.
mod revise;
/// Submitted, withdrawn, approved, rejected, published.
pub(super) mod steps;
/// Rounds as the console shows them.
pub mod view;

use form::{Checked, RoundForm, Rules};
use numbering::{free_like, free_number};
use refusals::{no_round, not_as_seen, refused, waits};
use view::{RoundList, RoundSummary, RoundView};

/// Largest round, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// Rounds on one page of the list.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/rounds", get(list).post(create))
        .route("/ops/api/rounds/check", post(check))
        .route("/ops/api/rounds/preview", post(preview::preview))
        .route("/ops/api/rounds/import", post(files::import))
        .route("/ops/api/rounds/export", get(files::export))
        .route("/ops/api/rounds/{id}", get(show).put(save).delete(remove))
        .route("/ops/api/rounds/{id}/copy", post(copy))
        .route("/ops/api/rounds/{id}/submit", post(steps::submit))
        .route("/ops/api/rounds/{id}/withdraw", post(steps::withdraw))
        .route("/ops/api/rounds/{id}/approve", post(steps::approve))
        .route("/ops/api/rounds/{id}/reject", post(steps::reject))
        .route("/ops/api/rounds/{id}/publish", post(steps::publish))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// Which rounds.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default)]
pub(super) struct Asked {
    /// draft, submitted, rejected, approved, published, running or ended.
    state: String,
    /// Part of a name or an id.
    q: String,
    /// The name that the days of a repeated round share.
    series: String,
    /// From 1; 50 rounds each.
    page: u64,
}

/// Rounds, latest start first.
#[utoipa::path(get, path = "/ops/api/rounds", tag = "rounds", params(Asked), responses(
    (status = 200, body = RoundList),
))]
pub(super) async fn list(
    State(state): State<ConsoleState>,
    _: Operator,
    Query(asked): Query<Asked>,
) -> Result<Json<RoundList>, ConsoleError> {
    let now_ms = now_ms();
    let query = SummaryQuery {
        state: asked.state,
        search: asked.q,
        series: asked.series,
        skip: asked.page.saturating_sub(1).saturating_mul(u64::from(PAGE)),
        limit: PAGE,
    };
    let (rounds, total) = state
        .store
        .get()
        .await?
        .round_summaries(&query, now_ms)
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
pub(super) async fn show(
    State(state): State<ConsoleState>,
    _: Operator,
    Path(id): Path<String>,
) -> Result<Json<RoundView>, ConsoleError> {
    let stored = stored(state.store.get().await?, &id).await?;
    Ok(Json(RoundView::of(&stored, now_ms())))
}

/// Makes a draft, or one a day on several days.
#[utoipa::path(post, path = "/ops/api/rounds", tag = "rounds", request_body = RoundForm, responses(
    (status = 201, body = Vec<RoundView>),
    (status = 422, description = "Fields that cannot be taken, each with its mistake"),
))]
pub(super) async fn create(
    State(state): State<ConsoleState>,
    me: Operator,
    Body(form): Body<RoundForm>,
) -> Result<(StatusCode, Json<Vec<RoundView>>), ConsoleError> {
    let store = state.store.get().await?;
    let id = match form.id.as_deref().map(str::trim) {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => free_number(&store.round_ids().await?),
    };
    let rounds = checked_days(&form, &id, &state)?;
    let by = Actor::at_console(&me.name);
    let made = |round: &Round| done("round.create", round);
    let created = store.create_rounds(&rounds, &by, made, now_ms()).await;
    created.map_err(|error| refused(error, &state))?;
    let mut views = Vec::with_capacity(rounds.len());
    for (round, _) in &rounds {
        views.push(RoundView::of(&stored(store, &round.id).await?, now_ms()));
    }
    Ok((StatusCode::CREATED, Json(views)))
}

/// Says what is wrong with a round, and stores nothing: for the editor, while
/// somebody types.
#[utoipa::path(post, path = "/ops/api/rounds/check", tag = "rounds", request_body = RoundForm, responses(
    (status = 200, description = "Nothing is"),
    (status = 422, description = "Fields that cannot be taken, each with its mistake"),
))]
pub(super) async fn check(
    State(state): State<ConsoleState>,
    _: Operator,
    Body(form): Body<RoundForm>,
) -> Result<Json<serde_json::Value>, ConsoleError> {
    // A new round need not have an id yet.
    let id = form.id.clone().filter(|id| !id.is_empty());
    let known = match (&id, form.version) {
        (Some(id), Some(_)) => state.store.get().await?.round(id).await?,
        _ => None,
    };
    match known {
        Some(stored) if stored.state == RoundState::Approved => {
            revise::revised(&stored, &form, rules(&state)).map_err(ConsoleError::Mistakes)?;
        }
        _ => {
            checked_days(&form, id.as_deref().unwrap_or("1"), &state)?;
        }
    }
    Ok(Json(serde_json::json!({})))
}

/// Saves an edit: of a draft as it is, of an approved round where that is safe.
#[utoipa::path(put, path = "/ops/api/rounds/{id}", tag = "rounds", request_body = RoundForm, responses(
    (status = 200, body = RoundView),
    (status = 409, description = "Somebody else changed it meanwhile; `current` is what it is now"),
    (status = 422, description = "Fields that cannot be taken, each with its mistake"),
))]
pub(super) async fn save(
    State(state): State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
    Body(form): Body<RoundForm>,
) -> Result<Json<RoundView>, ConsoleError> {
    let store = state.store.get().await?;
    let seen = form.version.ok_or_else(|| {
        let right = "send \"version\" as it was when the round was read";
        ConsoleError::BadRequest(format!("The version is missing; {right}."))
    })?;
    let before = stored(store, &id).await?;
    if before.trail.version != seen {
        return Err(not_as_seen(&before, &state));
    }
    let by = Actor::at_console(&me.name);
    match before.state {
        RoundState::Approved => {
            let problem = revise::save(&state, &before, &form, &by).await?;
            let mut view = RoundView::of(&stored(store, &id).await?, now_ms());
            view.problem = problem;
            return Ok(Json(view));
        }
        RoundState::Submitted => return Err(waits(&before)),
        _ => {}
    }
    let Checked { round, .. } =
        form::check(&form, &id, rules(&state)).map_err(ConsoleError::Mistakes)?;
    let mut done = done("round.edit", &round);
    done.detail = changes::between(&before.round, &round);
    let saved = store.save_round(&round, seen, &by, &done, now_ms()).await;
    saved.map_err(|error| refused(error, &state))?;
    Ok(Json(RoundView::of(&stored(store, &id).await?, now_ms())))
}

/// The version that was seen.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub(super) struct Seen {
    /// As it was when the round was read.
    version: u64,
}

/// Deletes a round that was never approved.
#[utoipa::path(delete, path = "/ops/api/rounds/{id}", tag = "rounds", params(Seen), responses(
    (status = 200, description = "It is gone"),
    (status = 409, description = "Somebody changed it meanwhile, or it is approved"),
))]
pub(super) async fn remove(
    State(state): State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
    seen: Result<Query<Seen>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<serde_json::Value>, ConsoleError> {
    let Query(Seen { version }) = seen.map_err(|_| {
        ConsoleError::BadRequest("Add ?version= with the version that you have seen.".to_owned())
    })?;
    let by = Actor::at_console(&me.name);
    let store = state.store.get().await?;
    let deleted = store.delete_round(&id, version, &by, now_ms()).await;
    deleted.map_err(|error| refused(error, &state))?;
    Ok(Json(serde_json::json!({})))
}

/// A draft like this one, at the same time of day on the first day that is free.
#[utoipa::path(post, path = "/ops/api/rounds/{id}/copy", tag = "rounds", responses(
    (status = 201, body = RoundView),
))]
pub(super) async fn copy(
    State(state): State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<RoundView>), ConsoleError> {
    let store = state.store.get().await?;
    let from = stored(store, &id).await?;
    let by = Actor::at_console(&me.name);
    let mut round = from.in_force();
    for product in &mut round.products {
        // How it is divided is decided anew, for the masters there are then.
        product.segments = Vec::new();
    }
    round.id = free_like(&id, &store.round_ids().await?);
    let copied = |round: &Round| {
        let mut done = done("round.copy", round);
        done.detail["from"] = id.clone().into();
        done
    };
    let zone = &state.config.time_zone;
    let days = repeat::next_days(round, now_ms(), zone).ok_or_else(|| {
        let message = "This round lies on days that no calendar has; make a new one instead.";
        ConsoleError::BadRequest(message.to_owned())
    })?;
    let mut last = None;
    for round in days {
        let new = [(round, None)];
        match store.create_rounds(&new, &by, copied, now_ms()).await {
            Ok(()) => {
                let [(round, _)] = &new;
                let view = RoundView::of(&stored(store, &round.id).await?, now_ms());
                return Ok((StatusCode::CREATED, Json(view)));
            }
            Err(ChangeError::Overlap(overlap)) => last = Some(overlap),
            Err(error) => return Err(refused(error, &state)),
        }
    }
    match last {
        Some(overlap) => Err(refused(ChangeError::Overlap(overlap), &state)),
        None => Err(ConsoleError::Internal),
    }
}

/// The round of this id.
async fn stored(store: &Store, id: &str) -> Result<StoredRound, ConsoleError> {
    // What is no id is nobody's, and need not be looked for.
    let found = if ids::is_id(id) {
        store.round(id).await?
    } else {
        None
    };
    found.ok_or_else(|| no_round(id))
}

fn rules(state: &ConsoleState) -> Rules<'_> {
    Rules {
        now_ms: now_ms(),
        zone: &state.config.time_zone,
        may_have_begun: false,
    }
}

/// The rounds of a form: one, or one a day.
fn checked_days(
    form: &RoundForm,
    id: &str,
    state: &ConsoleState,
) -> Result<Vec<(Round, Option<String>)>, ConsoleError> {
    let Checked { round, days } =
        form::check(form, id, rules(state)).map_err(ConsoleError::Mistakes)?;
    if days <= 1 {
        return Ok(vec![(round, None)]);
    }
    let series = Some(round.id.clone());
    let rounds = repeat::days(&round, days, &state.config.time_zone).map_err(|error| {
        ConsoleError::Mistakes(vec![FieldMistake {
            field: "days".to_owned(),
            code: error.code(),
            message: format!("The {error}."),
            values: Vec::new(),
        }])
    })?;
    Ok(rounds
        .into_iter()
        .map(|round| (round, series.clone()))
        .collect())
}

fn done(action: &'static str, round: &Round) -> Done {
    Done {
        action,
        target: round.id.clone(),
        detail: serde_json::json!({ "name": round.name, "products": round.products.len() }),
    }
}

/// Redis is needed for what was asked.
async fn need_redis(state: &ConsoleState) -> Result<(), ConsoleError> {
    match state.redis.conn().await {
        Ok(_) => Ok(()),
        Err(_) => Err(ConsoleError::Away(Part::Redis)),
    }
}
