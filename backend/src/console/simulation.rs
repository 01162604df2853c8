//! Simulated shoppers: the load generator as a child, for rounds that are for
//! trying out.
//!
//! What they buy is bought. Real goods must not go to programs by a slip of the
//! hand, so that two things have to be set on the box, where no login reaches:
//! the round's id in `simulation_rounds`, and the demo login, without which nobody
//! can be simulated. `seckill up --demo` sets both for the demo's round.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use seckill_load::shop::people::Vice;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::{ConsoleError, ConsoleState, Operator};
use crate::http::error::json_response;
use crate::now_ms;
use crate::store::{Actor, Done};

/// Most people, and most bots: more than one box can serve beside them is no
/// simulation.
const MOST_ACTORS: u32 = 5_000;
/// Longest time.
const MOST_SECONDS: u64 = 900;

/// The simulation that runs, or the last one that did.
#[derive(Debug, Clone, Default)]
pub(super) struct Simulations(Arc<Mutex<Option<Run>>>);

#[derive(Debug)]
struct Run {
    asked: Wanted,
    by: String,
    began_ms: u64,
    child: Child,
    /// Without its ending.
    files: PathBuf,
    /// How it ended, once it has.
    ended: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// People.
    shoppers: u32,
    /// Bots among them.
    #[serde(default)]
    bots: u32,
    /// Their vices, dealt in turn; none for all there are.
    #[serde(default)]
    wickedness: Vec<String>,
    /// Round id.
    round: String,
    /// Product id.
    product: String,
    /// How long they stay after the opening.
    seconds: u64,
}

/// The routes, for people with a login.
pub(super) fn routes() -> Router<ConsoleState> {
    Router::new().route("/ops/api/simulation", get(show).post(begin).delete(end))
}

/// How far the simulation is, and what may be asked for.
#[utoipa::path(get, path = "/ops/api/simulation", tag = "simulation", responses(
    (status = 200, description = "The running simulation or the last one, with its report; the rounds and vices there are"),
))]
pub(super) async fn show(
    State(state): State<ConsoleState>,
    _: Operator,
) -> Result<Response, ConsoleError> {
    let mut run = state.simulations.0.lock().await;
    let now = match run.as_mut() {
        Some(run) => run.look().await,
        None => json!({ "state": "none" }),
    };
    let vices: Vec<&str> = Vice::ALL.iter().map(|vice| vice.as_str()).collect();
    let config = &state.config;
    let body = json!({
        "simulation": now,
        "rounds": config.simulation_rounds,
        "wickedness": vices,
        "demo_login": config.demo_login,
        "most": MOST_ACTORS,
    });
    Ok(json_response(StatusCode::OK, body.to_string()))
}

/// Begins one.
#[utoipa::path(post, path = "/ops/api/simulation", tag = "simulation", request_body = Wanted, responses(
    (status = 202, description = "Begun"),
    (status = 403, description = "Not in this round, or not on this box"),
    (status = 409, description = "One is running"),
))]
pub(super) async fn begin(
    State(state): State<ConsoleState>,
    by: Operator,
    body: Result<Json<Wanted>, JsonRejection>,
) -> Result<Response, ConsoleError> {
    let Json(wanted) = body.map_err(|error| {
        let right = r#"send JSON such as {"shoppers":200,"bots":50,"round":"1","product":"153","seconds":60}"#;
        ConsoleError::BadRequest(format!("{}; {right}.", error.body_text()))
    })?;
    check(&wanted)?;
    allow(&state, &wanted)?;
    let mut run = state.simulations.0.lock().await;
    if let Some(run) = run.as_mut()
        && run.is_running()
    {
        return Err(ConsoleError::Conflict {
            code: "simulation_running",
            current: None,
            message: format!(
                "{} has begun a simulation that still runs; end it first.",
                run.by
            ),
        });
    }
    // Written down first: what cannot be, does not happen.
    note(&state, &by, "simulation.begin", &wanted).await?;
    *run = Some(Run::begin(&state, wanted, &by.name)?);
    Ok(json_response(
        StatusCode::ACCEPTED,
        r#"{"state":"running"}"#.to_owned(),
    ))
}

/// Ends it.
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
        run.stop().await;
        note(&state, &by, "simulation.end", &run.asked).await?;
    }
    Ok(json_response(
        StatusCode::OK,
        r#"{"state":"ended"}"#.to_owned(),
    ))
}

async fn note(
    state: &ConsoleState,
    by: &Operator,
    action: &'static str,
    wanted: &Wanted,
) -> Result<(), ConsoleError> {
    let done = Done {
        action,
        target: format!("{}::{}", wanted.round, wanted.product),
        detail: json!(wanted),
    };
    let store = state.store.get().await?;
    store
        .note_audit(&Actor::at_console(&by.name), &done, now_ms())
        .await?;
    Ok(())
}

