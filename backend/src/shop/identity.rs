//! Who sends a request: the buyer for whom the edge vouches, or whom their session names.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use seckill_core::Verdict;
use seckill_core::gate::{self, Credential};
use seckill_core::signing::{identity, session};

use super::state::ShopState;
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
            Self::Session(token) => Credential::Cookie(*token),
        }
    }
}

/// Reads who sends a request. What an edge vouches for comes first: it has seen the
/// credentials of the request, and the cookies may be another shop's.
///
/// # Errors
/// `login_required`, if what vouches for the buyer is not valid.
pub(super) async fn caller<'a>(
    state: &ShopState,
    headers: &'a HeaderMap,
) -> Result<Caller<'a>, ApiError> {
    let Some(vouched) = headers.get(identity::HEADER) else {
        return Ok(Caller::Session(token(headers)));
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

/// The session cookie's value, unverified.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .find_map(|cookies| session::cookie(cookies.as_bytes(), session::COOKIE))
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
            let user = gate::identify(Credential::Cookie(token), &state.keyring, now_ms());
            user.map(Cow::Borrowed)
                .ok_or(ApiError(Verdict::LoginRequired))
        }
    }
}
