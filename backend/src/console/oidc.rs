//! Single sign-on by OpenID Connect: the authorization code flow with PKCE (OpenID
//! Connect Core 1.0, 3.1; RFC 7636; RFC 9700).
//!
//! `GET /ops/api/login/oidc` sends the browser to the provider, and the provider sends it
//! back to the callback, which begins a session as a password does. Both respond with a
//! redirect, to fixed places of our own or the provider's; a refusal goes back to the
//! login page with its code, and has the sentence in its body.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::ConsoleState;
use super::auth::session_id;
use super::error::{ConsoleError, Part};
use super::sessions::By;
use super::{login, login_attempts};
use crate::http::error::json_response;

/// Logins under way.
mod pending;
/// Whose account it is.
mod person;
/// What the provider publishes and vouches for.
mod provider;

use pending::{Begun, WITHIN_S};
pub(super) use provider::Provider;
use provider::{CALLBACK, ProviderError};

/// Where a login begins.
const BEGIN: &str = "/ops/api/login/oidc";
/// The console's pages.
const PAGES: &str = "/console/";

/// `GET /ops/api/login` and both steps of single sign-on, for everybody.
pub(super) fn open_router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/login", get(ways))
        .route(BEGIN, get(begin))
        .route(CALLBACK, get(finish))
}

/// The ways to log in here.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Ways {
    /// Whose passwords work: `all`, `one` (the account for emergencies) or `none`.
    passwords: &'static str,
    /// Single sign-on, if there is one.
    oidc: Option<OidcWay>,
}

/// Single sign-on.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct OidcWay {
    /// The provider's name.
    name: String,
    /// Where a browser begins.
    url: String,
}

/// The parameters of a response of the provider's.
#[derive(Debug, Deserialize)]
pub(super) struct Answered {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// The ways to log in here.
#[utoipa::path(get, path = "/ops/api/login", tag = "login",
    responses((status = 200, body = Ways)))]
pub(super) async fn ways(State(state): State<ConsoleState>) -> Json<Ways> {
    let settings = state.config.console_oidc.as_ref();
    let passwords = match settings.filter(|it| it.only) {
        None => "all",
        Some(settings) if settings.break_glass.is_some() => "one",
        Some(_) => "none",
    };
    let oidc = settings.map(|settings| OidcWay {
        name: settings.name.clone(),
        url: format!("{}{BEGIN}", state.config.console_url),
    });
    Json(Ways { passwords, oidc })
}

/// Sends the browser to the provider.
#[utoipa::path(get, path = "/ops/api/login/oidc", tag = "login", responses(
    (status = 303, description = "To the provider; or back to the login page, with a refusal"),
))]
pub(super) async fn begin(State(state): State<ConsoleState>, headers: HeaderMap) -> Response {
    try_begin(&state, &headers).await.unwrap_or_else(sent_back)
}

async fn try_begin(state: &ConsoleState, headers: &HeaderMap) -> Result<Response, ConsoleError> {
    let provider = provider(state)?;
    let address = login_attempts::counted(login::address(headers));
    let mut conn = state.redis.conn().await?;
    login_attempts::count_address(&mut conn, &address).await?;
    let begun = Begun::new(headers, session_id(headers))?;
    let to = provider
        .login_url(&begun.state, begun.pending.proofs())
        .await;
    let to = to.map_err(|error| refusal(&error))?;
    begun.keep(&state.redis).await?;
    let mut response = redirect(json_response(StatusCode::OK, "{}".to_owned()), &to)?;
    // Not Strict: the browser has to send it when it comes back from the provider.
    let secure = secure(state);
    let (name, id) = (pending::COOKIE, &begun.browser);
    let cookie =
        format!("{name}={id}; Path={BEGIN}; Max-Age={WITHIN_S}; HttpOnly; SameSite=Lax{secure}");
    login::put_cookie(&mut response, &cookie)?;
    Ok(response)
}

/// Begins a session for the person for whom the provider vouches.
#[utoipa::path(get, path = "/ops/api/login/oidc/callback", tag = "login", responses(
    (status = 303, description = "To the console, logged in; or to the login page, with a refusal"),
))]
pub(super) async fn finish(
    State(state): State<ConsoleState>,
    headers: HeaderMap,
    said: Result<Query<Answered>, QueryRejection>,
) -> Response {
    let finished = match said {
        Ok(Query(said)) => try_finish(&state, &headers, said).await,
        // A parameter that is there twice belongs to no login of ours.
        Err(_) => Err(expired()),
    };
    finished.unwrap_or_else(sent_back)
}

