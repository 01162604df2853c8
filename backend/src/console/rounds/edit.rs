//! Making, checking, saving, copying and deleting rounds.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::conflicts::{not_as_seen, refused, waits};
use super::form::{self, Checked, RoundForm};
use super::new_ids::{free_like, free_number};
use super::view::RoundView;
use super::{audit_entry, revise, rules, stored};
use crate::console::ConsoleState;
use crate::console::auth::Operator;
use crate::console::error::{ConsoleError, FieldMistake};
use crate::console::extract::{Path, Query};
use crate::console::json_body::JsonBody;
use crate::now_ms;
use crate::sale::repeat;
use crate::store::Actor;
use crate::store::difference::Difference;
use crate::store::round::{Round, RoundState, StoredRound};
use crate::store::round_changes::ChangeError;

/// Makes a draft, or one for each of several days.
#[utoipa::path(post, path = "/ops/api/rounds", tag = "rounds", request_body = RoundForm, responses(
    (status = 201, body = Vec<RoundView>),
    (status = 422, description = "Fields that are refused, each with its mistake"),
))]
pub(in crate::console) async fn create(
    State(state): State<ConsoleState>,
    me: Operator,
    JsonBody(form): JsonBody<RoundForm>,
) -> Result<(StatusCode, Json<Vec<RoundView>>), ConsoleError> {
    let store = state.store.get().await?;
    let id = match form.id.as_deref().map(str::trim) {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => free_number(&store.round_ids().await?),
    };
    let rounds = checked_days(&form, &id, &state)?;
    let by = Actor::at_console(&me.name);
    let made = |round: &Round| audit_entry("round.create", round);
    let created = store.create_rounds(&rounds, &by, made, now_ms()).await;
    created.map_err(|error| refused(error, &state))?;
    let mut views = Vec::with_capacity(rounds.len());
    for (round, _) in &rounds {
        views.push(RoundView::of(&stored(store, &round.id).await?, now_ms()));
    }
    Ok((StatusCode::CREATED, Json(views)))
}

/// Checks a round without storing it: for the editor, while an operator types.
#[utoipa::path(post, path = "/ops/api/rounds/check", tag = "rounds", request_body = RoundForm, responses(
    (status = 200, description = "There is no mistake"),
    (status = 422, description = "Fields that are refused, each with its mistake"),
))]
pub(in crate::console) async fn check(
    State(state): State<ConsoleState>,
    _: Operator,
    JsonBody(form): JsonBody<RoundForm>,
) -> Result<Json<serde_json::Value>, ConsoleError> {
    // A new round need not have an id yet.
    let id = form.id.clone().filter(|id| !id.is_empty());
    let known = match (&id, form.version) {
        (Some(id), Some(_)) => state.store.get().await?.round(id).await?,
        _ => None,
    };
    if let Some(stored) = &known {
        refuse_kept(&form, stored)?;
    }
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

/// Saves an edit: of a draft everything, of an approved round lower amounts. What else may
/// change of an approved round is proposed, and a second person decides.
#[utoipa::path(put, path = "/ops/api/rounds/{id}", tag = "rounds", request_body = RoundForm, responses(
    (status = 200, body = RoundView),
    (status = 403, description = "It changes what two people approved; propose it"),
    (status = 409, description = "Another operator has changed it since; `current` is the present state"),
    (status = 422, description = "Fields that are refused, each with its mistake"),
))]
pub(in crate::console) async fn save(
    State(state): State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
    JsonBody(form): JsonBody<RoundForm>,
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
    refuse_kept(&form, &before)?;
    let by = Actor::at_console(&me.name);
    match before.state {
        RoundState::Approved => {
            let left = revise::save(&state, &before, &form, &by, None).await?;
            let mut view = RoundView::of(&stored(store, &id).await?, now_ms());
            view.left = left;
            return Ok(Json(view));
        }
        RoundState::Submitted => return Err(waits(&before)),
        _ => {}
    }
    let Checked { round, .. } =
        form::check(&form, &id, rules(&state)).map_err(ConsoleError::Mistakes)?;
    if before.state == RoundState::Draft && before.round == round {
        // Nothing changed, so that there is nothing for the audit log to say.
        return Ok(Json(RoundView::of(&before, now_ms())));
    }
    let mut entry = audit_entry("round.edit", &round);
    entry.detail = Difference::detail(&Difference::between(&before.round, &round));
    let saved = store.save_round(&round, seen, &by, &entry, now_ms()).await;
    saved.map_err(|error| refused(error, &state))?;
    Ok(Json(RoundView::of(&stored(store, &id).await?, now_ms())))
}

/// Refuses a form that says of a round what cannot be changed: see [`form::check_kept`].
pub(super) fn refuse_kept(form: &RoundForm, before: &StoredRound) -> Result<(), ConsoleError> {
    let in_force = before.in_force();
    let approved = (before.state == RoundState::Approved).then_some([&before.round, &in_force]);
    form::check_kept(form, &before.round.id, approved).map_err(ConsoleError::Mistakes)
}

/// The version that the operator saw.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::console) struct Seen {
    /// The `version` of the round when it was read.
    version: u64,
}

/// Deletes a round that was never approved.
#[utoipa::path(delete, path = "/ops/api/rounds/{id}", tag = "rounds", params(Seen), responses(
    (status = 200, description = "It is deleted"),
    (status = 409, description = "Another operator has changed it since, or it is approved"),
))]
pub(in crate::console) async fn remove(
    State(state): State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
    seen: Result<Query<Seen>, ConsoleError>,
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

/// Makes a draft like this round, at the same time of day on the first day that is
/// free.
#[utoipa::path(post, path = "/ops/api/rounds/{id}/copy", tag = "rounds", responses(
    (status = 201, body = RoundView),
))]
pub(in crate::console) async fn copy(
    State(state): State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<RoundView>), ConsoleError> {
    let store = state.store.get().await?;
    let from = stored(store, &id).await?;
    let by = Actor::at_console(&me.name);
    let mut round = from.in_force();
    for product in &mut round.products {
        // The split over segments is decided anew, for the masters there are then.
        product.segments = Vec::new();
        // A round is planned with something to sell, whatever became of that.
        if product.amount == 0 {
            let planned = from.round.products.iter().find(|it| it.id == product.id);
            product.amount = planned.map_or(1, |planned| planned.amount);
        }
    }
    round.id = free_like(&id, &store.round_ids().await?);
    let copied = |round: &Round| {
        let mut entry = audit_entry("round.copy", round);
        entry.detail["from"] = id.clone().into();
        entry
    };
    let zone = &state.config.time_zone;
    let days = repeat::next_days(round, now_ms(), zone).ok_or_else(|| {
        let message =
            "The calendar has no such days for a copy of this round; make a new one instead.";
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
            place: None,
        }])
    })?;
    Ok(rounds
        .into_iter()
        .map(|round| (round, series.clone()))
        .collect())
}
