//! Sale files: the same import and export as `seckill sale import|export`.

use std::fmt::Display;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::console::ConsoleState;
use crate::console::auth::Operator;
use crate::console::error::{ConsoleError, FieldMistake};
use crate::console::extract::Query;
use crate::now_ms;
use crate::sale::alone::{self, AloneError};
use crate::sale::file::{self, BadBytes, Form};
use crate::sale::import::{self, ImportError};
use crate::sale::{export, repeat};
use crate::store::Actor;
use crate::store::round_changes::{ChangeError, Overlap};

/// The result for one round of the file.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::console) struct Imported {
    /// Its id.
    round: String,
    /// `imported as a draft`, `draft replaced` or `unchanged`.
    change: String,
}

/// Imports the rounds of a sale file as drafts, all or none. The body is TOML, or
/// JSON if its Content-Type says so; in UTF-8, or UTF-16 with a byte order mark.
#[utoipa::path(post, path = "/ops/api/rounds/import", tag = "files", request_body = Vec<u8>, responses(
    (status = 200, body = Vec<Imported>),
    (status = 422, description = "Mistakes in the file, each with line and column"),
))]
pub(in crate::console) async fn import(
    State(state): State<ConsoleState>,
    me: Operator,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Json<Vec<Imported>>, ConsoleError> {
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let form = if is_json { Form::Json } else { Form::Toml };
    let bytes = bytes.map_err(|error| {
        ConsoleError::BadRequest(format!("The file cannot be read: {}.", error.body_text()))
    })?;
    let store = state.store.get().await?;
    let now_ms = now_ms();
    let zone = state.config.time_zone.clone();
    let config = state.config.clone();
    let read = move || file::parse_bytes(config.site.as_ref(), &bytes, ("", form), now_ms);
    // Ten thousand products take a while; other requests need not wait.
    let read = tokio::task::spawn_blocking(read).await;
    let rounds = read.map_err(|error| ConsoleError::internal(&error))?;
    let rounds = rounds.map_err(unreadable)?;
    refuse_alone(&state).await?;
    let rounds = repeat::by_day(rounds, &zone)
        .map_err(|error| whole_file(error.code(), format!("{error}.")))?;
    let by = Actor::at_console(&me.name);
    let outcomes = import::import(store, &rounds, &by, now_ms).await;
    let outcomes = outcomes.map_err(|error| match error {
        ImportError::Approved(error) => {
            about_rounds("round_fixed", &error, vec![error.round.clone()])
        }
        ImportError::Overlap(error) => {
            let Overlap {
                product,
                round,
                other,
                name,
                ..
            } = error.clone();
            about_rounds("overlap_in_file", &error, vec![product, round, other, name])
        }
        ImportError::Store(ChangeError::Store(error)) => error.into(),
        ImportError::Store(error) => whole_file("file", format!("{error}.")),
    })?;
    let imported = outcomes.into_iter().map(|outcome| Imported {
        round: outcome.round,
        change: outcome.change.to_string(),
    });
    Ok(Json(imported.collect()))
}

/// Refuses to import all of an amount of which other sites sell a part. While Redis is away
/// nobody knows of them here.
async fn refuse_alone(state: &ConsoleState) -> Result<(), ConsoleError> {
    match alone::refuse(state.config.site.as_ref(), &state.redis).await {
        Err(error @ AloneError::OneOfSeveral { .. }) => {
            Err(whole_file("site_unset", format!("{error}.")))
        }
        Ok(()) | Err(AloneError::Link(_)) => Ok(()),
    }
}

fn unreadable(bad: BadBytes) -> ConsoleError {
    match bad {
        BadBytes::NoText(problem) => {
            let message = format!("The file cannot be read: {problem}.");
            whole_file("file_no_text", message)
        }
        BadBytes::Kind(kind) => {
            let message = format!(
                "The file is {kind}; sale files are TOML or JSON, and an export shows how they \
                 look."
            );
            whole_file("file_kind", message)
        }
        BadBytes::Mistakes(mistakes) => {
            ConsoleError::Mistakes(mistakes.into_iter().map(in_file).collect())
        }
    }
}

fn in_file(mistake: file::Mistake) -> FieldMistake {
    FieldMistake {
        field: mistake.field.clone(),
        code: mistake.code,
        message: mistake.to_string(),
        values: mistake.values,
        place: Some((mistake.line, mistake.column)),
    }
}

fn whole_file(code: &'static str, message: String) -> ConsoleError {
    ConsoleError::Mistakes(vec![mistake(code, message, Vec::new())])
}

/// What the file cannot do with rounds that it names, in a sentence of its own.
fn about_rounds(code: &'static str, error: &dyn Display, values: Vec<String>) -> ConsoleError {
    let mut message = format!("{error}.");
    // Its causes begin in ASCII.
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    ConsoleError::Mistakes(vec![mistake(code, message, values)])
}

fn mistake(code: &'static str, message: String, values: Vec<String>) -> FieldMistake {
    FieldMistake {
        field: String::new(),
        code,
        message,
        values,
        place: None,
    }
}

/// The form of the file.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(in crate::console) struct ExportForm {
    /// `toml` (the default) or `json`.
    form: String,
}

/// All rounds as a sale file. What a sale file cannot have, such as a round that is over, is
/// commented out in TOML and left out in JSON.
#[utoipa::path(get, path = "/ops/api/rounds/export", tag = "files", params(ExportForm), responses(
    (status = 200, description = "The sale file", content_type = "text/plain"),
))]
pub(in crate::console) async fn export(
    State(state): State<ConsoleState>,
    _: Operator,
    Query(query): Query<ExportForm>,
) -> Result<Response, ConsoleError> {
    let rounds = state.store.get().await?.rounds().await?;
    let zone = &state.config.time_zone;
    let (text, kind, name) = match query.form.as_str() {
        "json" => (
            export::to_json(&rounds, zone, now_ms()),
            "application/json",
            "sale.json",
        ),
        "" | "toml" => (
            export::to_toml(&rounds, zone, now_ms()),
            "application/toml",
            "sale.toml",
        ),
        other => {
            return Err(ConsoleError::BadRequest(format!(
                "\"{other}\" is no form of a sale file; write toml or json."
            )));
        }
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, text).into_response())
}
