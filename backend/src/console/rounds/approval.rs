//! A round's approval: submit, withdraw, approve, reject, publish.

use std::fmt::Display;

use axum::Json;
use axum::extract::State;
use seckill_core::sale::reasons;
use serde::Deserialize;

use super::conflicts::{alone, not_submitted, refused};
use super::four_eyes::{refuse_fresh, refuse_own};
use super::problem::Problem;
use super::stop::{self, StopForm};
use super::view::RoundView;
use super::{need_redis, stored};
use crate::console::ConsoleState;
use crate::console::auth::{Operator, Supervisor};
use crate::console::error::ConsoleError;
use crate::console::extract::Path;
use crate::console::json_body::JsonBody;
use crate::console::rounds::form;
use crate::now_ms;
use crate::sale::approve::{self, ApproveError, Approver};
use crate::sale::inventory::HoldError;
use crate::store::round::{RoundState, StoredRound};
use crate::store::round_changes::{ChangeError, Step};
use crate::store::stop::Cancelling;
use crate::store::stops::StopStep;
use crate::store::{Actor, Done, Store};

/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// The version that the operator saw.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::console) struct SeenVersion {
    /// The `version` of the round when it was read.
    version: u64,
}

/// A rejection.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::console) struct Rejection {
    /// The `version` of the round when it was read.
    version: u64,
    /// Why, for the operator who submitted the round.
    reason: String,
}

/// Submits a draft for approval.
#[utoipa::path(post, path = "/ops/api/rounds/{id}/submit", tag = "approval", request_body = SeenVersion,
    responses((status = 200, body = RoundView)))]
pub(in crate::console) async fn submit(
    State(state): State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
    JsonBody(seen): JsonBody<SeenVersion>,
) -> Result<Json<RoundView>, ConsoleError> {
    let store = state.store.get().await?;
    refuse_begun(&stored(store, &id).await?, &state)?;
    step(&state, &me, &id, seen.version, Step::Submit).await
}

/// Withdraws a submitted round, so that it can be edited; or takes an approved one off
/// sale for good.
#[utoipa::path(post, path = "/ops/api/rounds/{id}/withdraw", tag = "approval", request_body = StopForm,
    responses((status = 200, body = RoundView)))]
pub(in crate::console) async fn withdraw(
    State(state): State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
    JsonBody(form): JsonBody<StopForm>,
) -> Result<Json<RoundView>, ConsoleError> {
    let before = stored(state.store.get().await?, &id).await?;
    if before.state == RoundState::Approved {
        return stop::carry_out(&state, &me, StopStep::Withdraw, (&id, None), &form).await;
    }
    let seen = form.version.ok_or_else(|| {
        let right = "send \"version\" as it was when the round was read";
        ConsoleError::BadRequest(format!("The version is missing; {right}."))
    })?;
    if form.cancel != Cancelling::None {
        let right = "leave \"cancel\" out";
        return Err(ConsoleError::BadRequest(format!(
            "A round that was never on sale has no orders to cancel; {right}."
        )));
    }
    let reason = reasons::check("reason", &form.reason, (0, MAX_REASON))?;
    step(&state, &me, &id, seen, Step::Withdraw(reason)).await
}

/// Rejects a round, with a reason.
#[utoipa::path(post, path = "/ops/api/rounds/{id}/reject", tag = "approval", request_body = Rejection,
    responses((status = 200, body = RoundView)))]
pub(in crate::console) async fn reject(
    State(state): State<ConsoleState>,
    Supervisor(me): Supervisor,
    Path(id): Path<String>,
    JsonBody(rejection): JsonBody<Rejection>,
) -> Result<Json<RoundView>, ConsoleError> {
    let reason = reasons::check("reason", &rejection.reason, (1, MAX_REASON))?;
    step(&state, &me, &id, rejection.version, Step::Reject(reason)).await
}

async fn step(
    state: &ConsoleState,
    me: &Operator,
    id: &str,
    seen: u64,
    step: Step<'_>,
) -> Result<Json<RoundView>, ConsoleError> {
    let store = state.store.get().await?;
    let by = Actor::at_console(&me.name);
    let stepped = store.step_round(id, seen, step, &by, now_ms()).await;
    stepped.map_err(|error| match error {
        ChangeError::NotAsSeen(stored) => not_submitted(&stored, seen, state),
        error => refused(error, state),
    })?;
    view(store, id, Problem::default()).await
}

/// Approves a round that another operator made: its stock is loaded into Redis, its
/// pages are published.
#[utoipa::path(post, path = "/ops/api/rounds/{id}/approve", tag = "approval", request_body = SeenVersion,
    responses(
        (status = 200, body = RoundView),
        (status = 403, description = "The supervisor's own round, or no supervisor"),
        (status = 409, description = "Another supervisor was there first"),
    ))]
pub(in crate::console) async fn approve(
    State(state): State<ConsoleState>,
    Supervisor(me): Supervisor,
    Path(id): Path<String>,
    JsonBody(seen): JsonBody<SeenVersion>,
) -> Result<Json<RoundView>, ConsoleError> {
    let store = state.store.get().await?;
    let before = stored(store, &id).await?;
    if before.state != RoundState::Submitted || before.trail.version != seen.version {
        return Err(not_submitted(&before, seen.version, &state));
    }
    refuse_own(store, &before, &me).await?;
    refuse_fresh(store, &me, &id).await?;
    refuse_begun(&before, &state)?;
    need_redis(&state).await?;
    let by = Actor::at_console(&me.name);
    let approved = approver(&state, store)
        .approve_seen(&id, Some(seen.version), &by, now_ms())
        .await;
    outcome(&state, store, &id, approved).await
}

