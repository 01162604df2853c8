//! Logging in.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use seckill_core::ids;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;

use super::ConsoleState;
use super::auth::{COOKIE, refuse_foreign, session_id};
use super::currency::CurrencyView;
use super::error::ConsoleError;
use super::sessions::{By, Must, Session};
use super::{login_attempts, passwords, second_factor};
use crate::http::error::json_response;
use crate::now_ms;
use crate::store::Done;
use crate::store::accounts::Account;

/// Largest login body, in bytes.
const MAX_LOGIN: usize = 4096;
/// Passwords that are hashed at once, each in 19 MiB.
const HASHES_AT_ONCE: usize = 2;

/// `GET /ops/api/me`, for operators who are logged in.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new().route("/ops/api/me", get(me))
}

/// `POST /ops/api/login`, for everybody.
pub(super) fn open_router() -> Router<ConsoleState> {
    Router::new().route("/ops/api/login", post(log_in))
}

/// Limits how many passwords are hashed at once, so that logins take neither all
/// memory nor all cores.
#[derive(Debug, Clone)]
pub(super) struct HashLimit(Arc<Semaphore>);

impl Default for HashLimit {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HASHES_AT_ONCE)))
    }
}

impl HashLimit {
    /// Whether this is the password, within the limit.
    pub(super) async fn is_password(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, ConsoleError> {
        let _permit = self
            .0
            .acquire()
            .await
            .map_err(|e| ConsoleError::internal(&e))?;
        let check = move || passwords::is_password(&password, hash.as_deref());
        let checked = tokio::task::spawn_blocking(check).await;
        checked.map_err(|error| ConsoleError::internal(&error))
    }
}

/// A name and its password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    name: String,
    password: String,
    /// The code of the second factor, for accounts that have one.
    #[serde(default)]
    code: Option<String>,
}

/// Who is logged in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Me {
    /// The account's name.
    name: String,
    /// `operator` or `supervisor`.
    role: &'static str,
    /// The shop's time zone: its days begin and end at midnight there.
    time_zone: String,
    /// The shop's address as shoppers know it (`site_url`); null if that is not set.
    shop_url: Option<String>,
    /// The port of the shop's pages on this host, which counts without a `shop_url`.
    shop_port: u16,
    /// The currency of all amounts.
    currency: CurrencyView,
    /// To be sent as `X-Seckill-Csrf` with every writing request.
    csrf: String,
    /// What has to be done before anything else: `password` (choose a new one) or `factor`
    /// (set up a second factor).
    must: Option<&'static str>,
    /// How they logged in: `password`, or `oidc` (single sign-on).
    by: &'static str,
    /// Whether the account has a second factor.
    factor: bool,
}

impl Me {
    pub(super) fn response(
        session: &Session,
        state: &ConsoleState,
    ) -> Result<Response, ConsoleError> {
        let zone = state.config.time_zone.iana_name().unwrap_or("UTC");
        let me = Self {
            name: session.name.clone(),
            role: session.role.as_str(),
            time_zone: zone.to_owned(),
            shop_url: state.config.targets.site.clone(),
            shop_port: state.config.port,
            currency: CurrencyView::of(state.config.currency),
            csrf: session.csrf.clone(),
            must: session.must.map(Must::as_str),
            by: session.by.as_str(),
            factor: session.has_factor,
        };
        let body = serde_json::to_string(&me).map_err(|error| ConsoleError::internal(&error))?;
        Ok(json_response(StatusCode::OK, body))
    }
}