fn check(wanted: &Wanted) -> Result<(), ConsoleError> {
    let bad = |text: String| Err(ConsoleError::BadRequest(text));
    let Wanted {
        shoppers,
        bots,
        seconds,
        ..
    } = *wanted;
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
    let known = |word: &String| Vice::ALL.iter().any(|vice| vice.as_str() == word);
    if let Some(word) = wanted.wickedness.iter().find(|word| !known(word)) {
        let all: Vec<_> = Vice::ALL.iter().map(|vice| vice.as_str()).collect();
        return bad(format!(
            "\"{word}\" is no wickedness; there are {}.",
            all.join(", ")
        ));
    }
    let Wanted { round, product, .. } = wanted;
    if seckill_core::ids::Item::new(round, product).is_none() {
        return bad(format!(
            "There is no product \"{product}\" in a round \"{round}\"."
        ));
    }
    Ok(())
}

/// Whether programs may buy in this round.
fn allow(state: &ConsoleState, wanted: &Wanted) -> Result<(), ConsoleError> {
    let config = &state.config;
    let round = &wanted.round;
    if !config.may_simulate(round) {
        let allowed = match config.simulation_rounds.as_slice() {
            [] => "none is".to_owned(),
            rounds => format!("allowed: {}", rounds.join(", ")),
        };
        return Err(ConsoleError::Forbidden {
            code: "round_is_real",
            message: format!(
                "Simulated shoppers really buy, and round {round} is not one for trying out ({allowed}). Whoever runs the shop names such rounds in the setting simulation_rounds."
            ),
        });
    }
    if !config.demo_login {
        return Err(ConsoleError::Forbidden {
            code: "no_demo_login",
            message: "Simulated shoppers log in under invented names, which this shop does not let anybody do; set demo_login = \"on\" on a shop for trying out.".to_owned(),
        });
    }
    Ok(())
}

impl Run {
    fn begin(state: &ConsoleState, wanted: Wanted, by: &str) -> Result<Self, ConsoleError> {
        let internal = |error: std::io::Error| ConsoleError::internal(&error);
        let config = &state.config;
        let folder = config.data.join("simulation");
        std::fs::create_dir_all(&folder).map_err(internal)?;
        let files = folder.join("last");
        for ending in ["json", "html", "progress"] {
            // What is not there needs not be removed.
            let _ = std::fs::remove_file(files.with_extension(ending));
        }
        let now_ms = now_ms();
        let log = std::fs::File::create(files.with_extension("log")).map_err(internal)?;
        // The shop goes first: what tries it must not take its cores.
        let mut command = Command::new("nice");
        command
            .args(["-n", "10"])
            .arg(std::env::current_exe().map_err(internal)?)
            .args(["--data", &config.data.display().to_string(), "load", "shop"])
            .args(["--base", &format!("http://127.0.0.1:{}", config.port)])
            .args(["--round", &wanted.round, "--product", &wanted.product])
            .args(["--shoppers", &wanted.shoppers.to_string()])
            .args(["--bots", &wanted.bots.to_string()])
            .args(["--seconds", &wanted.seconds.to_string()])
            .args(["--seed", &now_ms.to_string()])
            // Other names each time: whoever has bought cannot buy again.
            .args(["--prefix", &format!("sim{}-", now_ms / 1_000 % 1_000_000)])
            .arg("--report")
            .arg(&files)
            .arg("--progress")
            .arg(files.with_extension("progress"));
        if !wanted.wickedness.is_empty() {
            command.args(["--wickedness", &wanted.wickedness.join(",")]);
        }
        if config.captcha.is_on() {
            command.arg("--keys").arg(&config.keys);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(internal)?;
        Ok(Self {
            asked: wanted,
            by: by.to_owned(),
            began_ms: now_ms,
            child,
            files,
            ended: None,
        })
    }

    fn is_running(&mut self) -> bool {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.ended = Some(if status.success() {
                "finished".to_owned()
            } else {
                "failed".to_owned()
            });
        }
        self.ended.is_none()
    }

    async fn stop(&mut self) {
        // It holds nothing that could be lost.
        let _ = self.child.kill().await;
        self.ended = Some("ended".to_owned());
    }

    async fn look(&mut self) -> Value {
        let is_running = self.is_running();
        let read = async |ending: &str| -> Value {
            let text = tokio::fs::read(self.files.with_extension(ending)).await;
            text.ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or(Value::Null)
        };
        let mut report = if is_running {
            Value::Null
        } else {
            read("json").await
        };
        if let Some(fields) = report.as_object_mut() {
            // Thousands of names, which nobody reads here.
            fields.remove("actors");
        }
        let trouble = match self.ended.as_deref() {
            Some("failed") => tokio::fs::read_to_string(self.files.with_extension("log"))
                .await
                .ok(),
            _ => None,
        };
        json!({
            "state": self.ended.as_deref().unwrap_or("running"),
            "asked": self.asked,
            "by": self.by,
            "began_ms": self.began_ms,
            "progress": read("progress").await,
            "report": report,
            "trouble": trouble,
        })
    }
}
