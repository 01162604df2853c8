//! The demo login, and the session cookie by which every handler knows the buyer.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use seckill_core::gate::{self, Credential};
use seckill_core::signing::session;
use seckill_core::signing::session::Session;
use seckill_core::{Verdict, ids};
use serde::Deserialize;

use super::state::ShopState;
use crate::http::body::refuse_body;
use crate::http::error::{ApiError, json_response};
use crate::now_ms;

/// Largest login body, in bytes.
const MAX_LOGIN: usize = 1024;

/// `GET /api/session` and `POST /api/session`.
pub(super) fn router() -> Router<Arc<ShopState>> {
    Router::new().route("/api/session", get(show).post(log_in))
}

/// The session cookie's value, unverified.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|cookies| session::cookie(cookies, session::COOKIE))
}

/// The buyer whom the session cookie names, verified.
///
/// # Errors
/// `login_required`, if there is no session or it is not valid.
pub(super) fn buyer<'a>(state: &ShopState, headers: &'a HeaderMap) -> Result<&'a str, ApiError> {
    gate::identify(Credential::Cookie(token(headers)), &state.keyring, now_ms())
        .ok_or(ApiError(Verdict::LoginRequired))
}

/// Who is logged in, and until when.
async fn show(
    State(state): State<Arc<ShopState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    let user = buyer(&state, &headers)?;
    let expires_ms = token(&headers)
        .and_then(Session::parse)
        .map(|session| session.expires_ms)
        .ok_or(Verdict::LoginRequired)?;
    Ok(session_response(user, expires_ms))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    user: String,
}

/// Logs anybody in under any name: only for demonstrations.
async fn log_in(State(state): State<Arc<ShopState>>, body: Body) -> Result<Response, ApiError> {
    if !state.options.demo_login {
        return Err(ApiError(Verdict::NotFound));
    }
    let bytes = to_bytes(body, MAX_LOGIN)
        .await
        .map_err(|_| Verdict::BadRequest)?;
    let Login { user } = serde_json::from_slice(&bytes).map_err(|_| Verdict::BadRequest)?;
    if !ids::is_user(&user) {
        return Err(ApiError(Verdict::BadRequest));
    }
    let expires_ms = now_ms() + session::SESSION_LIFE_MS;
    let token = session::sign(state.keyring.first(), &user, expires_ms);
    let cookie = format!(
        "{}={token}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax",
        session::COOKIE,
        session::SESSION_LIFE_MS / 1000
    );
    let mut cookie = HeaderValue::from_str(&cookie).map_err(|_| Verdict::BadRequest)?;
    // Keeps it out of any debug print of the headers.
    cookie.set_sensitive(true);
    let mut response = session_response(&user, expires_ms);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

fn session_response(user: &str, expires_ms: u64) -> Response {
    let body = serde_json::json!({ "user": user, "expires_ms": expires_ms });
    json_response(StatusCode::OK, body.to_string())
}
