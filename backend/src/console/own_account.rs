//! One's own account: the password, the second factor, and the sessions.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use redis::AsyncCommands as _;
use seckill_core::keys;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::{ConsoleError, FieldMistake};
use super::json_body::JsonBody;
use super::sessions::Session;
use super::{ConsoleState, login, login_attempts, passwords, second_factor};
use crate::console::extract::Path;
use crate::now_ms;
use crate::store::accounts::{Account, AccountChange, Role};
use crate::store::{Actor, Done};

/// For how long a second factor that is being set up waits for its first code, in seconds.
const SETTING_UP_S: u64 = 900;
/// Characters of a session's digest that name it in lists.
const NAMED_BY: usize = 16;

/// Everything under `/ops/api/me` but the login itself, and `/ops/api/sessions`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/me/password", post(password))
        .route("/ops/api/me/factor", post(begin_factor).delete(end_factor))
        .route("/ops/api/me/factor/confirm", post(confirm_factor))
        .route("/ops/api/sessions/{account}", get(sessions))
        .route(
            "/ops/api/sessions/{account}/{session}",
            axum::routing::delete(end_session),
        )
}

/// The password, for what takes more than a session.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmed {
    /// The account's password.
    password: String,
}

/// Another password.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// The one until now.
    password: String,
    /// The one from now on.
    new: String,
}

/// A code of the second factor.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    /// Six digits.
    code: String,
}

/// A second factor that is being set up.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct NewFactor {
    /// Its secret in Base32, to be typed into an app.
    secret: String,
    /// The same as a link.
    uri: String,
    /// The same as a QR code: its rows, `1` for dark.
    qr: Vec<String>,
}

/// A session of an account.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct SessionView {
    /// Names it in lists; nobody can use the session by it.
    id: String,
    /// When it began, epoch milliseconds.
    began_ms: u64,
    /// When it was last used, epoch milliseconds.
    used_ms: u64,
    /// The address from which the session was begun.
    address: String,
    /// The browser with which the session was begun.
    agent: String,
    /// How its owner logged in: `password`, or `oidc` (single sign-on).
    by: &'static str,
    /// Whether this request is part of it.
    is_this: bool,
}

/// Changes one's own password; other sessions end, this one goes on under a new id.
#[utoipa::path(post, path = "/ops/api/me/password", tag = "login", request_body = NewPassword,
    responses((status = 200, description = "Changed; sets a new cookie"),
        (status = 401, description = "The old password is wrong")))]
pub(super) async fn password(
    State(state): State<ConsoleState>,
    session: Session,
    headers: HeaderMap,
    JsonBody(sent): JsonBody<NewPassword>,
) -> Result<Response, ConsoleError> {
    let account = confirmed(&state, &session, sent.password.clone()).await?;
    if sent.new == sent.password {
        let message = "This is the password that you have; choose another one.".to_owned();
        return Err(mistake("new", "same_password", message));
    }
    let new = sent.new;
    let hashed = tokio::task::spawn_blocking(move || passwords::hash_password(&new)).await;
    let hash = hashed
        .map_err(|error| ConsoleError::internal(&error))?
        .map_err(|error| mistake("new", "password_length", format!("{error}.")))?;
    change(
        &state,
        &account,
        AccountChange::Password(&hash),
        "account.password",
    )
    .await?;
    go_on(&state, &account.name, &headers, &session).await
}

/// Begins to set up a second factor; it counts from its first code on.
#[utoipa::path(post, path = "/ops/api/me/factor", tag = "login", request_body = Confirmed,
    responses((status = 200, body = NewFactor)))]
pub(super) async fn begin_factor(
    State(state): State<ConsoleState>,
    session: Session,
    JsonBody(sent): JsonBody<Confirmed>,
) -> Result<Json<NewFactor>, ConsoleError> {
    confirmed(&state, &session, sent.password).await?;
    let secret = second_factor::new_secret()?;
    let mut conn = state.redis.conn().await?;
    let key = keys::console_totp(&session.digest);
    let () = conn.set_ex(key, &secret, SETTING_UP_S).await?;
    let uri = second_factor::uri(&secret, &session.name);
    let qr = second_factor::qr(&uri)?;
    Ok(Json(NewFactor { secret, uri, qr }))
}

/// Completes a second factor by its first code; other sessions end.
#[utoipa::path(post, path = "/ops/api/me/factor/confirm", tag = "login", request_body = Code,
    responses((status = 200, description = "It counts from now on; sets a new cookie"),
        (status = 401, description = "The code is wrong")))]
pub(super) async fn confirm_factor(
    State(state): State<ConsoleState>,
    session: Session,
    headers: HeaderMap,
    JsonBody(sent): JsonBody<Code>,
) -> Result<Response, ConsoleError> {
    let mut conn = state.redis.conn().await?;
    login_attempts::count(&mut conn, &session.name, "confirm").await?;
    let key = keys::console_totp(&session.digest);
    let secret: Option<String> = conn.get(&key).await?;
    let secret = secret.ok_or_else(|| ConsoleError::Conflict {
        code: "factor_expired",
        message: "Setting this up took too long. Begin again.".to_owned(),
        current: None,
    })?;
    let step = second_factor::step_of(&secret, &sent.code, now_ms());
    let step = step.ok_or(ConsoleError::WrongCode)?;
    let account = own(&state, &session).await?;
    change(
        &state,
        &account,
        AccountChange::Factor(&secret),
        "account.factor_on",
    )
    .await?;
    let store = state.store.get().await?;
    store.use_totp_step(&account.name, step).await?;
    let () = conn.del(&key).await?;
    login_attempts::reset(&mut conn, &session.name).await?;
    go_on(&state, &account.name, &headers, &session).await
}

