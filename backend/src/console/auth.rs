//! Authentication. Every request but the login passes [`guard`]: it finds the session,
//! and refuses requests that another site may have sent in an operator's name.
//!
//! Three things prevent forged requests, each enough by itself in a current browser:
//! the cookie is `SameSite=Strict`; a writing request must come from our own origin; and it
//! must carry the session's token in a header, which no form and no script of another
//! origin can set.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use seckill_core::signing::session::cookie;
use subtle::ConstantTimeEq as _;

use super::ConsoleState;
use super::error::ConsoleError;
use super::sessions::{Must, Session};
use crate::store::accounts::Role;

/// The cookie with the session's id.
pub const COOKIE: &str = "seckill_console";
/// The header with the session's token.
pub const CSRF_HEADER: &str = "x-seckill-csrf";

/// What is open to somebody who has to choose a password or set up a second factor first.
const OPEN_BEFORE: &[&str] = &[
    "/ops/api/me",
    "/ops/api/logout",
    "/ops/api/me/password",
    "/ops/api/me/factor",
    "/ops/api/me/factor/confirm",
];

/// The operator who is logged in; a handler that takes it needs a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The account's name.
    pub name: String,
    /// The account's role.
    pub role: Role,
}

/// A supervisor; a handler that takes it refuses everybody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor(pub Operator);

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = ConsoleError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ConsoleError> {
        let session = parts.extensions.get::<Session>();
        let session = session.ok_or(ConsoleError::LoginRequired)?;
        Ok(Operator {
            name: session.name.clone(),
            role: session.role,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Supervisor {
    type Rejection = ConsoleError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ConsoleError> {
        let operator = Operator::from_request_parts(parts, state).await?;
        match operator.role {
            Role::Supervisor => Ok(Self(operator)),
            Role::Operator => Err(ConsoleError::SupervisorOnly),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = ConsoleError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ConsoleError> {
        let session = parts.extensions.get::<Session>().cloned();
        session.ok_or(ConsoleError::LoginRequired)
    }
}

/// Passes a request on if its session is alive and it is not forged.
pub(super) async fn guard(
    State(state): State<ConsoleState>,
    mut request: Request,
    next: Next,
) -> Result<Response, ConsoleError> {
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if writes {
        refuse_foreign(request.headers())?;
    }
    let id = session_id(request.headers()).ok_or(ConsoleError::LoginRequired)?;
    let session = state.sessions.find(id).await?;
    if writes && !has_token(request.headers(), &session) {
        return Err(ConsoleError::Foreign);
    }
    if let Some(must) = session.must
        && !OPEN_BEFORE.contains(&request.uri().path())
    {
        return Err(before_anything(must));
    }
    request.extensions_mut().insert(session);
    Ok(next.run(request).await)
}

fn before_anything(must: Must) -> ConsoleError {
    let (code, message) = match must {
        Must::Password => (
            "password_change_required",
            "Somebody else knows your password. Choose a new one first.",
        ),
        Must::Factor => (
            "second_factor_required",
            "This console wants a second factor. Set it up first.",
        ),
    };
    ConsoleError::Forbidden {
        code,
        message: message.to_owned(),
    }
}

/// The session's id, as the browser sent it.
pub(super) fn session_id(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .find_map(|cookies| cookie(cookies.as_bytes(), COOKIE))
}

/// Refuses a request that a browser says comes from another origin. Programs that are
/// no browsers say nothing, and hold no cookie that another site could use.
///
/// A browser that sends `Sec-Fetch-Site` is believed, since no script can set it: it
/// compared the origins itself, whatever a proxy did to `Host` afterwards. Without it
/// (plain HTTP, old browsers) the `Origin` has to be the host that the browser asked,
/// `X-Forwarded-Host` if a proxy replaced it: another site cannot set that header
/// either, because the console answers no preflight request.
pub(super) fn refuse_foreign(headers: &HeaderMap) -> Result<(), ConsoleError> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let ours = match (headers.get("sec-fetch-site"), headers.get(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, None) => true,
        (None, Some(origin)) => {
            let authority = origin.to_str().ok().and_then(|it| it.split_once("://"));
            let hosts = [header::HOST, HeaderName::from_static("x-forwarded-host")];
            authority.is_some_and(|(_, authority)| {
                let is_it = |host: &str| authority.eq_ignore_ascii_case(host.trim());
                hosts.into_iter().filter_map(text).any(is_it)
            })
        }
    };
    if ours {
        Ok(())
    } else {
        Err(ConsoleError::Foreign)
    }
}

fn has_token(headers: &HeaderMap, session: &Session) -> bool {
    headers
        .get(CSRF_HEADER)
        .is_some_and(|token| bool::from(token.as_bytes().ct_eq(session.csrf.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_origin_may_write() {
        let is_ours = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            refuse_foreign(&headers).is_ok()
        };
        let host = ("host", "localhost:8081");
        assert!(is_ours(&[host, ("origin", "http://localhost:8081")]));
        assert!(is_ours(&[host]), "curl");
        assert!(is_ours(&[host, ("sec-fetch-site", "same-origin")]));
        // Behind a proxy that has another name for us.
        let origin = ("origin", "https://console.example.com");
        assert!(is_ours(&[host, origin, ("sec-fetch-site", "same-origin")]));
        let forwarded = ("x-forwarded-host", "console.example.com");
        assert!(is_ours(&[host, origin, forwarded]));
        assert!(!is_ours(&[host, origin]), "nobody vouches for it");
        assert!(!is_ours(&[
            host,
            forwarded,
            ("origin", "http://localhost:8081"),
            ("sec-fetch-site", "cross-site")
        ]));
        for foreign in [
            ("origin", "http://localhost:8080"),
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:8081.evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "none"),
        ] {
            assert!(!is_ours(&[host, foreign]), "{foreign:?}");
        }
    }
}
