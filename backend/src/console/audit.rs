//! Reading the audit log.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::ConsoleState;
use super::auth::Operator;
use super::error::ConsoleError;
use crate::store::{AuditEntry, AuditQuery};

/// Entries on one page.
const PAGE: u32 = 50;

/// `GET /ops/api/audit`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new().route("/ops/api/audit", get(list))
}

/// Which entries to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default)]
pub(super) struct LogQuery {
    /// Entries older than the one with this id.
    before: Option<u64>,
    /// Whose actions.
    who: String,
    /// The target, such as a round's id.
    target: String,
    /// How the action begins, such as `round.`.
    action: String,
}

/// A page of the log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Log {
    /// Newest first.
    entries: Vec<AuditEntry>,
    /// The `before` of the next page; none at the end.
    next: Option<u64>,
}

/// Who did what, newest first.
#[utoipa::path(get, path = "/ops/api/audit", tag = "audit", params(LogQuery), responses(
    (status = 200, body = Log),
))]
pub(super) async fn list(
    State(state): State<ConsoleState>,
    _: Operator,
    Query(query): Query<LogQuery>,
) -> Result<Json<Log>, ConsoleError> {
    let wanted = AuditQuery {
        before: query.before,
        who: query.who,
        target: query.target,
        action: query.action,
        limit: PAGE + 1,
    };
    let mut entries = state.store.get().await?.audit(&wanted).await?;
    // One more than shown says whether there is more.
    let more = entries.len() > PAGE as usize;
    entries.truncate(PAGE as usize);
    let next = entries.last().filter(|_| more).map(|entry| entry.id);
    Ok(Json(Log { entries, next }))
}