async fn try_finish(
    state: &ConsoleState,
    headers: &HeaderMap,
    said: Answered,
) -> Result<Response, ConsoleError> {
    let provider = provider(state)?;
    let pending = pending::take(&state.redis, headers, said.state.as_deref()).await?;
    let pending = pending.ok_or_else(expired)?;
    let is_from = provider.is_from(said.iss.as_deref()).await;
    if !is_from.map_err(|error| refusal(&error))? {
        let iss = provider::said(&said.iss.unwrap_or_default());
        tracing::warn!(iss, "a login came back from another provider");
        return Err(ConsoleError::Forbidden {
            code: "other_provider",
            message: "This login came back from another provider than it was sent to, so nobody \
                      was logged in. Begin again from this page."
                .to_owned(),
        });
    }
    let Some(code) = said.code.filter(|_| said.error.is_none()) else {
        let error = said.error.unwrap_or_else(|| "no code".to_owned());
        let why = said.error_description.unwrap_or_default();
        let why = provider::said(&format!("{error}: {why}"));
        return Err(refusal(&ProviderError::Refused(why)));
    };
    let token = provider.redeem(&code, pending.proofs()).await;
    let (token, as_it_came) = token.map_err(|error| refusal(&error))?;
    let account = person::account(state, &provider.settings, &token).await?;
    let enter = async {
        if let Some(earlier) = &pending.earlier {
            state.sessions.end(earlier).await?;
        }
        let (id, session) = login::open_session(state, &account, By::Oidc, headers).await?;
        state.sessions.keep_id_token(&session, &as_it_came).await?;
        Ok(id)
    };
    let id = login::recorded(state, &account, By::Oidc, headers, enter).await?;
    let (name, subject) = (&account.name, &token.subject);
    tracing::info!(name, subject, "logged in at the console by single sign-on");
    let mut response = redirect(json_response(StatusCode::OK, "{}".to_owned()), PAGES)?;
    login::put_cookie(&mut response, &login::cookie(&id, "", secure(state)))?;
    Ok(response)
}

/// Where a browser goes to end a session at the provider too; `None` if there is no such
/// place, or the provider is away: the session here has ended in any case.
pub(super) async fn logout_url(state: &ConsoleState, id_token: Option<&str>) -> Option<String> {
    let provider = state.oidc.as_deref()?;
    let url = provider.logout_url(id_token).await;
    url.unwrap_or_else(|error| {
        tracing::warn!(%error, "somebody was logged out here, and not at the login provider");
        None
    })
}

fn provider(state: &ConsoleState) -> Result<&Provider, ConsoleError> {
    let none = "This console has no single sign-on; see console_oidc_issuer.";
    let provider = state.oidc.as_deref();
    provider.ok_or_else(|| ConsoleError::NotFound(none.to_owned()))
}

/// Whoever comes by single sign-on comes by the console's own address.
fn secure(state: &ConsoleState) -> &'static str {
    match state.config.console_url.starts_with("https://") {
        true => "; Secure",
        false => "",
    }
}

fn expired() -> ConsoleError {
    ConsoleError::Forbidden {
        code: "login_expired",
        message: format!(
            "This login was begun in another browser, more than {} min ago, or was finished \
             already. Begin again from this page.",
            WITHIN_S / 60
        ),
    }
}

/// What people are told; the log has the cause.
fn refusal(error: &ProviderError) -> ConsoleError {
    match error {
        ProviderError::Away(_) => {
            tracing::warn!(%error, "the console's login provider is away");
            ConsoleError::Away(Part::Provider)
        }
        ProviderError::Refused(_) => {
            tracing::warn!(%error, "the console's login provider refused a login");
            ConsoleError::Forbidden {
                code: "provider_refused",
                message: "The login provider refused this login. Try again; if that does not \
                          help, ask whoever manages accounts there."
                    .to_owned(),
            }
        }
        ProviderError::Token(_) => {
            tracing::error!(%error, "an ID token is not believed");
            ConsoleError::Forbidden {
                code: "provider_token",
                message: "What the login provider says of you cannot be verified, so nobody was \
                          logged in. The log of the ops role says why."
                    .to_owned(),
            }
        }
    }
}

/// A refusal, which the login page shows.
fn sent_back(error: ConsoleError) -> Response {
    let missing = match &error {
        ConsoleError::Away(part) => format!(".{}", part.as_str()),
        _ => String::new(),
    };
    let to = format!("{PAGES}?login={}{missing}", error.code());
    redirect(error.into_response(), &to).unwrap_or_else(ConsoleError::into_response)
}

fn redirect(mut response: Response, to: &str) -> Result<Response, ConsoleError> {
    let to = HeaderValue::from_str(to).map_err(|error| ConsoleError::internal(&error))?;
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, to);
    Ok(response)
}
