//! What the analysis of the access logs found, and operators' decisions about it.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use seckill_core::shared::bans::listed::Kind;
use serde::Deserialize;
use serde_json::json;

use super::json_body::JsonBody;
use super::{ConsoleError, ConsoleState, Operator};
use crate::console::extract::Query;
use crate::edges::findings::{DecideError, Decision};
use crate::http::error::json_response;
use crate::now_ms;
use crate::store::Actor;
use crate::store::findings::{Finding, FindingState};

/// Findings on one page.
const MOST: u32 = 200;

/// Everything under `/ops/api/findings`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/findings", get(list))
        .route("/ops/api/findings/confirm", post(confirm))
        .route("/ops/api/findings/dismiss", post(dismiss))
        .route("/ops/api/findings/decide", post(decide))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FindingQuery {
    state: String,
}

/// Findings, worst first; `?state=` chooses proposed, banned, confirmed or dismissed.
#[utoipa::path(get, path = "/ops/api/findings", tag = "findings",
    params(("state" = Option<String>, Query, description = "proposed, banned, confirmed or dismissed")),
    responses((status = 200, description = "At most 200, worst first, with the counts of all states and the policy"))
)]
pub(super) async fn list(
    State(state): State<ConsoleState>,
    _: Operator,
    Query(query): Query<FindingQuery>,
) -> Result<Response, ConsoleError> {
    let wanted = match query.state.as_str() {
        "" => None,
        text => Some(FindingState::parse(text).ok_or_else(|| {
            ConsoleError::BadRequest(format!(
                "\"{text}\" is no state of a finding; write proposed, banned, confirmed or dismissed."
            ))
        })?),
    };
    let store = state.store.get().await?;
    let findings = store.findings(wanted, MOST).await?;
    let counts: serde_json::Map<String, serde_json::Value> = store
        .count_findings()
        .await?
        .into_iter()
        .map(|(state, count)| (state, json!(count)))
        .collect();
    let rules = &state.config.analysis;
    let body = json!({
        "findings": findings,
        "counts": counts,
        "policy": rules.policy.as_str(),
        "ban_score": rules.ban_score,
        "ban_minutes": rules.ban_for_ms / 60_000,
    });
    Ok(json_response(StatusCode::OK, body.to_string()))
}

/// Which finding a decision is about.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindingChoice {
    /// `address` or `user`.
    kind: String,
    /// The address, network or account, as it was found.
    subject: String,
    /// How long the ban lasts, in minutes; without it, as long as the policy's bans do.
    minutes: Option<u64>,
}

impl FindingChoice {
    fn decision<'a>(&'a self, by: &'a Actor) -> Result<Decision<'a>, ConsoleError> {
        let kind = Kind::parse(&self.kind).ok_or_else(|| {
            let given = &self.kind;
            ConsoleError::BadRequest(format!(
                "\"{given}\" cannot be a finding's kind; write \"address\" or \"user\"."
            ))
        })?;
        Ok(Decision {
            kind,
            subject: &self.subject,
            by,
            now_ms: now_ms(),
        })
    }
}

fn read(body: Result<Json<FindingChoice>, JsonRejection>) -> Result<FindingChoice, ConsoleError> {
    let right = r#"send JSON such as {"kind":"user","subject":"li"}"#;
    let Json(mut choice) =
        body.map_err(|error| ConsoleError::BadRequest(format!("{}; {right}.", error.body_text())))?;
    if let Some(kind) = Kind::parse(&choice.kind) {
        choice.subject = kind.written(&choice.subject).into_owned();
    }
    Ok(choice)
}

/// How long a ban is for, in ms: as chosen, or as the policy bans.
fn ban_time_ms(state: &ConsoleState, minutes: Option<u64>) -> Result<u64, ConsoleError> {
    match minutes {
        None => Ok(state.config.analysis.ban_for_ms),
        Some(minutes @ 1..=525_600) => Ok(minutes * 60_000),
        Some(minutes) => Err(ConsoleError::BadRequest(format!(
            "A ban of {minutes} minutes cannot be set; write 1 to 525600."
        ))),
    }
}

