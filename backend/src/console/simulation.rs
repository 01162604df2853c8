//! Simulated shoppers: the load generator as a child process, in test rounds.
//!
//! What they buy is really sold. Real goods must not be sold to programs by mistake,
//! so two settings are needed that can only be changed on the server: the round's id
//! in `simulation_rounds`, and the demo login, under which simulated shoppers log in.
//! `seckill up --demo` sets both for the demo's round.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use seckill_load::shop::people::BotKind;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;

use super::{ConsoleError, ConsoleState, Operator};
use crate::http::error::json_response;
use crate::store::Done;

/// The load generator as a child process.
mod run;

use run::Run;

/// Most shoppers, and most bots: with more, they and the shop would not fit on one
/// machine.
const MOST_ACTORS: u32 = 5_000;
/// Longest simulation, in seconds after the opening.
const MOST_SECONDS: u64 = 900;

/// The simulation that runs, or the last one that did.
#[derive(Debug, Clone, Default)]
pub(super) struct Simulations(Arc<Mutex<Option<Run>>>);

/// Who shops, where, and for how long.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// Simulated shoppers.
    shoppers: u32,
    /// Bots in addition.
    #[serde(default)]
    bots: u32,
    /// How the bots misbehave, dealt in turn; none for all kinds.
    #[serde(default)]
    wickedness: Vec<String>,
    /// Round id.
    round: String,
    /// Product id.
    product: String,
    /// How long they stay after the opening, in seconds.
    seconds: u64,
}

/// Everything under `/ops/api/simulation`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new().route("/ops/api/simulation", get(show).post(begin).delete(end))
}

/// The state of the simulation, and what may be simulated.
#[utoipa::path(get, path = "/ops/api/simulation", tag = "simulation", responses(
    (status = 200, description = "The running simulation or the last one, with its report; the rounds and kinds there are"),
))]
pub(super) async fn show(
    State(state): State<ConsoleState>,
    _: Operator,
) -> Result<Response, ConsoleError> {
    let mut run = state.simulations.0.lock().await;
    let now = match run.as_mut() {
        Some(run) => run.status().await,
        None => json!({ "state": "none" }),
    };
    let kinds: Vec<&str> = BotKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let config = &state.config;
    let body = json!({
        "simulation": now,
        "rounds": config.simulation_rounds,
        "wickedness": kinds,
        "demo_login": config.demo_login,
        "most": MOST_ACTORS,
    });
    Ok(json_response(StatusCode::OK, body.to_string()))
}

/// Begins a simulation.
#[utoipa::path(post, path = "/ops/api/simulation", tag = "simulation", request_body = Plan, responses(
    (status = 202, description = "Begun"),
    (status = 403, description = "Not allowed in this round, or on this server"),
    (status = 409, description = "A simulation is running"),
))]
pub(super) async fn begin(
    State(state): State<ConsoleState>,
    by: Operator,
    body: Result<Json<Plan>, JsonRejection>,
) -> Result<Response, ConsoleError> {
    let Json(plan) = body.map_err(|error| {
        let right = r#"send JSON such as {"shoppers":200,"bots":50,"round":"1","product":"153","seconds":60}"#;
        ConsoleError::BadRequest(format!("{}; {right}.", error.body_text()))
    })?;
    check(&plan)?;
    allow(&state, &plan)?;
    let mut run = state.simulations.0.lock().await;
    if let Some(run) = run.as_mut()
        && run.is_running()
    {
        return Err(ConsoleError::Conflict {
            code: "simulation_running",
            current: None,
            message: format!(
                "A simulation that {} began is still running; end it first.",
                run.by
            ),
        });
    }
    let done = done("simulation.begin", &plan);
    let detail = done.detail.clone();
    let begun = async { Ok((Run::begin(&state.config, plan, &by.name)?, Some(detail))) };
    *run = Some(state.recorded(&by.name, done, begun).await?);
    Ok(json_response(
        StatusCode::ACCEPTED,
        r#"{"state":"running"}"#.to_owned(),
    ))
}

/// Ends the simulation.
#[utoipa::path(delete, path = "/ops/api/simulation", tag = "simulation", responses(
    (status = 200, description = "It has ended, or there was none"),
))]
pub(super) async fn end(
    State(state): State<ConsoleState>,
    by: Operator,
) -> Result<Response, ConsoleError> {
    let mut run = state.simulations.0.lock().await;
    if let Some(run) = run.as_mut()
        && run.is_running()
    {
        let done = done("simulation.end", &run.plan);
        let detail = done.detail.clone();
        let stop = async {
            run.stop().await;
            Ok(((), Some(detail)))
        };
        state.recorded(&by.name, done, stop).await?;
    }
    Ok(json_response(
        StatusCode::OK,
        r#"{"state":"ended"}"#.to_owned(),
    ))
}

fn done(action: &'static str, plan: &Plan) -> Done {
    Done {
        action,
        target: format!("{}::{}", plan.round, plan.product),
        detail: json!(plan),
    }
}

fn check(plan: &Plan) -> Result<(), ConsoleError> {
    let bad = |text: String| Err(ConsoleError::BadRequest(text));
    let Plan {
        shoppers,
        bots,
        seconds,
        ..
    } = *plan;
    if shoppers > MOST_ACTORS || bots > MOST_ACTORS || shoppers + bots == 0 {
        return bad(format!(
            "{shoppers} shoppers and {bots} bots cannot be simulated; write up to {MOST_ACTORS} of each, and one at least."
        ));
    }
    if !(1..=MOST_SECONDS).contains(&seconds) {
        return bad(format!(
            "{seconds} seconds cannot be simulated; write 1 to {MOST_SECONDS}."
        ));
    }
    let known = |word: &String| BotKind::ALL.iter().any(|kind| kind.as_str() == word);
    if let Some(word) = plan.wickedness.iter().find(|word| !known(word)) {
        let all: Vec<_> = BotKind::ALL.iter().map(|kind| kind.as_str()).collect();
        return bad(format!(
            "\"{word}\" is no kind of misbehaviour; choose among {}.",
            all.join(", ")
        ));
    }
    let Plan { round, product, .. } = plan;
    if seckill_core::ids::Item::new(round, product).is_none() {
        return bad(format!(
            "There is no product \"{product}\" in a round \"{round}\"."
        ));
    }
    Ok(())
}

/// Refuses rounds in which programs may not buy.
fn allow(state: &ConsoleState, plan: &Plan) -> Result<(), ConsoleError> {
    let config = &state.config;
    let round = &plan.round;
    if !config.may_simulate(round) {
        let allowed = match config.simulation_rounds.as_slice() {
            [] => "none is".to_owned(),
            rounds => format!("allowed: {}", rounds.join(", ")),
        };
        return Err(ConsoleError::Forbidden {
            code: "round_is_real",
            message: format!(
                "Simulated shoppers really buy, and round {round} is no test round ({allowed}). Name test rounds in the setting simulation_rounds on the server."
            ),
        });
    }
    if !config.demo_login {
        return Err(ConsoleError::Forbidden {
            code: "no_demo_login",
            message: "Simulated shoppers log in under invented names, which this shop does not allow; set demo_login = \"on\" in a test shop.".to_owned(),
        });
    }
    Ok(())
}
