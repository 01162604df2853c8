//! Reading the audit log.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ConsoleState;
use super::auth::Operator;
use super::error::ConsoleError;
use crate::console::extract::Query;
use crate::now_ms;
use crate::shop::order_export::{csv_row, filters};
use crate::store::{Actor, AuditEntry, AuditQuery, Done};
use crate::time::rfc3339;

/// Entries on one page.
const PAGE: u32 = 50;
/// Entries that an export reads at once.
const EXPORTED: u32 = 500;
/// The first line of an export.
const CSV_HEAD: &str = "id,at,at_ms,who,via,action,target,detail\r\n";

/// Everything under `/ops/api/audit`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/audit", get(list))
        .route("/ops/api/audit/export", get(export))
}

/// Which entries to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogQuery {
    /// Entries older than the one with this id.
    before: Option<u64>,
    /// Whose actions.
    who: String,
    /// The target, such as a round's id; that finds its products, too.
    target: String,
    /// How the action begins, such as `round.`.
    action: String,
    /// Only entries of this time or later, epoch milliseconds.
    from_ms: u64,
    /// Only entries before this time, epoch milliseconds.
    until_ms: Option<u64>,
}

impl LogQuery {
    fn of(self, limit: u32) -> AuditQuery {
        AuditQuery {
            before: self.before,
            who: self.who,
            target: self.target,
            action: self.action,
            from_ms: self.from_ms,
            until_ms: self.until_ms,
            limit,
        }
    }
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
    let wanted = query.of(PAGE + 1);
    let mut entries = state.store.get().await?.audit(&wanted).await?;
    // One more than shown says whether there is more.
    let more = entries.len() > PAGE as usize;
    entries.truncate(PAGE as usize);
    let next = entries.last().filter(|_| more).map(|entry| entry.id);
    Ok(Json(Log { entries, next }))
}

/// The same, all of it, as CSV: no field is a formula to a spreadsheet.
#[utoipa::path(get, path = "/ops/api/audit/export", tag = "audit", params(LogQuery), responses(
    (status = 200, description = "text/csv"),
))]
pub(super) async fn export(
    State(state): State<ConsoleState>,
    me: Operator,
    Query(query): Query<LogQuery>,
) -> Result<Response, ConsoleError> {
    let mut wanted = query.of(EXPORTED);
    let store = state.store.get().await?.clone();
    let done = Done {
        action: "audit.export",
        target: String::new(),
        detail: filters([
            ("before", json!(wanted.before)),
            ("who", json!(wanted.who)),
            ("target", json!(wanted.target)),
            ("action", json!(wanted.action)),
            ("from_ms", json!(Some(wanted.from_ms).filter(|ms| *ms > 0))),
            ("until_ms", json!(wanted.until_ms)),
        ]),
    };
    let by = Actor::at_console(&me.name);
    store.note_audit(&by, &done, now_ms()).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<String>>(2);
    tokio::spawn(async move {
        let mut text = CSV_HEAD.to_owned();
        loop {
            let page = match store.audit(&wanted).await {
                Ok(page) => page,
                Err(error) => {
                    // A cut connection, so that nobody takes the part for the whole.
                    let _ = sender.send(Err(std::io::Error::other(error))).await;
                    return;
                }
            };
            page.iter()
                .for_each(|entry| text.push_str(&csv_line(entry)));
            let sent = sender.send(Ok(std::mem::take(&mut text))).await;
            if sent.is_err() || page.len() < EXPORTED as usize {
                return;
            }
            wanted.before = page.last().map(|entry| entry.id);
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"audit.csv\"",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    Ok((headers, Body::from_stream(stream)).into_response())
}

fn csv_line(entry: &AuditEntry) -> String {
    csv_row(&[
        entry.id.to_string(),
        rfc3339(entry.at_ms),
        entry.at_ms.to_string(),
        entry.who.clone(),
        entry.via.clone(),
        entry.action.clone(),
        entry.target.clone(),
        entry.detail.to_string(),
    ])
}
