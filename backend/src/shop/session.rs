//! `/api/session`: who is logged in, and the demo login.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use seckill_core::orders::payment::{self, SignatureError};
use seckill_core::signing::identity as vouched;
use seckill_core::signing::revocation::Marks;
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
/// Largest body of a server that wants a session, in bytes.
const MAX_WANTED: usize = 4096;
/// The header with such a server's signature.
const SIGNATURE: &str = "x-seckill-signature";

/// Revokes sessions.
mod revoking;

/// `GET /api/session` and `POST /api/session`.
pub(super) fn router() -> Router<Arc<ShopState>> {
    Router::new()
        .route("/api/session", get(show).post(log_in))
        .route("/api/session/way", get(way))
        .route("/api/session/logout", post(log_out))
        .route("/api/session/mint", post(mint))
        .route("/api/session/revoke", post(revoking::revoke))
}

/// Who is logged in, and until when.
async fn show(
    State(state): State<Arc<ShopState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    if !headers.contains_key(vouched::HEADER)
        && let Some(response) = why_nobody(&state, &headers).await
    {
        return Ok(response);
    }
    let user = identity::buyer(&state, &headers).await?;
    let expires_ms = match identity::caller(&state, &headers).await? {
        // The login that nginx asked knows until when.
        Caller::Verified(_) => None,
        Caller::Session(token) => token.and_then(Session::parse).map(|it| it.expires_ms),
    };
    Ok(session_response(&user, expires_ms))
}

/// Why the session or token of a request names nobody, for those who set up a login; `None`
/// if it names somebody, or there is none.
async fn why_nobody(state: &ShopState, headers: &HeaderMap) -> Option<Response> {
    let now_ms = now_ms();
    state.revoked.read_once().await;
    let revoked = |user: &str, marks: &Marks| {
        state.revoked.check(user, marks, now_ms).err()?;
        let why = "the shop has ended this session";
        Some(refused("session_revoked", why))
    };
    if let Some((tokens, text)) = identity::login_token(state, headers) {
        return match tokens.user(text).await {
            Ok((user, marks)) => revoked(&user, &marks),
            Err(NoUser::Refused(refusal)) => Some(refused(refusal.code(), &refusal.to_string())),
            Err(NoUser::NoKeys) => None,
        };
    }
    let session = Session::parse(identity::token(headers)?)?;
    let is_valid = session.is_valid(&state.keyring, now_ms);
    is_valid.then(|| revoked(session.user, &session.marks()))?
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
    let (token, expires_ms) = begin(&state, &user, session::SESSION_LIFE_MS);
    let cookie = cookie(&state, &token, session::SESSION_LIFE_MS / 1000)?;
    let mut response = session_response(&user, Some(expires_ms));
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// A session that begins now, and when it expires.
fn begin(state: &ShopState, user: &str, life_ms: u64) -> (String, u64) {
    let now_ms = now_ms();
    let expires_ms = now_ms + life_ms;
    let issued_ms = state.revoked.issued_ms(user, now_ms);
    let token = session::issue(state.keyring.signing(), user, issued_ms, expires_ms);
    (token, expires_ms)
}

/// The session cookie with this value, for so long.
fn cookie(state: &ShopState, token: &str, seconds: u64) -> Result<HeaderValue, ApiError> {
    let attributes = state.names.cookie_attributes();
    let cookie = format!(
        "{}={token}; Max-Age={seconds}; {attributes}",
        session::COOKIE
    );
    let mut cookie = HeaderValue::from_str(&cookie).map_err(|_| Verdict::BadRequest)?;
    // Keeps it out of any debug print of the headers.
    cookie.set_sensitive(true);
    Ok(cookie)
}

/// Ends the session, in this browser and wherever a copy of it is.
async fn log_out(
    State(state): State<Arc<ShopState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    revoking::end(&state, &headers).await;
    let mut response = json_response(StatusCode::OK, r#"{"user":null}"#.to_owned());
    let ended = cookie(&state, "", 0)?;
    response.headers_mut().insert(header::SET_COOKIE, ended);
    Ok(response)
}

/// How a shopper logs in here, for the pages. The same for everybody, so that it may be
/// cached for a minute.
async fn way(State(state): State<Arc<ShopState>>) -> Response {
    let names = &state.names;
    let way = match (&names.login_url, state.options.demo_login) {
        (Some(_), _) => "page",
        (None, true) => "demo",
        (None, false) => "none",
    };
    let body = serde_json::json!({
        "way": way,
        "login_url": names.login_url,
        "logout_url": names.logout_url,
    });
    let mut response = json_response(StatusCode::OK, body.to_string());
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=60"),
    );
    response
}

/// What a server of the shop's wants a session for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    user: String,
    seconds: Option<u64>,
}

/// Begins a session for a server of the shop's, which signs what it wants.
async fn mint(
    State(state): State<Arc<ShopState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = signed_body(&state, &headers, body, MAX_WANTED).await?;
    let Wanted { user, seconds } =
        serde_json::from_slice(&bytes).map_err(|_| Verdict::BadRequest)?;
    let seconds = seconds.unwrap_or(session::SESSION_LIFE_MS / 1000);
    if !(1..=session::MAX_LIFE_MS / 1000).contains(&seconds) {
        return Err(ApiError(Verdict::BadRequest));
    }
    let written = ids::user::write(user.as_bytes()).ok_or(Verdict::BadRequest)?;
    let (token, expires_ms) = begin(&state, &written, seconds * 1000);
    let cookie = cookie(&state, &token, seconds)?;
    let body = serde_json::json!({
        "user": user,
        "session": token,
        "expires_ms": expires_ms,
        "set_cookie": cookie.to_str().unwrap_or_default(),
    });
    Ok(json_response(StatusCode::OK, body.to_string()))
}

/// What a server of the shop's sends, which signs it with one of `login_keys`.
///
/// # Errors
/// `not_found` without such keys; `bad_signature` or `expired` if it is not signed so.
async fn signed_body(
    state: &ShopState,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Bytes, Verdict> {
    let keys = state.login_keys.as_ref().ok_or(Verdict::NotFound)?;
    let bytes = to_bytes(body, most)
        .await
        .map_err(|_| Verdict::BadRequest)?;
    let signature = headers.get(SIGNATURE).and_then(|text| text.to_str().ok());
    payment::verify(keys, signature.unwrap_or_default(), &bytes, now_ms()).map_err(|distrust| {
        tracing::warn!(
            ?distrust,
            "a server that begins or ends sessions is refused"
        );
        match distrust {
            SignatureError::Invalid => Verdict::BadSignature,
            SignatureError::Expired => Verdict::Expired,
        }
    })?;
    Ok(bytes)
}

/// Says why a session or token names nobody.
fn refused(reason: &str, why: &str) -> Response {
    let body = serde_json::json!({
        "code": Verdict::LoginRequired.code(),
        "reason": reason,
        "message": format!("Log in again: {why}."),
    });
    json_response(StatusCode::UNAUTHORIZED, body.to_string())
}

fn session_response(user: &str, expires_ms: Option<u64>) -> Response {
    let body = serde_json::json!({ "user": ids::user::name(user), "expires_ms": expires_ms });
    json_response(StatusCode::OK, body.to_string())
}
