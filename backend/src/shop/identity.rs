//! Who sends a request: the buyer for whom the edge vouches, or whom their session names.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use seckill_core::Verdict;
use seckill_core::gate::{self, Credential};
use seckill_core::signing::session::Session;
use seckill_core::signing::{identity, jwt, session};

use super::admission::single;
use super::state::ShopState;
use super::tokens::Tokens;
use crate::http::error::ApiError;
use crate::now_ms;

/// What a request says about its buyer.
pub(super) enum Caller<'a> {
    /// Verified here.
    Verified(Cow<'a, str>),
    /// The session cookie, if there is one; still to be verified.
    Session(Option<&'a str>),
}

impl Caller<'_> {
    /// The same for the gate's rules.
    pub(super) fn credential(&self) -> Credential<'_> {
        match self {
            Self::Verified(user) => Credential::Vouched(user),
            Self::Session(token) => Credential::Session(token.and_then(Session::parse)),
        }
    }
}

/// Reads who sends a request. What an edge vouches for comes first: it has seen the
/// credentials of the request, and the cookies may be another shop's.
///
/// # Errors
/// `login_required`, if what vouches for the buyer is not valid; `bad_request` for two
/// `Authorization` headers.
pub(super) async fn caller<'a>(
    state: &ShopState,
    headers: &'a HeaderMap,
) -> Result<Caller<'a>, ApiError> {
    let Some(vouched) = headers.get(identity::HEADER) else {
        // An edge refuses it too: others on the way may have read another one.
        single(headers, header::AUTHORIZATION.as_str())?;
        return Ok(match login_token(state, headers) {
            Some((tokens, text)) => {
                let (user, marks) = tokens.user(text).await.map_err(Verdict::from)?;
                state.revoked.read_once().await;
                state.revoked.check(&user, &marks, now_ms())?;
                Caller::Verified(Cow::Owned(user))
            }
            None => Caller::Session(token(headers)),
        });
    };
    let vouched = vouched.to_str().ok();
    match vouched.and_then(|text| identity::verify(text, &state.keyring, now_ms())) {
        Some(user) => Ok(Caller::Verified(Cow::Borrowed(user))),
        None => {
            tracing::warn!(
                "{} was not signed by an edge with our key ring within the last two minutes; \
                 compare the key rings and the clocks of edge and back end",
                identity::HEADER
            );
            Err(ApiError(Verdict::LoginRequired))
        }
    }
}

/// The token of the shop's own login, where such tokens are believed; unverified.
pub(super) fn login_token<'a>(
    state: &'a ShopState,
    headers: &'a HeaderMap,
) -> Option<(&'a Tokens, &'a str)> {
    let tokens = state.tokens.as_deref()?;
    let authorization = headers.get(header::AUTHORIZATION);
    let bearer = authorization.and_then(|value| jwt::bearer(value.as_bytes()));
    let text = bearer.or_else(|| {
        // A session of ours may stand where a token is looked for.
        cookie(headers, tokens.cookie()).filter(|text| jwt::is_token(text))
    })?;
    Some((tokens, text))
}

/// The session cookie's value, unverified.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, session::COOKIE)
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .find_map(|cookies| session::cookie(cookies.as_bytes(), name))
}

/// The written id of the buyer who sends a request, verified.
///
/// # Errors
/// `login_required`, if nobody is logged in, or what says so is not valid.
pub(super) async fn buyer<'a>(
    state: &ShopState,
    headers: &'a HeaderMap,
) -> Result<Cow<'a, str>, ApiError> {
    match caller(state, headers).await? {
        Caller::Verified(user) => Ok(user),
        Caller::Session(token) => {
            let session = Credential::Session(token.and_then(Session::parse));
            let user = gate::identify(session, &state.keyring, now_ms())?;
            state.revoked.read_once().await;
            refuse_revoked(state, token, now_ms())?;
            Ok(Cow::Borrowed(user))
        }
    }
}

/// Refuses a verified session that is known to be revoked.
///
/// # Errors
/// `login_required`.
pub(super) fn refuse_revoked(
    state: &ShopState,
    token: Option<&str>,
    now_ms: u64,
) -> Result<(), Verdict> {
    match token.and_then(Session::parse) {
        Some(session) => state.revoked.check(session.user, &session.marks(), now_ms),
        None => Err(Verdict::LoginRequired),
    }
}
