//! Bans: searching the list page by page, adding and lifting. Every edge follows within
//! a second.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use seckill_core::shared::bans::listed;
use seckill_core::shared::bans::listed::{Kind, Record};
use seckill_core::shared::bans::{BadBan, Ban};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::FieldMistake;
use super::json_body::JsonBody;
use super::paging::page_of;
use super::{ConsoleError, ConsoleState, Operator};
use crate::console::extract::Query;
use crate::edges::bans;
use crate::edges::bans::{Listed, Wanted};
use crate::now_ms;
use crate::store::Done;

/// Longest search text, in characters.
const MAX_SEARCH: usize = 100;

/// Everything under `/ops/api/bans`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/bans", get(list).post(add))
        .route("/ops/api/bans/lift", post(lift))
}

/// Which bans to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Search {
    /// Part of a value, of a reason or of who banned; or an address.
    search: String,
    /// `address` or `user`; left out for both.
    kind: String,
    /// The page, counted from 1.
    page: Option<usize>,
    /// Bans on a page: 50 unless given, 500 at most.
    per_page: Option<usize>,
}

/// A page of the list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct BanPage {
    /// Newest first.
    bans: Vec<Listed>,
    /// How many match the search.
    matching: usize,
    /// How many are in force.
    all: usize,
    /// The page, counted from 1.
    page: usize,
    /// Bans on a page.
    per_page: usize,
    /// Entries of the list that are no bans.
    garbage: usize,
}

/// Bans in force, newest first.
#[utoipa::path(get, path = "/ops/api/bans", tag = "bans", params(Search), responses(
    (status = 200, body = BanPage),
))]
pub(super) async fn list(
    State(state): State<ConsoleState>,
    _: Operator,
    Query(search): Query<Search>,
) -> Result<Json<BanPage>, ConsoleError> {
    let (page, per_page) = page_of(search.page, search.per_page)?;
    let kind = match search.kind.as_str() {
        "" => None,
        word => Some(kind(word)?),
    };
    let wanted = Wanted {
        text: search.search.trim().chars().take(MAX_SEARCH).collect(),
        kind,
        skip: (page - 1) * per_page,
        most: per_page,
    };
    let found = bans::find(&mut state.redis.conn().await?, &wanted, now_ms()).await?;
    Ok(Json(BanPage {
        bans: found.listed,
        matching: found.matching,
        all: found.all,
        page,
        per_page,
        garbage: found.garbage,
    }))
}

/// A ban to be added.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBan {
    /// `address` or `user`.
    kind: String,
    /// An address, a network or an account.
    value: String,
    /// Why, for operators who read it later.
    reason: String,
    /// How long, such as `1h`; nothing for a permanent ban.
    #[serde(rename = "for")]
    time: Option<String>,
}

/// The result of adding or lifting a ban.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Banned {
    /// The ban as it is listed, such as `address:203.0.113.0/24`.
    ban: String,
    /// Until when, epoch milliseconds; nothing if it is permanent.
    expires_ms: Option<u64>,
    /// Whether there was a ban before.
    was_banned: bool,
}

/// Bans an address, network or account, or replaces its ban.
#[utoipa::path(post, path = "/ops/api/bans", tag = "bans", request_body = NewBan, responses(
    (status = 200, body = Banned), (status = 422, description = "Mistakes, field by field"),
))]
pub(super) async fn add(
    State(state): State<ConsoleState>,
    operator: Operator,
    JsonBody(new): JsonBody<NewBan>,
) -> Result<Json<Banned>, ConsoleError> {
    let kind = kind(&new.kind)?;
    let value = kind.written(new.value.trim());
    let (ban, reason, time_ms) = checked(&new, kind, &value)?;
    let now_ms = now_ms();
    let record = Record {
        expires_ms: time_ms.map(|ms| now_ms + ms),
        at_ms: now_ms,
        by: operator.name.clone(),
        reason,
    };
    let mut conn = state.redis.conn().await?;
    let field = listed::field(&ban);
    let done = Done {
        action: "ban.add",
        target: field.clone(),
        detail: bans::detail(&record, None),
    };
    let act = async {
        let before = bans::add(&mut conn, &ban, &record, now_ms).await?;
        let detail = bans::detail(&record, before.as_ref());
        Ok((before.is_some(), Some(detail)))
    };
    let was_banned = state.recorded(&operator.name, done, act).await?;
    Ok(Json(Banned {
        ban: field,
        expires_ms: record.expires_ms,
        was_banned,
    }))
}

