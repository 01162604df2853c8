//! `POST /api/session/revoke`: a server of the shop's revokes a session, a token, or all of
//! a buyer's; and the end of a session that somebody logs out of.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use seckill_core::signing::session::Session;
use seckill_core::{Verdict, ids};
use serde::Deserialize;

use super::signed_body;
use crate::edges::sessions::{Named, Revocation};
use crate::http::error::{ApiError, json_response};
use crate::now_ms;
use crate::shop::identity;
use crate::shop::state::ShopState;

/// Largest body, in bytes: a token has up to 8 KiB.
const MAX_BODY: usize = 16 * 1024;
/// Who revokes, in the list.
const BY_SERVER: &str = "server";
const BY_LOGOUT: &str = "logout";

/// What is to be revoked: exactly one of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// A session of ours, or a token.
    session: Option<String>,
    /// The `jti` of a token.
    jti: Option<String>,
    /// When that token ends.
    expires_ms: Option<u64>,
    /// A buyer, as the shop's login names them.
    user: Option<String>,
    /// Before when what is revoked of theirs was issued.
    issued_before_ms: Option<u64>,
}

impl Wanted {
    fn read(&self, now_ms: u64) -> Option<Revocation> {
        match (&self.session, &self.jti, &self.user) {
            (Some(text), None, None) if self.has_no_times() => Revocation::of_session(text, now_ms),
            (None, Some(jti), None) if self.issued_before_ms.is_none() && !jti.is_empty() => {
                Some(Revocation::of_jti(jti, self.expires_ms, now_ms))
            }
            (None, None, Some(user)) if self.expires_ms.is_none() => {
                let written = ids::user::write(user.as_bytes())?;
                Revocation::of_user(&written, self.issued_before_ms, now_ms)
            }
            _ => None,
        }
    }

    fn has_no_times(&self) -> bool {
        self.expires_ms.is_none() && self.issued_before_ms.is_none()
    }
}

/// Revokes what a server names, which signs the request as it signs one for a session.
pub(super) async fn revoke(
    State(state): State<Arc<ShopState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = signed_body(&state, &headers, body, MAX_BODY).await?;
    let wanted: Wanted = serde_json::from_slice(&bytes).map_err(|_| Verdict::BadRequest)?;
    let revocation = wanted.read(now_ms()).ok_or(Verdict::BadRequest)?;
    state
        .revoked
        .revoke(&revocation, BY_SERVER)
        .await
        .map_err(|error| {
            tracing::error!(%error, "a session is not revoked; whoever asked is told to try again");
            Verdict::Unavailable
        })?;
    let mut body = serde_json::json!({
        "revoked": revocation.named.as_str(),
        "until_ms": revocation.until_ms,
    });
    if matches!(revocation.named, Named::SessionsOf(_)) {
        body["issued_before_ms"] = revocation.at_ms.into();
    }
    Ok(json_response(StatusCode::OK, body.to_string()))
}

/// Revokes the session in the request's cookie, so that a copy of it is worth nothing; if
/// it is none of ours that is still good, there is nothing to be done.
pub(super) async fn end(state: &ShopState, headers: &HeaderMap) {
    let now_ms = now_ms();
    let Some(text) = identity::token(headers) else {
        return;
    };
    // Strangers must not fill the list with what nobody signed.
    let is_ours = Session::parse(text).is_some_and(|it| it.is_valid(&state.keyring, now_ms));
    if is_ours && let Some(revocation) = Revocation::of_session(text, now_ms) {
        state.revoked.revoke_surely(revocation, BY_LOGOUT).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_000_000_000;

    fn read(text: &str) -> Option<Named> {
        let wanted: Wanted = serde_json::from_str(text).ok()?;
        wanted.read(NOW).map(|revocation| revocation.named)
    }

    #[test]
    fn exactly_one_thing_is_revoked_by_what_fits_it() {
        let user = Named::SessionsOf("auth0%7C5f7c".to_owned());
        assert_eq!(read(r#"{"user":"auth0|5f7c"}"#), Some(user));
        assert!(read(r#"{"jti":"1","expires_ms":1795000001000}"#).is_some());
        assert!(read(r#"{"session":"li.1795000001000.k1.d"}"#).is_some());
        for wrong in [
            "{}",
            r#"{"user":""}"#,
            r#"{"jti":""}"#,
            r#"{"session":"li"}"#,
            r#"{"user":"li","jti":"1"}"#,
            r#"{"user":"li","expires_ms":1795000001000}"#,
            r#"{"user":"li","issued_before_ms":1795000061000}"#,
            r#"{"jti":"1","issued_before_ms":1795000000000}"#,
            r#"{"session":"li.1795000001000.k1.d","expires_ms":1795000001000}"#,
            r#"{"user":"li","all":true}"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
