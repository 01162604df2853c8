//! Dead letters at the console: each with its reason, and sending them on their
//! way again. Beside them, payments that are to be given back.

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::paging::page_of;
use super::{ConsoleError, ConsoleState, Operator};
use crate::queue::dead_letters::{KeptLetter, Redriven};
use crate::queue::{DeadLetters, Queues};

/// Characters of a message that are shown.
const SHOWN: usize = 2_000;

/// The paths, to be merged behind the console's guard.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/dead-letters", get(list))
        .route("/ops/api/dead-letters/redrive", post(redrive_all))
        .route("/ops/api/dead-letters/{id}/redrive", post(redrive))
}

/// Which letters.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default)]
pub(super) struct After {
    /// Those after this one.
    after: Option<String>,
    /// 50 unless given, 500 at most.
    limit: Option<usize>,
}

/// A page of letters.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Letters {
    /// Oldest first.
    letters: Vec<Letter>,
    /// How many there are.
    all: u64,
    /// After which one to go on; nothing at the end.
    next: Option<String>,
}

/// A message of which no order could be made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Letter {
    /// Its number.
    id: String,
    /// When it came, epoch milliseconds.
    came_ms: u64,
    /// Why it is here, as a sentence.
    reason: String,
    /// The queue or outbox that it came from.
    source: String,
    /// How many times it was tried.
    attempts: u32,
    /// What it says, 2,000 characters at most.
    message: String,
}

/// What became of letters that were sent again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Sent {
    /// How many are on their way.
    sent: u64,
    /// What keeps the others here.
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
    Query(asked): Query<After>,
) -> Result<Json<Letters>, ConsoleError> {
    let (_, most) = page_of(None, asked.limit)?;
    let letters = letters(&state);
    let after = match &asked.after {
        // A number that is none is a page that begins nowhere.
        Some(id) if !KeptLetter::is_id(id) => {
            let message = format!("\"{id}\" is no number of a letter; begin without \"after\".");
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

/// Sends one on its way again.
#[utoipa::path(post, path = "/ops/api/dead-letters/{id}/redrive", tag = "dead letters", responses(
    (status = 200, body = Sent), (status = 404, description = "There is none"),
    (status = 409, description = "It stays, for the reason that is told"),
))]
pub(super) async fn redrive(
    State(state): State<ConsoleState>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Json<Sent>, ConsoleError> {
    let letters = letters(&state);
    let gone = || {
        ConsoleError::NotFound(format!(
            "There is no dead letter {id}; somebody else may have sent it on its way."
        ))
    };
    let kept = letters.find(&id).await?.ok_or_else(gone)?;
    let queues = queues(&state)?;
    let detail = json!({ "reason": kept.letter.reason, "source": kept.letter.source });
    state
        .record(&operator, "letter.redrive", &id, detail)
        .await?;
    match letters.redrive(&id, &queues).await? {
        Redriven::Sent => Ok(Json(Sent {
            sent: 1,
            stay: Vec::new(),
        })),
        Redriven::Gone => Err(gone()),
        Redriven::Stays(reason) => Err(ConsoleError::Conflict {
            code: "letter_stays",
            current: None,
            message: format!("The letter stays where it is: {reason}"),
        }),
    }
}

/// Sends all that are here now on their way again.
#[utoipa::path(post, path = "/ops/api/dead-letters/redrive", tag = "dead letters", responses(
    (status = 200, body = Sent),
))]
pub(super) async fn redrive_all(
    State(state): State<ConsoleState>,
    operator: Operator,
) -> Result<Json<Sent>, ConsoleError> {
    let letters = letters(&state);
    let queues = queues(&state)?;
    let detail = json!({ "letters": letters.count().await? });
    state
        .record(&operator, "letter.redrive", "all", detail)
        .await?;
    let (sent, stay) = letters.redrive_all(&queues).await?;
    Ok(Json(Sent { sent, stay }))
}

fn queues(state: &ConsoleState) -> Result<Queues, ConsoleError> {
    Queues::open(&state.config, &state.redis).map_err(|error| ConsoleError::internal(&error))
}