/// The ban, its reason and its time in ms, or every mistake in them.
fn checked<'a>(
    new: &NewBan,
    kind: Kind,
    value: &'a str,
) -> Result<(Ban<'a>, String, Option<u64>), ConsoleError> {
    let mut mistakes = Vec::new();
    let ban = kind.read_new(value).map_err(|error| {
        let (code, value) = match &error {
            BadBan::Behind { meant, .. } => ("ban_behind", meant.to_string()),
            BadBan::Wide(network) => ("ban_wide", network.to_string()),
            BadBan::Address(_) | BadBan::User(_) => ("ban_value", value.to_owned()),
        };
        mistakes.push(mistake("value", code, error.to_string(), &value));
    });
    let reason = new.reason.trim();
    if reason.is_empty() || !listed::is_text(reason) {
        let most = listed::MAX_TEXT;
        let message = format!("Write why in 1 to {most} characters, without \"|\" or line breaks.");
        mistakes.push(mistake("reason", "ban_reason", message, &most.to_string()));
    }
    let time = new
        .time
        .as_deref()
        .map(str::trim)
        .filter(|it| !it.is_empty());
    let time_ms = time.map(bans::parse_time).transpose().map_err(|_| {
        let text = time.unwrap_or_default();
        let message = format!(
            "\"{text}\" is no time; write a number and s, m, h or d, such as 1h, or nothing for a permanent ban."
        );
        mistakes.push(mistake("for", "ban_time", message, text));
    });
    match (ban, time_ms) {
        (Ok(ban), Ok(time_ms)) if mistakes.is_empty() => Ok((ban, reason.to_owned(), time_ms)),
        _ => Err(ConsoleError::Mistakes(mistakes)),
    }
}

/// A ban to be lifted.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BanToLift {
    /// `address` or `user`.
    kind: String,
    /// The address, network or account, as it was banned.
    value: String,
}

/// Lifts a ban; a network is lifted as it was banned.
#[utoipa::path(post, path = "/ops/api/bans/lift", tag = "bans", request_body = BanToLift, responses(
    (status = 200, body = Banned, description = "`was_banned` says whether there was one"),
))]
pub(super) async fn lift(
    State(state): State<ConsoleState>,
    operator: Operator,
    JsonBody(lifted): JsonBody<BanToLift>,
) -> Result<Json<Banned>, ConsoleError> {
    let kind = kind(&lifted.kind)?;
    let value = kind.written(&lifted.value);
    let ban = kind.read(&value).map_err(|error| {
        let mistake = mistake("value", "ban_value", error.to_string(), &value);
        ConsoleError::Mistakes(vec![mistake])
    })?;
    let mut conn = state.redis.conn().await?;
    let field = listed::field(&ban);
    let done = Done {
        action: "ban.lift",
        target: field.clone(),
        detail: json!({}),
    };
    let act = async {
        let was_banned = bans::lift(&mut conn, &ban).await?;
        Ok((was_banned, was_banned.then(|| json!({}))))
    };
    let was_banned = state.recorded(&operator.name, done, act).await?;
    Ok(Json(Banned {
        ban: field,
        expires_ms: None,
        was_banned,
    }))
}

fn kind(word: &str) -> Result<Kind, ConsoleError> {
    Kind::parse(word).ok_or_else(|| {
        ConsoleError::BadRequest(format!(
            "\"{word}\" cannot be banned; \"kind\" is \"address\" or \"user\"."
        ))
    })
}

fn mistake(field: &str, code: &'static str, message: String, value: &str) -> FieldMistake {
    FieldMistake {
        field: field.to_owned(),
        code,
        message,
        values: vec![value.chars().take(MAX_SEARCH).collect()],
        place: None,
    }
}
