//! `/api/session`: who is logged in, and the demo login.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use seckill_core::signing::identity as vouched;
use seckill_core::signing::jwt::Refusal;
use seckill_core::signing::session;
use seckill_core::signing::session::Session;
use seckill_core::{Verdict, ids};
use serde::Deserialize;

use super::identity::{self, Caller};
use super::state::ShopState;
use super::tokens::NoUser;
use crate::http::body::refuse_body;
use crate::http::error::{ApiError, json_response};
use crate::now_ms;

/// Largest login body, in bytes.
const MAX_LOGIN: usize = 1024;

/// `GET /api/session` and `POST /api/session`.
pub(super) fn router() -> Router<Arc<ShopState>> {
    Router::new().route("/api/session", get(show).post(log_in))
}

/// Who is logged in, and until when.
async fn show(
    State(state): State<Arc<ShopState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    if !headers.contains_key(vouched::HEADER)
        && let Some((tokens, text)) = identity::login_token(&state, &headers)
        && let Err(NoUser::Refused(refusal)) = tokens.user(text).await
    {
        return Ok(refused(refusal));
    }
    let user = identity::buyer(&state, &headers).await?;
    let expires_ms = match identity::caller(&state, &headers).await? {
        // The login that nginx asked knows until when.
        Caller::Verified(_) => None,
        Caller::Session(token) => token.and_then(Session::parse).map(|it| it.expires_ms),
    };
    Ok(session_response(&user, expires_ms))
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
    let user = ids::user::write(user.as_bytes()).ok_or(Verdict::BadRequest)?;
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
    let mut response = session_response(&user, Some(expires_ms));
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Says why a token names nobody, for those who set up a login.
fn refused(refusal: Refusal) -> Response {
    let body = serde_json::json!({
        "code": Verdict::LoginRequired.code(),
        "reason": refusal.code(),
        "message": format!("Log in again: {refusal}."),
    });
    json_response(StatusCode::UNAUTHORIZED, body.to_string())
}

fn session_response(user: &str, expires_ms: Option<u64>) -> Response {
    let body = serde_json::json!({ "user": ids::user::name(user), "expires_ms": expires_ms });
    json_response(StatusCode::OK, body.to_string())
}
