//! The stop switch: pause, resume, end, withdraw, for a round or one product of it.

use axum::Json;
use axum::extract::State;
use seckill_core::sale::reasons;
use serde::Deserialize;

use super::conflicts::no_round;
use super::problem::Problem;
use super::stored;
use super::view::RoundView;
use crate::console::ConsoleState;
use crate::console::auth::Operator;
use crate::console::error::ConsoleError;
use crate::console::extract::Path;
use crate::console::json_body::JsonBody;
use crate::now_ms;
use crate::sale::switch::Switch;
use crate::store::Actor;
use crate::store::accounts::Role;
use crate::store::stop::Cancelling;
use crate::store::stops::MAX_REASON;
use crate::store::stops::{StopError, StopOrder, StopStep};

/// An order to the stop switch. One person may give it: what sells wrongly has to stop
/// at once. Only a supervisor may cancel orders that are paid.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::console) struct StopForm {
    /// Why, for the audit log.
    pub(super) reason: String,
    /// Which orders are cancelled too, also those that are still to be placed: only for an
    /// end or a withdrawal.
    pub(super) cancel: Cancelling,
    /// For the withdrawal of a round that waits for its approval: its `version` as read.
    pub(super) version: Option<u64>,
}

/// Interrupts a sale: every edge refuses with `paused` within a second.
#[utoipa::path(post, path = "/ops/api/rounds/{id}/pause", tag = "stop", request_body = StopForm,
    responses((status = 200, body = RoundView), (status = 409, description = "It does not sell")))]
pub(in crate::console) async fn pause(
    state: State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
    JsonBody(form): JsonBody<StopForm>,
) -> Result<Json<RoundView>, ConsoleError> {
    carry_out(&state, &me, StopStep::Pause, (&id, None), &form).await
}

/// Goes on with a sale that was paused.
#[utoipa::path(post, path = "/ops/api/rounds/{id}/resume", tag = "stop", request_body = StopForm,
    responses((status = 200, body = RoundView), (status = 409, description = "It is over")))]
pub(in crate::console) async fn resume(
    state: State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
    JsonBody(form): JsonBody<StopForm>,
) -> Result<Json<RoundView>, ConsoleError> {
    carry_out(&state, &me, StopStep::Resume, (&id, None), &form).await
}

/// Ends a round now: every edge refuses with `ended` within a second.
#[utoipa::path(post, path = "/ops/api/rounds/{id}/end", tag = "stop", request_body = StopForm,
    responses((status = 200, body = RoundView), (status = 409, description = "It has not begun")))]
pub(in crate::console) async fn end(
    state: State<ConsoleState>,
    me: Operator,
    Path(id): Path<String>,
    JsonBody(form): JsonBody<StopForm>,
) -> Result<Json<RoundView>, ConsoleError> {
    carry_out(&state, &me, StopStep::End, (&id, None), &form).await
}

/// The same for one product of a round: `step` is pause, resume, end or withdraw.
#[utoipa::path(post, path = "/ops/api/rounds/{id}/products/{product}/{step}", tag = "stop",
    request_body = StopForm, responses((status = 200, body = RoundView)))]
pub(in crate::console) async fn product(
    state: State<ConsoleState>,
    me: Operator,
    Path((id, product, step)): Path<(String, String, String)>,
    JsonBody(form): JsonBody<StopForm>,
) -> Result<Json<RoundView>, ConsoleError> {
    let steps = [
        StopStep::Pause,
        StopStep::Resume,
        StopStep::End,
        StopStep::Withdraw,
    ];
    let Some(step) = steps.into_iter().find(|it| it.as_str() == step) else {
        let message = format!("\"{step}\" is no step; write pause, resume, end or withdraw.");
        return Err(ConsoleError::NotFound(message));
    };
    carry_out(&state, &me, step, (&id, Some(&product)), &form).await
}

pub(super) async fn carry_out(
    state: &ConsoleState,
    me: &Operator,
    step: StopStep,
    (id, product): (&str, Option<&str>),
    form: &StopForm,
) -> Result<Json<RoundView>, ConsoleError> {
    let reason = reasons::check("reason", &form.reason, (0, MAX_REASON))?;
    if form.cancel == Cancelling::All && me.role != Role::Supervisor {
        return Err(ConsoleError::SupervisorOnly);
    }
    let store = state.store.get().await?;
    let order = StopOrder {
        step,
        round: id,
        product,
        cancel: form.cancel,
        reason,
    };
    let by = Actor::at_console(&me.name);
    let redis = &state.redis;
    let switched = Switch { store, redis }
        .carry_out(&order, &by, now_ms())
        .await
        .map_err(refused)?;
    let mut view = RoundView::of(&stored(store, id).await?, now_ms());
    if let Some(error) = switched.problem {
        tracing::warn!(round = id, %error, "a stop is recorded, and has not reached the edges");
        let left = "It is recorded, but the edges do not know yet; they will as soon as possible";
        view.left = Problem::of("edges_behind", left, &error);
    }
    Ok(Json(view))
}

fn refused(error: StopError) -> ConsoleError {
    match error {
        StopError::Store(error) => error.into(),
        StopError::NoSuchRound(id) => no_round(&id),
        StopError::NoSuchProduct { .. } => {
            ConsoleError::NotFound(format!("There is no such product: {error}."))
        }
        StopError::Refused { code, message } => ConsoleError::Conflict {
            code,
            message: format!("Nothing was changed: {message}."),
            current: None,
        },
    }
}