/// Confirms that it is a program, and bans it.
#[utoipa::path(post, path = "/ops/api/findings/confirm", tag = "findings", request_body = FindingChoice, responses(
    (status = 200, description = "Banned; the finding as it is now"),
    (status = 404, description = "Nothing was found about it"),
))]
pub(super) async fn confirm(
    State(state): State<ConsoleState>,
    by: Operator,
    body: Result<Json<FindingChoice>, JsonRejection>,
) -> Result<Response, ConsoleError> {
    let choice = read(body)?;
    let for_ms = ban_time_ms(&state, choice.minutes)?;
    let store = state.store.get().await?;
    let by = Actor::at_console(&by.name);
    let decision = choice.decision(&by)?;
    finding_response(&decision.confirm(store, &state.redis, for_ms).await?)
}

/// Decides that it is a person: lifts the ban, and leaves it alone for 90 days.
#[utoipa::path(post, path = "/ops/api/findings/dismiss", tag = "findings", request_body = FindingChoice, responses(
    (status = 200, description = "Lifted; the finding as it is now"),
    (status = 404, description = "Nothing was found about it"),
))]
pub(super) async fn dismiss(
    State(state): State<ConsoleState>,
    by: Operator,
    body: Result<Json<FindingChoice>, JsonRejection>,
) -> Result<Response, ConsoleError> {
    let choice = read(body)?;
    let store = state.store.get().await?;
    let by = Actor::at_console(&by.name);
    let decision = choice.decision(&by)?;
    finding_response(&decision.dismiss(store, &state.redis).await?)
}

/// Decisions about several findings at once.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ManyChoices {
    /// `confirm` or `dismiss`.
    decision: String,
    /// How long the ban lasts, in minutes; without it, as long as the policy's bans do.
    minutes: Option<u64>,
    /// The findings, at most 500.
    findings: Vec<Subject>,
}

/// Which finding.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Subject {
    /// `address` or `user`.
    kind: String,
    /// The address, network or account, as it was found.
    subject: String,
}

/// Most findings that are decided at once.
const MOST_AT_ONCE: usize = 500;

/// Decides several findings. Each is a decision of its own, with its entry in the audit
/// log: one that is refused stops no other.
#[utoipa::path(post, path = "/ops/api/findings/decide", tag = "findings", request_body = ManyChoices, responses(
    (status = 200, description = "`decided`: how many; `refused`: the others, each with its reason"),
))]
pub(super) async fn decide(
    State(state): State<ConsoleState>,
    by: Operator,
    JsonBody(many): JsonBody<ManyChoices>,
) -> Result<Response, ConsoleError> {
    if many.findings.is_empty() || many.findings.len() > MOST_AT_ONCE {
        let count = many.findings.len();
        return Err(ConsoleError::BadRequest(format!(
            "{count} findings cannot be decided at once; choose 1 to {MOST_AT_ONCE}."
        )));
    }
    let is_ban = match many.decision.as_str() {
        "confirm" => true,
        "dismiss" => false,
        other => {
            return Err(ConsoleError::BadRequest(format!(
                "\"{other}\" is no decision; write \"confirm\" or \"dismiss\"."
            )));
        }
    };
    let for_ms = ban_time_ms(&state, many.minutes)?;
    let store = state.store.get().await?;
    let by = Actor::at_console(&by.name);
    let mut refused = Vec::new();
    let count = many.findings.len();
    for Subject { kind, subject } in many.findings {
        let choice = FindingChoice {
            kind,
            subject,
            minutes: many.minutes,
        };
        let decision = choice.decision(&by)?;
        let decided = match is_ban {
            true => decision.confirm(store, &state.redis, for_ms).await,
            false => decision.dismiss(store, &state.redis).await,
        };
        match decided {
            Ok(_) => {}
            Err(error @ (DecideError::Unknown(..) | DecideError::Subject(_))) => {
                refused.push(json!({ "kind": choice.kind, "subject": choice.subject, "why": error.to_string() }));
            }
            // Nothing more can be decided while a store is away.
            Err(error) => return Err(error.into()),
        }
    }
    let body = json!({ "decided": count - refused.len(), "refused": refused });
    Ok(json_response(StatusCode::OK, body.to_string()))
}

fn finding_response(finding: &Finding) -> Result<Response, ConsoleError> {
    let body = serde_json::to_string(finding).map_err(|error| ConsoleError::internal(&error))?;
    Ok(json_response(StatusCode::OK, body))
}

impl From<DecideError> for ConsoleError {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Unknown(..) => Self::NotFound(error.to_string()),
            DecideError::Subject(_) => Self::BadRequest(error.to_string()),
            DecideError::Store(error) => error.into(),
            DecideError::Redis(error) | DecideError::NotLifted(error) => error.into(),
        }
    }
}
