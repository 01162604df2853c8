//! A short text to everybody who waits for a sale: said, and ended.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use seckill_core::sale::label;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::FieldMistake;
use super::json_body::JsonBody;
use super::{ConsoleError, ConsoleState, Operator};
use crate::now_ms;
use crate::pages::announcement::{self, Announcement};
use crate::store::Done;

/// Longest text, in characters: it has to fit a phone.
const MOST: usize = 200;
/// Longest time, in minutes.
const MOST_MINUTES: u64 = 24 * 60;

/// Everything under `/ops/api/announcement`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new().route("/ops/api/announcement", get(show).post(say).delete(end))
}

/// What is said at the moment.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Said {
    /// Null if nothing is said.
    announcement: Option<Announcement>,
}

/// What is to be said.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAnnouncement {
    /// One line of plain text.
    text: String,
    /// For how many minutes it is shown.
    minutes: u64,
}

/// What operators say to everybody who waits.
#[utoipa::path(get, path = "/ops/api/announcement", tag = "announcement",
    responses((status = 200, body = Said)))]
pub(super) async fn show(
    State(state): State<ConsoleState>,
    _: Operator,
) -> Result<Json<Said>, ConsoleError> {
    let announcement = announcement::read(&state.redis).await?;
    Ok(Json(Said { announcement }))
}

/// Says this on every page that waits, within seconds, in place of what was said before.
#[utoipa::path(post, path = "/ops/api/announcement", tag = "announcement",
    request_body = NewAnnouncement, responses((status = 200, body = Said),
        (status = 422, description = "The text or the time is refused")))]
pub(super) async fn say(
    State(state): State<ConsoleState>,
    me: Operator,
    JsonBody(new): JsonBody<NewAnnouncement>,
) -> Result<Json<Said>, ConsoleError> {
    let text = checked(&new)?;
    let at_ms = now_ms();
    let said = Announcement {
        text: text.to_owned(),
        by: me.name.clone(),
        at_ms,
        until_ms: at_ms + new.minutes * 60_000,
    };
    let before = announcement::read(&state.redis).await?;
    let done = Done {
        action: "announcement.say",
        target: String::new(),
        detail: json!({ "text": [before.map(|it| it.text), text], "until_ms": said.until_ms }),
    };
    let detail = done.detail.clone();
    let act = async {
        announcement::say(&state.redis, &said).await?;
        Ok(((), Some(detail)))
    };
    state.recorded(&me.name, done, act).await?;
    Ok(Json(Said {
        announcement: Some(said),
    }))
}

/// Says nothing any more.
#[utoipa::path(delete, path = "/ops/api/announcement", tag = "announcement",
    responses((status = 200, body = Said)))]
pub(super) async fn end(
    State(state): State<ConsoleState>,
    me: Operator,
) -> Result<Json<Said>, ConsoleError> {
    let before = announcement::read(&state.redis).await?;
    let done = Done {
        action: "announcement.end",
        target: String::new(),
        detail: json!({ "text": before.as_ref().map(|it| it.text.as_str()) }),
    };
    let detail = before.is_some().then(|| done.detail.clone());
    let act = async {
        announcement::end(&state.redis).await?;
        Ok(((), detail))
    };
    state.recorded(&me.name, done, act).await?;
    Ok(Json(Said { announcement: None }))
}

fn checked(new: &NewAnnouncement) -> Result<&str, ConsoleError> {
    let text = new.text.trim();
    let count = text.chars().count();
    let mut mistakes = Vec::new();
    if count == 0 || count > MOST {
        let right = format!("write 1 to {MOST}");
        let message = format!("The text has {count} characters; {right}.");
        mistakes.push(mistake(
            "text",
            "announcement_length",
            message,
            count.to_string(),
        ));
    }
    // What is empty has its mistake already.
    if let Err(unfit) = label::check_label(text)
        && unfit != label::Unfit::Empty
    {
        let character = unfit.character();
        let message = format!("The text contains {character}; write one plain line.");
        mistakes.push(mistake("text", "announcement_plain", message, character));
    }
    if !(1..=MOST_MINUTES).contains(&new.minutes) {
        let minutes = new.minutes;
        let message = format!("{minutes} minutes cannot be; write 1 to {MOST_MINUTES}.");
        mistakes.push(mistake(
            "minutes",
            "announcement_minutes",
            message,
            minutes.to_string(),
        ));
    }
    match mistakes.is_empty() {
        true => Ok(text),
        false => Err(ConsoleError::Mistakes(mistakes)),
    }
}

fn mistake(field: &str, code: &'static str, message: String, value: String) -> FieldMistake {
    FieldMistake {
        field: field.to_owned(),
        code,
        message,
        values: vec![value],
        place: None,
    }
}
