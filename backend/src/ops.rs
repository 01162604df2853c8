//! The ops role: the day's rounds for shoppers (course §066), and the console.
//!
//! Shoppers are answered from Redis alone, so that a stopped database stops none.

use axum::Router;
use axum::extract::State;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use seckill_core::Verdict;
use serde::Deserialize;

use crate::api_error::{ApiError, json_response, not_found, wrong_method};
use crate::redis_link::RedisLink;

/// Reads a day's rounds from Redis.
mod day;
/// Keeps the last answers for a second.
mod recent;

/// How long a browser or a cache in between may keep the answer, in seconds.
const MAX_AGE: &str = "public, max-age=5";

/// What every handler of the ops role shares.
#[derive(Debug, Clone)]
pub struct OpsState {
    redis: RedisLink,
    zone: TimeZone,
    recent: recent::Recent,
}

impl OpsState {
    /// Days begin and end at midnight in `zone`.
    #[must_use]
    pub fn new(redis: RedisLink, zone: TimeZone) -> Self {
        Self {
            redis,
            zone,
            recent: recent::Recent::default(),
        }
    }
}

/// Everything that the ops role serves.
pub fn router(state: OpsState) -> Router {
    Router::new()
        .route("/api/rounds", get(rounds))
        .route("/healthz", get(healthz))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state)
}

#[derive(Debug, Deserialize)]
struct Asked {
    date: Option<String>,
}

/// `GET /api/rounds?date=YYYY-MM-DD`: the rounds that start on that day. Without
/// a date: today's, and those around it that a shopper can still buy in, so
/// that nobody loses sight of a round that runs over midnight.
async fn rounds(
    State(state): State<OpsState>,
    asked: Result<axum::extract::Query<Asked>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Ok(axum::extract::Query(asked)) = asked else {
        return Err(ApiError(Verdict::BadRequest));
    };
    let which = match asked.date {
        None => day::Which::Now,
        Some(text) => match strict_date(&text) {
            Some(date) => day::Which::On(date),
            None => return Ok(bad_date()),
        },
    };
    let answer = state
        .recent
        .get_or(which, || day::read(&state.redis, which, &state.zone))
        .await;
    match answer {
        Ok(body) => {
            let mut response = json_response(StatusCode::OK, body.to_string());
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(MAX_AGE));
            Ok(response)
        }
        Err(error) => {
            tracing::warn!(%error, "the day's rounds cannot be read");
            Err(ApiError(Verdict::Unavailable))
        }
    }
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

async fn healthz(State(state): State<OpsState>) -> Result<Response, ApiError> {
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