/// Completes an approval that was interrupted before everything was published.
#[utoipa::path(post, path = "/ops/api/rounds/{id}/publish", tag = "approval",
    responses((status = 200, body = RoundView)))]
pub(in crate::console) async fn publish(
    State(state): State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
) -> Result<Json<RoundView>, ConsoleError> {
    let store = state.store.get().await?;
    let before = stored(store, &id).await?;
    if before.state != RoundState::Approved {
        return Err(not_submitted(&before, before.trail.version, &state));
    }
    if let Err(error) = approve::refuse_withdrawn(&before) {
        return outcome(&state, store, &id, Err(error)).await;
    }
    need_redis(&state).await?;
    let published = approver(&state, store).put_on_sale(&id, now_ms()).await;
    if published.is_ok() {
        let done = Done {
            action: "round.publish",
            target: id.clone(),
            detail: serde_json::json!({}),
        };
        let by = Actor::at_console(&me.name);
        store.note_audit(&by, &done, now_ms()).await?;
    }
    outcome(&state, store, &id, published).await
}

/// The response to approving or publishing. Once the approval is stored, a failure to
/// publish is a problem of the round, not a refusal.
async fn outcome(
    state: &ConsoleState,
    store: &Store,
    id: &str,
    outcome: Result<(), ApproveError>,
) -> Result<Json<RoundView>, ConsoleError> {
    match outcome {
        Ok(()) => view(store, id, Problem::default()).await,
        Err(ApproveError::Change(error)) => Err(refused(error, state)),
        Err(ApproveError::Store(error)) => Err(refused(ChangeError::Store(error), state)),
        Err(ApproveError::NoRedis(error)) => Err(error.into()),
        Err(ApproveError::Alone(error)) => Err(alone(error)),
        Err(ApproveError::Hold(HoldError::Store(error))) => Err(error.into()),
        Err(error) => match refusal(&error) {
            Some((code, message)) => {
                tracing::warn!(round = id, %error, "an approval is refused");
                let current = RoundView::of(&stored(store, id).await?, now_ms());
                Err(ConsoleError::Conflict {
                    code,
                    message,
                    current: serde_json::to_value(current).ok().map(Box::new),
                })
            }
            None => {
                tracing::error!(round = id, %error, "an approval is not complete");
                view(store, id, unpublished(id, &error)).await
            }
        },
    }
}

/// What is left of an approval that is stored.
fn unpublished(id: &str, error: &ApproveError) -> Problem {
    match error {
        ApproveError::Publish {
            was_published: true,
            source,
            ..
        } => {
            let left = format!("Round {id} is on sale, but could not be published again");
            Problem::of("not_published", &left, source)
        }
        ApproveError::Publish { source, .. } => {
            let left = format!("Round {id} is approved but not yet on sale");
            Problem::of("not_on_sale", &left, source)
        }
        error => Problem::of("not_on_sale", "Not everything is done", error),
    }
}

/// The refusal of what was not begun: its code, and a sentence that says once that nothing
/// was done. `None` for what was begun.
fn refusal(error: &ApproveError) -> Option<(&'static str, String)> {
    let conflict = |code, done: &str, why: &dyn Display| {
        let message = format!("Nothing was {done}: {why}.");
        Some((code, message))
    };
    match error {
        ApproveError::Hold(why) => conflict("not_held", "approved", why),
        ApproveError::NoRoom(why) => conflict("no_room", "approved", why),
        ApproveError::TooManySegments { .. } => conflict("too_many_segments", "approved", error),
        ApproveError::NoSuchRound { .. } | ApproveError::Over { .. } => {
            conflict("round_over", "approved", error)
        }
        ApproveError::Withdrawn(_) => conflict("round_withdrawn", "published", error),
        _ => None,
    }
}

async fn view(store: &Store, id: &str, left: Problem) -> Result<Json<RoundView>, ConsoleError> {
    let mut view = RoundView::of(&stored(store, id).await?, now_ms());
    view.left = left;
    Ok(Json(view))
}

/// Refuses a round whose start has passed: it would open at the moment of its approval.
fn refuse_begun(stored: &StoredRound, state: &ConsoleState) -> Result<(), ConsoleError> {
    if stored.round.opens_ms > now_ms() {
        return Ok(());
    }
    let opens = form::shown_time(stored.round.opens_ms, &state.config.time_zone);
    Err(ConsoleError::Conflict {
        code: "start_passed",
        message: format!(
            "The start, {opens}, has passed. Reject or withdraw the round, and give it a later one."
        ),
        current: None,
    })
}

/// The approver of this console's shop.
pub(in crate::console) fn approver<'a>(state: &'a ConsoleState, store: &'a Store) -> Approver<'a> {
    Approver {
        store,
        redis: &state.redis,
        segments: &state.segments,
        zone: &state.config.time_zone,
        inventory: state.inventory.as_deref(),
        site: state.config.site.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sale::inventory::InventoryError;

    #[test]
    fn a_refusal_says_once_that_nothing_was_done() {
        let refused = HoldError::Inventory {
            sku: "red/XL".to_owned(),
            source: InventoryError::Refused("insufficient".to_owned()),
        };
        let round = "noon".to_owned();
        let errors = [
            ApproveError::Hold(refused),
            ApproveError::TooManySegments {
                product: "153".to_owned(),
                segments: 3,
                masters: 2,
            },
            ApproveError::Over {
                round: round.clone(),
                ends_ms: 1,
            },
            ApproveError::Withdrawn(round),
        ];
        for error in errors {
            let (_, message) = refusal(&error).unwrap();
            assert_eq!(message.matches("othing was").count(), 1, "{message}");
        }
    }
}
