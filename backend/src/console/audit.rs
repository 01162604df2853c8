//! The audit log, for reading.

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::ConsoleState;
use super::error::ConsoleError;
use super::operator::Operator;
use crate::store::{AuditEntry, AuditQuery};

/// Entries on one page.
const PAGE: u32 = 50;

/// Which entries.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default)]
pub(super) struct Asked {
    /// Older than this entry.
    before: Option<u64>,
    /// By whom.
    who: String,
    /// On what, such as a round's id.
    target: String,
    /// What, by how it begins, such as `round.`.
    action: String,
}

/// A page of the log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Log {
    /// Newest first.
    entries: Vec<AuditEntry>,
    /// What to ask for as `before` to go on; none at the end.
    next: Option<u64>,
}

/// Who did what, newest first.
#[utoipa::path(get, path = "/ops/api/audit", tag = "audit", params(Asked), responses(
    (status = 200, body = Log),
))]
pub(super) async fn list(
    State(state): State<ConsoleState>,
    _: Operator,
    Query(asked): Query<Asked>,
) -> Result<Json<Log>, ConsoleError> {
    let query = AuditQuery {
        before: asked.before,
        who: asked.who,
        target: asked.target,
        action: asked.action,
        limit: PAGE + 1,
    };
    let mut entries = state.store.get().await?.audit(&query).await?;
    // One more than shown says whether there is more.
    let more = entries.len() > PAGE as usize;
    entries.truncate(PAGE as usize);
    let next = entries.last().filter(|_| more).map(|entry| entry.id);
    Ok(Json(Log { entries, next }))
}
