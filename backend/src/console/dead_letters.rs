//! Dead letters, each with its reason, and redriving them.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::paging::page_of;
use super::{ConsoleError, ConsoleState, Operator};
use crate::console::extract::{Path, Query};
use crate::queue::dead_letters::{KeptLetter, Redriven};
use crate::queue::{DeadLetters, Queues};
use crate::store::Done;

/// Characters of a message that are shown.
const SHOWN: usize = 2_000;

/// Everything under `/ops/api/dead-letters`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/dead-letters", get(list))
        .route("/ops/api/dead-letters/redrive", post(redrive_all))
        .route("/ops/api/dead-letters/{id}/redrive", post(redrive))
}

/// Which letters to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct After {
    /// Letters after the one with this id.
    after: Option<String>,
    /// Letters on a page: 50 unless given, 500 at most.
    limit: Option<usize>,
}

/// A page of letters.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Letters {
    /// Oldest first.
    letters: Vec<Letter>,
    /// How many there are.
    all: u64,
    /// The `after` of the next page; nothing at the end.
    next: Option<String>,
}

/// A message of which no order could be made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Letter {
    /// Its id.
    id: String,
    /// When it arrived, epoch milliseconds.
    came_ms: u64,
    /// Why it is here, as a sentence.
    reason: String,
    /// The queue or outbox that it came from.
    source: String,
    /// How many times placing its order was tried.
    attempts: u32,
    /// The message, 2,000 characters at most.
    message: String,
}

/// The result of a redrive.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct RedriveResult {
    /// How many were sent to their queues.
    sent: u64,
    /// Why the others stay.
    stay: Vec<String>,
}

impl From<KeptLetter> for Letter {
    fn from(kept: KeptLetter) -> Self {
        let message = String::from_utf8_lossy(&kept.letter.body);
        Self {
            came_ms: kept.came_ms(),
            id: kept.id,
            reason: kept.letter.reason,
            source: kept.letter.source,
            attempts: kept.letter.attempts,
            message: message.chars().take(SHOWN).collect(),
        }
    }
}

fn letters(state: &ConsoleState) -> DeadLetters {
    DeadLetters::new(state.redis.clone(), state.segments.clone())
}

/// Dead letters, oldest first.
#[utoipa::path(get, path = "/ops/api/dead-letters", tag = "dead letters", params(After), responses(
    (status = 200, body = Letters),
))]
pub(super) async fn list(
    State(state): State<ConsoleState>,
    _: Operator,
    Query(query): Query<After>,
) -> Result<Json<Letters>, ConsoleError> {
    let (_, most) = page_of(None, query.limit)?;
    let letters = letters(&state);
    let after = match &query.after {
        Some(id) if !KeptLetter::is_id(id) => {
            let message = format!("\"{id}\" is no id of a letter; begin without \"after\".");
            return Err(ConsoleError::BadRequest(message));
        }
        after => after.as_deref(),
    };
    let mut page = letters.list(after, most + 1).await?;
    let more = page.len() > most;
    page.truncate(most);
    let next = page.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(Letters {
        letters: page.into_iter().map(Letter::from).collect(),
        all: letters.count().await?,
        next,
    }))
}

/// Redrives one letter.
#[utoipa::path(post, path = "/ops/api/dead-letters/{id}/redrive", tag = "dead letters", responses(
    (status = 200, body = RedriveResult), (status = 404, description = "There is none"),
    (status = 409, description = "It stays; the message says why"),
))]
pub(super) async fn redrive(
    State(state): State<ConsoleState>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Json<RedriveResult>, ConsoleError> {
    let letters = letters(&state);
    let gone = || {
        ConsoleError::NotFound(format!(
            "There is no dead letter {id}; another operator may have redriven it."
        ))
    };
    let kept = letters.find(&id).await?.ok_or_else(gone)?;
    let queues = queues(&state)?;
    let detail = json!({ "reason": kept.letter.reason, "source": kept.letter.source });
    let done = Done {
        action: "letter.redrive",
        target: id.clone(),
        detail: detail.clone(),
    };
    let act = async {
        match letters.redrive(&id, &queues).await? {
            Redriven::Sent => Ok(((), Some(detail))),
            Redriven::Gone => Err(gone()),
            Redriven::Stays(reason) => Err(ConsoleError::Conflict {
                code: "letter_stays",
                current: None,
                message: format!("The letter was not redriven: {reason}"),
            }),
        }
    };
    state.recorded(&operator.name, done, act).await?;
    Ok(Json(RedriveResult {
        sent: 1,
        stay: Vec::new(),
    }))
}

/// Redrives all letters that are here now.
#[utoipa::path(post, path = "/ops/api/dead-letters/redrive", tag = "dead letters", responses(
    (status = 200, body = RedriveResult),
))]
pub(super) async fn redrive_all(
    State(state): State<ConsoleState>,
    operator: Operator,
) -> Result<Json<RedriveResult>, ConsoleError> {
    let letters = letters(&state);
    let queues = queues(&state)?;
    let done = Done {
        action: "letter.redrive",
        target: "all".to_owned(),
        detail: json!({ "letters": letters.count().await? }),
    };
    let act = async {
        let (sent, stay) = letters.redrive_all(&queues).await?;
        let detail = (sent > 0).then(|| json!({ "letters": sent }));
        Ok((RedriveResult { sent, stay }, detail))
    };
    Ok(Json(state.recorded(&operator.name, done, act).await?))
}

fn queues(state: &ConsoleState) -> Result<Queues, ConsoleError> {
    Queues::open(&state.config, &state.redis).map_err(|error| ConsoleError::internal(&error))
}