/// Ends one's own second factor; other sessions end.
#[utoipa::path(delete, path = "/ops/api/me/factor", tag = "login", request_body = Confirmed,
    responses((status = 200, description = "It is off; sets a new cookie")))]
pub(super) async fn end_factor(
    State(state): State<ConsoleState>,
    session: Session,
    headers: HeaderMap,
    JsonBody(sent): JsonBody<Confirmed>,
) -> Result<Response, ConsoleError> {
    let account = confirmed(&state, &session, sent.password).await?;
    change(
        &state,
        &account,
        AccountChange::Factor(""),
        "account.factor_off",
    )
    .await?;
    go_on(&state, &account.name, &headers, &session).await
}

/// The sessions of an account: one's own, or for a supervisor anybody's.
#[utoipa::path(get, path = "/ops/api/sessions/{account}", tag = "accounts",
    responses((status = 200, body = Vec<SessionView>)))]
pub(super) async fn sessions(
    State(state): State<ConsoleState>,
    session: Session,
    Path(account): Path<String>,
) -> Result<Json<Vec<SessionView>>, ConsoleError> {
    may_see(&session, &account)?;
    let listed = state.sessions.list(&account).await?;
    let view = |it: super::sessions::Listed| SessionView {
        id: it.digest.chars().take(NAMED_BY).collect(),
        is_this: it.digest == session.digest,
        began_ms: it.began_ms,
        used_ms: it.used_ms,
        address: it.address,
        agent: it.agent,
        by: it.by.as_str(),
    };
    Ok(Json(listed.into_iter().map(view).collect()))
}

/// Ends a session.
#[utoipa::path(delete, path = "/ops/api/sessions/{account}/{session}", tag = "accounts",
    responses((status = 200, description = "It is ended"),
        (status = 404, description = "There is none")))]
pub(super) async fn end_session(
    State(state): State<ConsoleState>,
    session: Session,
    Path((account, id)): Path<(String, String)>,
) -> Result<Json<serde_json::Value>, ConsoleError> {
    may_see(&session, &account)?;
    let listed = state.sessions.list(&account).await?;
    let found = listed
        .into_iter()
        .find(|it| id.len() == NAMED_BY && it.digest.starts_with(&id));
    let found = found.ok_or_else(|| {
        ConsoleError::NotFound(format!("{account} has no session {id}; it may have ended."))
    })?;
    let done = Done {
        action: "session.end",
        target: account,
        detail: json!({ "began_ms": found.began_ms, "address": found.address }),
    };
    let detail = done.detail.clone();
    let end = async { Ok((state.sessions.end(&found.digest).await?, Some(detail))) };
    state.recorded(&session.name, done, end).await?;
    Ok(Json(json!({})))
}

fn may_see(session: &Session, account: &str) -> Result<(), ConsoleError> {
    match session.name == account || session.role == Role::Supervisor {
        true => Ok(()),
        false => Err(ConsoleError::SupervisorOnly),
    }
}

async fn own(state: &ConsoleState, session: &Session) -> Result<Account, ConsoleError> {
    let account = state.store.get().await?.account(&session.name).await?;
    account.ok_or(ConsoleError::LoginRequired)
}

/// One's own account, if this is its password. Attempts count as those of a login do: a
/// session that somebody left open is no way to guess the password.
async fn confirmed(
    state: &ConsoleState,
    session: &Session,
    password: String,
) -> Result<Account, ConsoleError> {
    let mut conn = state.redis.conn().await?;
    login_attempts::count(&mut conn, &session.name, "confirm").await?;
    let account = own(state, session).await?;
    let hash = Some(account.password_hash.clone());
    if password.len() > passwords::MOST_PASSWORD
        || !state.hash_limit.is_password(password, hash).await?
    {
        return Err(ConsoleError::Forbidden {
            code: "wrong_password",
            message: "This is not your password. Check it and try again.".to_owned(),
        });
    }
    login_attempts::reset(&mut conn, &session.name).await?;
    Ok(account)
}

async fn change(
    state: &ConsoleState,
    account: &Account,
    change: AccountChange<'_>,
    action: &'static str,
) -> Result<(), ConsoleError> {
    let done = Done {
        action,
        target: account.name.clone(),
        detail: json!({}),
    };
    let by = Actor::at_console(&account.name);
    let store = state.store.get().await?;
    let changed = store.change_account(&account.name, change, (&by, &done), now_ms());
    match changed.await? {
        true => Ok(()),
        false => Err(ConsoleError::LoginRequired),
    }
}

/// A new session in place of this one, which the change has ended.
async fn go_on(
    state: &ConsoleState,
    name: &str,
    headers: &HeaderMap,
    session: &Session,
) -> Result<Response, ConsoleError> {
    state.sessions.end(&session.digest).await?;
    let account = state.store.get().await?.account(name).await?;
    let account = account.ok_or(ConsoleError::LoginRequired)?;
    login::begin(state, &account, session.by, headers).await
}

fn mistake(field: &str, code: &'static str, message: String) -> ConsoleError {
    ConsoleError::Mistakes(vec![FieldMistake {
        field: field.to_owned(),
        code,
        message,
        values: Vec::new(),
        place: None,
    }])
}