/// Logs in. The session id is always new, so that one that an attacker planted in the
/// browser is worth nothing; the session before it ends.
#[utoipa::path(post, path = "/ops/api/login", tag = "login", request_body = Login, responses(
    (status = 200, description = "Logged in; sets the cookie seckill_console", body = Me),
    (status = 401, description = "Name and password do not belong together"),
    (status = 403, description = "The account is disabled, or passwords are off here"),
    (status = 429, description = "Too many attempts"),
))]
pub(super) async fn log_in(
    State(state): State<ConsoleState>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ConsoleError> {
    refuse_foreign(&headers)?;
    let login = read_login(&headers, body).await?;
    let (name, password) = (login.name, login.password);
    let address = login_attempts::counted(address(&headers));
    let mut conn = state.redis.conn().await?;
    login_attempts::count(&mut conn, &name, &address).await?;
    // After it is counted: the refusal tells the name of the break-glass account from others.
    refuse_password(&state, &name)?;
    let account = state.store.get().await?.account(&name).await?;
    let hash = account
        .as_ref()
        .map(|account| account.password_hash.clone());
    let fits = state.hash_limit.is_password(password, hash).await?;
    let Some(account) = account.filter(|_| fits) else {
        tracing::warn!(name, address, "a login failed");
        return Err(ConsoleError::WrongLogin);
    };
    if account.is_disabled {
        return Err(ConsoleError::disabled());
    }
    if let Some(secret) = &account.totp {
        let code = login.code.as_deref().filter(|code| !code.trim().is_empty());
        let code = code.ok_or(ConsoleError::CodeRequired)?;
        let store = state.store.get().await?;
        let step = second_factor::step_of(secret, code, now_ms());
        let fits = match step {
            Some(step) => store.use_totp_step(&name, step).await?,
            None => false,
        };
        if !fits {
            tracing::warn!(name, address, "a login failed at its second factor");
            return Err(ConsoleError::WrongCode);
        }
    }
    login_attempts::reset(&mut conn, &name).await?;
    let enter = async {
        if let Some(earlier) = session_id(&headers) {
            state.sessions.end_id(earlier).await?;
        }
        begin(&state, &account, By::Password, &headers).await
    };
    let response = recorded(&state, &account, By::Password, &headers, enter).await?;
    tracing::info!(name, address, "logged in at the console");
    Ok(response)
}

/// Refuses a password where single sign-on alone is allowed, right or wrong.
fn refuse_password(state: &ConsoleState, name: &str) -> Result<(), ConsoleError> {
    let settings = state.config.console_oidc.as_ref().filter(|it| it.only);
    match settings.is_some_and(|it| it.break_glass.as_deref() != Some(name)) {
        false => Ok(()),
        true => Err(ConsoleError::Forbidden {
            code: "password_login_off",
            message: "Passwords are off at this console. Use single sign-on.".to_owned(),
        }),
    }
}

/// Lets somebody `enter`; the audit log says who and how before they do.
pub(super) async fn recorded<T>(
    state: &ConsoleState,
    account: &Account,
    by: By,
    headers: &HeaderMap,
    enter: impl Future<Output = Result<T, ConsoleError>>,
) -> Result<T, ConsoleError> {
    let mut detail = json!({ "by": by.as_str(), "address": from(headers) });
    if let Some(identity) = account.identity.as_ref().filter(|_| by == By::Oidc) {
        detail["issuer"] = identity.issuer.as_str().into();
        detail["subject"] = identity.subject.as_str().into();
    }
    let done = Done {
        action: "session.begin",
        target: account.name.clone(),
        detail,
    };
    let detail = done.detail.clone();
    let enter = async { Ok((enter.await?, Some(detail))) };
    state.recorded(&account.name, done, enter).await
}

/// The response that begins a session of this account.
pub(super) async fn begin(
    state: &ConsoleState,
    account: &Account,
    by: By,
    headers: &HeaderMap,
) -> Result<Response, ConsoleError> {
    let (id, session) = open_session(state, account, by, headers).await?;
    let mut response = Me::response(&session, state)?;
    put_cookie(&mut response, &cookie(&id, "", secure(headers)))?;
    Ok(response)
}

/// Begins a session of this account; its id and the session.
pub(super) async fn open_session(
    state: &ConsoleState,
    account: &Account,
    by: By,
    headers: &HeaderMap,
) -> Result<(String, Session), ConsoleError> {
    let must = match (by, account.must_change, &account.totp) {
        // What else a login takes is up to the provider.
        (By::Oidc, ..) => None,
        (_, true, _) => Some(Must::Password),
        (_, false, None) if state.config.console_second_factor => Some(Must::Factor),
        _ => None,
    };
    let agent = headers.get(header::USER_AGENT);
    let agent = agent.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let from = from(headers);
    state
        .sessions
        .begin(account, (must, by), (&from, agent))
        .await
}

/// From where a request came, for lists and the audit log.
fn from(headers: &HeaderMap) -> String {
    address(headers).map_or_else(|| "local".to_owned(), |it| it.to_string())
}

async fn read_login(headers: &HeaderMap, body: Body) -> Result<Login, ConsoleError> {
    let wrong = || {
        let right = r#"send JSON such as {"name":"li","password":"…"} as application/json"#;
        ConsoleError::BadRequest(format!("This is no login; {right}."))
    };
    // A form of another site cannot have this type.
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| {
            kind.split(';')
                .next()
                .is_some_and(|it| it.trim() == "application/json")
        });
    let bytes = to_bytes(body, MAX_LOGIN).await.map_err(|_| wrong())?;
    let login: Login = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    if !is_json || login.password.len() > passwords::MOST_PASSWORD {
        return Err(wrong());
    }
    // A text that cannot be a name has no account, and must not become part of a key.
    if !ids::is_account(&login.name) {
        return Err(ConsoleError::WrongLogin);
    }
    Ok(login)
}

/// Who is logged in.
#[utoipa::path(get, path = "/ops/api/me", tag = "login", responses(
    (status = 200, description = "Who is logged in", body = Me),
    (status = 401, description = "Nobody is logged in"),
))]
pub(super) async fn me(
    State(state): State<ConsoleState>,
    session: Session,
) -> Result<Response, ConsoleError> {
    Me::response(&session, &state)
}

/// The session cookie. It is sent to the API alone: neither the shop on the next port
/// nor a page's script sees it.
pub(super) fn cookie(id: &str, more: &str, secure: &str) -> String {
    format!("{COOKIE}={id}; Path=/ops/api; HttpOnly; SameSite=Strict{secure}{more}")
}

/// Whether the browser came by HTTPS, as an attribute of a cookie.
pub(super) fn secure(headers: &HeaderMap) -> &'static str {
    let proto = headers.get("x-forwarded-proto");
    match proto.is_some_and(|it| it == "https") {
        true => "; Secure",
        false => "",
    }
}

pub(super) fn put_cookie(response: &mut Response, cookie: &str) -> Result<(), ConsoleError> {
    let mut value =
        HeaderValue::from_str(cookie).map_err(|error| ConsoleError::internal(&error))?;
    // Keeps it out of any debug print of the headers.
    value.set_sensitive(true);
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(())
}

/// The address that nginx saw.
pub(super) fn address(headers: &HeaderMap) -> Option<std::net::IpAddr> {
    headers
        .get("x-real-ip")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
}
