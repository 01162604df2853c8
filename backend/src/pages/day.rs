//! The document of the day: `GET /api/rounds` (course §066).
//!
//! It is assembled from Redis alone, so that shoppers see it while the database is
//! away.

use std::path::Path;

use axum::Router;
use axum::extract::State;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use seckill_core::Verdict;
use serde::Deserialize;

use crate::http::error::{ApiError, json_response, not_found, wrong_method};
use crate::redis::RedisLink;
use crate::sale::message::Version;

/// Assembles the document and keeps it in Redis, in memory and on the disk.
mod document;
/// Reads a day's rounds from Redis.
mod listing;

/// How long a browser or a cache in between may keep the response, in seconds. The
/// shop's own pages put the latest version that they know in the address, so that
/// they need not wait for it to expire.
const MAX_AGE: &str = "public, max-age=300";

/// State that the handlers of the day's document share.
#[derive(Debug, Clone)]
pub struct DayState {
    redis: RedisLink,
    documents: document::Documents,
}

impl DayState {
    /// Days begin and end at midnight in `zone`; copies of what was served are kept
    /// in `copies`, for when Redis is away.
    #[must_use]
    pub fn new(redis: RedisLink, zone: TimeZone, copies: Option<&Path>) -> Self {
        Self {
            documents: document::Documents::new(redis.clone(), zone, copies),
            redis,
        }
    }
}

/// Serves the document of the day, and the health of what it is read from.
pub fn router(state: DayState) -> Router {
    Router::new()
        .route("/api/rounds", get(rounds))
        .route("/healthz", get(healthz))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state)
}

#[derive(Debug, Deserialize)]
struct Parameters {
    date: Option<String>,
    version: Option<String>,
}

/// `GET /api/rounds?date=YYYY-MM-DD`: the rounds that start on that day. Without
/// a date: today's, and those around it in which a shopper can still buy, so that a
/// round that runs over midnight stays visible.
async fn rounds(
    State(state): State<DayState>,
    headers: HeaderMap,
    parameters: Result<axum::extract::Query<Parameters>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Ok(axum::extract::Query(parameters)) = parameters else {
        return Err(ApiError(Verdict::BadRequest));
    };
    let which = match parameters.date {
        None => listing::Which::Now,
        Some(text) => match strict_date(&text) {
            Some(date) => listing::Which::On(date),
            None => return Ok(bad_date()),
        },
    };
    let version = parameters.version.as_deref().and_then(Version::parse);
    match state.documents.get(which, version).await {
        Ok(document) => Ok(respond(&document, headers.get(header::IF_NONE_MATCH))),
        Err(error) => {
            tracing::warn!(%error, "the day's rounds cannot be read");
            Err(ApiError(Verdict::Unavailable))
        }
    }
}

/// Responds with the document, or with 304 if the client's copy is current.
fn respond(document: &document::Document, held: Option<&HeaderValue>) -> Response {
    // A proxy that compresses a response marks its ETag as weak.
    let is_held = held
        .and_then(|held| held.to_str().ok())
        .is_some_and(|held| held.trim_start_matches("W/") == &*document.etag);
    let mut response = if is_held {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json_response(StatusCode::OK, document.body.to_string())
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(MAX_AGE));
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// Exactly `YYYY-MM-DD`: one day has one name, and one entry in every cache.
fn strict_date(text: &str) -> Option<Date> {
    let date: Date = text.parse().ok()?;
    (date.to_string() == text).then_some(date)
}

fn bad_date() -> Response {
    let body = r#"{"code":"bad_request","message":"The date must be a day written YYYY-MM-DD, such as 2026-11-23."}"#;
    json_response(StatusCode::BAD_REQUEST, body.to_owned())
}

async fn healthz(State(state): State<DayState>) -> Result<Response, ApiError> {
    match state.redis.conn().await {
        Ok(_) => Ok(json_response(
            StatusCode::OK,
            r#"{"status":"ok"}"#.to_owned(),
        )),
        Err(_) => Err(ApiError(Verdict::Unavailable)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_one_name() {
        assert!(strict_date("2026-11-23").is_some());
        for bad in [
            "20261123",
            "2026-11-31",
            "2026-11-23T00:00",
            "today",
            "",
            "2026-1-2",
        ] {
            assert!(strict_date(bad).is_none(), "{bad:?}");
        }
    }
}
