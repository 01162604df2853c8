//! Revoked sessions and tokens. Redis lists them; every edge and every purchase role mirrors
//! the list and follows its changes within a second (`lua/sessions/revoke.lua` describes
//! how). Nothing that was revoked is ever valid again: who was logged out by mistake logs in.

use redis::aio::MultiplexedConnection;
use seckill_core::ids;
use seckill_core::shared::bans::Ban;
use seckill_core::shared::bans::listed::Record;
use seckill_core::signing::jwt;
use seckill_core::signing::revocation::{CUT_LIFE_MS, JTI_LIFE_MS, Mark};
use seckill_core::signing::session::Session;

use crate::metrics;
use crate::redis::RedisLinkError;
use crate::redis::scripts;

/// The copy of the list that a purchase role has.
mod mirror;

pub use mirror::Mirror;

/// How far ahead of our clock a cut may be, in ms: as far as clocks may be apart.
const CLOCKS_MS: u64 = 60_000;

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// One session or token.
    Session(Mark),
    /// All that the buyer of this written id was issued before an instant.
    SessionsOf(String),
}

impl Named {
    /// What it is called in responses.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Named::Session(_) => "session",
            Named::SessionsOf(_) => "user",
        }
    }
}

/// A revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// What is revoked.
    pub named: Named,
    /// Now; of all of a buyer's, the instant, epoch milliseconds.
    pub at_ms: u64,
    /// When nothing is left that would have to be refused, epoch milliseconds.
    pub until_ms: u64,
}

/// Why nothing is revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// Redis is away or refuses.
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
    /// There are too many.
    #[error(
        "{} sessions are revoked already, and no more can be; those that have ended make room",
        scripts::sessions::MOST
    )]
    Full,
}

impl RevokeError {
    /// Whether it may be revoked all the same.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Redis(error) if error.may_have_happened())
    }
}

impl Revocation {
    /// Revokes one session of ours, or one token of the shop's login. Whoever signed it is not
    /// looked at. `None` if the text is neither, or a token that does not end.
    #[must_use]
    pub fn of_session(text: &str, now_ms: u64) -> Option<Self> {
        let (mark, until_ms) = match Session::parse(text) {
            Some(session) => (session.marks().own, session.expires_ms),
            None => jwt::to_revoke(text)?,
        };
        Some(Self {
            named: Named::Session(mark),
            at_ms: now_ms,
            until_ms,
        })
    }

    /// Revokes the token with this `jti`, which ends at `expires_ms`; without one, the revocation
    /// lasts for [`JTI_LIFE_MS`].
    #[must_use]
    pub fn of_jti(jti: &str, expires_ms: Option<u64>, now_ms: u64) -> Self {
        let until_ms = match expires_ms {
            Some(expires_ms) => expires_ms.saturating_add(jwt::CLOCKS_MS),
            None => now_ms + JTI_LIFE_MS,
        };
        Self {
            named: Named::Session(Mark::of_jti(jti)),
            at_ms: now_ms,
            until_ms,
        }
    }

    /// Revokes all that this buyer was issued before an instant: now, if it is not given. `None`
    /// if they are no written id, or the instant lies ahead or more than 30 days back.
    #[must_use]
    pub fn of_user(user: &str, before_ms: Option<u64>, now_ms: u64) -> Option<Self> {
        let at_ms = before_ms.unwrap_or(now_ms);
        let until_ms = at_ms.checked_add(CUT_LIFE_MS)?;
        let is_near = at_ms <= now_ms + CLOCKS_MS && now_ms < until_ms;
        (is_near && ids::is_user(user)).then(|| Self {
            named: Named::SessionsOf(user.to_owned()),
            at_ms,
            until_ms,
        })
    }

    fn ban(&self) -> Ban<'_> {
        match &self.named {
            Named::Session(mark) => Ban::Session(*mark),
            Named::SessionsOf(user) => Ban::SessionsOf {
                user,
                before_ms: self.at_ms,
            },
        }
    }
}

/// Revokes, until the session or token would have ended. The same again changes nothing.
///
/// # Errors
/// [`RevokeError`]. It may have taken effect if Redis did not reply; call it again.
pub async fn revoke(
    conn: &mut MultiplexedConnection,
    revocation: &Revocation,
    by: &str,
    now_ms: u64,
) -> Result<(), RevokeError> {
    if revocation.until_ms <= now_ms {
        // It has ended by itself.
        return Ok(());
    }
    let record = Record {
        expires_ms: Some(revocation.until_ms),
        at_ms: revocation.at_ms,
        by: by.to_owned(),
        reason: String::new(),
    };
    let call = scripts::sessions::revoke(&revocation.ban(), &record, now_ms);
    match call.run(conn).await.map_err(RedisLinkError::from)? {
        true => {
            metrics::SESSIONS_REVOKED.count();
            Ok(())
        }
        false => Err(RevokeError::Full),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_000_000_000;

    #[test]
    fn a_revocation_lasts_as_long_as_what_it_revokes() {
        let session = format!("li.{}-{NOW}.k1.digest", NOW + 500);
        let of_session = Revocation::of_session(&session, NOW).unwrap();
        assert_eq!(of_session.until_ms, NOW + 500);
        // Without its digest it is the same session.
        let cut = format!("li.{}-{NOW}.k1.", NOW + 500);
        assert_eq!(Revocation::of_session(&cut, NOW).unwrap(), of_session);
        let until = |expires_ms| Revocation::of_jti("1", expires_ms, NOW).until_ms - NOW;
        assert_eq!((until(Some(NOW + 1)), until(None)), (60_001, JTI_LIFE_MS));
        let of_user = Revocation::of_user("li", None, NOW).unwrap();
        assert_eq!((of_user.at_ms, of_user.until_ms), (NOW, NOW + CUT_LIFE_MS));
    }

    #[test]
    fn what_names_nothing_is_not_revoked() {
        for text in ["", "li", "a.b.c", "li.x.k1.d", "e30.e30.e30"] {
            assert_eq!(Revocation::of_session(text, NOW), None, "{text}");
        }
        for (user, before_ms) in [
            ("", None),
            ("a b", None),
            ("li", Some(NOW + CLOCKS_MS + 1)),
            ("li", Some(NOW - CUT_LIFE_MS)),
            ("li", Some(u64::MAX)),
        ] {
            assert_eq!(Revocation::of_user(user, before_ms, NOW), None, "{user}");
        }
    }
}
