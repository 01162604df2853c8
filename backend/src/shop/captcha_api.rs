//! `/api/captcha`: hands out puzzles and takes their answers.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use seckill_core::Verdict;
use seckill_core::captcha::puzzle;
use seckill_core::captcha::puzzle::{Answer, BEFORE_OPENING_MS};
use seckill_core::captcha::track::Moment;
use seckill_core::ids::Item;
use serde::Deserialize;

use super::captcha::attempts::Limited;
use super::captcha::{Captcha, Given, Refusal};
use super::identity;
use super::state::ShopState;
use crate::http::body::refuse_body;
use crate::http::error::{ApiError, json_response};
use crate::now_ms;

/// Largest answer, in bytes: a track of [`seckill_core::captcha::track::MAX_MOMENTS`].
const MAX_ANSWER: usize = 16 * 1024;

/// `GET /api/captcha`, `POST /api/captcha`, `GET /api/captcha/way`.
pub(super) fn router() -> Router<Arc<ShopState>> {
    Router::new()
        .route("/api/captcha", get(issue).post(answer))
        .route("/api/captcha/way", get(way))
}

/// The kind of captcha, for which pages prepare. It is the same for everybody, so that
/// it may be cached for a minute.
async fn way(State(state): State<Arc<ShopState>>) -> Response {
    let way = state
        .captcha
        .as_ref()
        .map_or_else(|| r#"{"way":"off"}"#.to_owned(), Captcha::way);
    let mut response = json_response(StatusCode::OK, way);
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=60"),
    );
    response
}

#[derive(Deserialize)]
struct ItemQuery {
    round: String,
    product: String,
}

async fn issue(
    State(state): State<Arc<ShopState>>,
    wanted: Result<Query<ItemQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let captcha = state
        .captcha
        .as_ref()
        .ok_or_else(|| refused(Verdict::NotFound))?;
    refuse_body(&body).map_err(ApiError::into_response)?;
    let user = identity::buyer(&state, &headers).await;
    let user = &*user.map_err(ApiError::into_response)?;
    let Query(ItemQuery { round, product }) = wanted.map_err(|_| refused(Verdict::BadRequest))?;
    let item = on_sale(&state, &round, &product).map_err(refused)?;
    let puzzle = captcha
        .issue(user, address(&headers), item)
        .await
        .map_err(refusal_response)?;
    Ok(json_response(StatusCode::OK, puzzle))
}

/// The item, if it is on sale now or opens soon.
fn on_sale(state: &ShopState, round: &str, product: &str) -> Result<Item, Verdict> {
    let products = state.catalogue.products().ok_or(Verdict::Unavailable)?;
    let item = Item::new(round, product).ok_or(Verdict::BadRequest)?;
    let window = products.get(&item).ok_or(Verdict::NotFound)?.window;
    match now_ms() {
        now if now + BEFORE_OPENING_MS < window.opens_ms => Err(Verdict::TooEarly),
        now if now >= window.ends_ms => Err(Verdict::Ended),
        _ => Ok(item),
    }
}

/// The body of an answer: to our puzzle, or a service's response.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sent {
    Track {
        id: String,
        track: Vec<(f64, f64, f64)>,
    },
    Work {
        id: String,
        work: Vec<u64>,
    },
    Response {
        round: String,
        product: String,
        response: String,
    },
}

async fn answer(
    State(state): State<Arc<ShopState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Response> {
    let captcha = state
        .captcha
        .as_ref()
        .ok_or_else(|| refused(Verdict::NotFound))?;
    let user = identity::buyer(&state, &headers).await;
    let user = &*user.map_err(ApiError::into_response)?;
    let bad = || refused(Verdict::BadRequest);
    let bytes = to_bytes(body, MAX_ANSWER).await.map_err(|_| bad())?;
    let sent: Sent = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let given = match sent {
        Sent::Track { id, track } if puzzle::is_id(&id) => {
            let moment = |(at_ms, x, y)| Moment { at_ms, x, y };
            Given::Puzzle(id, Answer::Track(track.into_iter().map(moment).collect()))
        }
        Sent::Work { id, work } if puzzle::is_id(&id) => Given::Puzzle(id, Answer::Work(work)),
        Sent::Response {
            round,
            product,
            response,
        } => Given::Service(
            on_sale(&state, &round, &product).map_err(refused)?,
            response,
        ),
        Sent::Track { .. } | Sent::Work { .. } => return Err(bad()),
    };
    let key = state.keyring.signing();
    let pass = captcha
        .answer(user, address(&headers), given, key)
        .await
        .map_err(refusal_response)?;
    Ok(json_response(
        StatusCode::OK,
        serde_json::json!({ "pass": pass }).to_string(),
    ))
}

/// The shopper's address, from the edge's header.
fn address(headers: &HeaderMap) -> Option<IpAddr> {
    headers.get("x-real-ip")?.to_str().ok()?.trim().parse().ok()
}

fn refused(verdict: Verdict) -> Response {
    ApiError(verdict).into_response()
}

/// A refusal with a sentence. `reason` distinguishes for pages what the stable code does
/// not: a wrong answer, or a puzzle that is gone.
fn refusal_response(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Limited(Limited(wait)) => limited(wait.as_millis().div_ceil(1000).max(1)),
        Refusal::Failed => captcha_required(
            "failed",
            "That did not fit. Try the next puzzle, or let your device do some work instead.",
        ),
        Refusal::Gone => captcha_required(
            "gone",
            "This puzzle was already answered or is older than a minute. Get a new one.",
        ),
        Refusal::Malformed => refused(Verdict::BadRequest),
        Refusal::Redis(_) | Refusal::Service(_) | Refusal::Random(_) => {
            tracing::error!(%refusal, "a captcha could not be served");
            refused(Verdict::Unavailable)
        }
    }
}

fn captcha_required(reason: &str, message: &str) -> Response {
    let verdict = Verdict::CaptchaRequired;
    let body = serde_json::json!({ "code": verdict.code(), "reason": reason, "message": message });
    json_response(StatusCode::FORBIDDEN, body.to_string())
}

fn limited(seconds: u128) -> Response {
    let message = format!("Too many attempts. Wait {seconds} seconds, then try again.");
    let body =
        serde_json::json!({ "code": Verdict::Busy.code(), "reason": "tries", "message": message });
    let mut response = json_response(StatusCode::TOO_MANY_REQUESTS, body.to_string());
    if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}
