//! The buyer's session: `{user}.{expires}-{issued}.{kid}.{digest}` in a cookie. `-{issued}`
//! may be missing.
//!
//! Verified without I/O, since the gate must refuse strangers at the speed of
//! static files. Those few that are revoked before they expire are in a list that every
//! edge mirrors ([`super::revocation`]).

use crate::ids;
use crate::signing::keyring::{Digest, Key, Keyring, Purpose};
use crate::signing::revocation::{self, Mark, Marks};

/// The cookie's name.
pub const COOKIE: &str = "seckill_session";
/// How long a session lasts, in ms: a day.
pub const SESSION_LIFE_MS: u64 = 86_400_000;

/// How long a session may last at most, in ms: 30 days, for which all of a buyer's can be
/// revoked.
pub const MAX_LIFE_MS: u64 = revocation::CUT_LIFE_MS;

/// A session token, taken apart but not yet verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session<'a> {
    /// All of the token.
    pub text: &'a str,
    /// The user whom the token names.
    pub user: &'a str,
    /// Until when, epoch milliseconds.
    pub expires_ms: u64,
    /// When it was issued, epoch milliseconds; `None` if it does not say.
    pub issued_ms: Option<u64>,
    /// Both as they are written.
    times: &'a str,
    kid: &'a str,
    digest: &'a str,
}

impl<'a> Session<'a> {
    /// Takes a token apart; `None` if its shape is wrong.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        // From the right, since a user id may contain dots. The digest may be cut off: what
        // is to be revoked is named without it.
        let (rest, digest) = cut_last(text)?;
        let (rest, kid) = cut_last(rest)?;
        let (user, times) = cut_last(rest)?;
        let (expires_ms, issued_ms) = match memchr::memchr(b'-', times.as_bytes()) {
            Some(at) => {
                let (expires, issued) = (&times[..at], &times[at + 1..]);
                (ids::number(expires)?, Some(ids::number(issued)?))
            }
            None => (ids::number(times)?, None),
        };
        ids::is_user(user).then_some(Self {
            text,
            user,
            expires_ms,
            issued_ms,
            times,
            kid,
            digest,
        })
    }

    /// Whether a key of this ring signed the token and it has not expired.
    #[must_use]
    pub fn is_valid(&self, ring: &Keyring, now_ms: u64) -> bool {
        self.is_current(now_ms) && self.is_signed(Purpose::Session, ring)
    }

    /// Whether it has not expired.
    #[must_use]
    pub fn is_current(&self, now_ms: u64) -> bool {
        now_ms < self.expires_ms
    }

    /// Whether a key of this ring signed the token for this purpose.
    pub(super) fn is_signed(&self, purpose: Purpose, ring: &Keyring) -> bool {
        ring.find(self.kid).is_some_and(|key| {
            let fields = [self.user, self.times];
            key.verify(purpose, Digest::HmacSha256, &fields, self.digest)
        })
    }

    /// The fingerprints by which it may be revoked: all that is signed, whichever key signed it.
    #[must_use]
    pub fn marks(&self) -> Marks {
        Marks {
            own: Mark::of_session(self.user, self.times),
            jti: None,
            issued_ms: self.issued_ms,
        }
    }
}

/// The texts before and after the last dot.
fn cut_last(text: &str) -> Option<(&str, &str)> {
    let at = memchr::memrchr(b'.', text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// Writes a token for `user`, who must be well formed ([`ids::is_user`]), which does not
/// say when it was issued.
#[must_use]
pub fn sign(key: &Key, user: &str, expires_ms: u64) -> String {
    sign_for(Purpose::Session, key, user, expires_ms)
}

/// The same of a session that says when it was issued, so that those issued before it can
/// be revoked without it.
#[must_use]
pub fn issue(key: &Key, user: &str, issued_ms: u64, expires_ms: u64) -> String {
    let times = format!("{expires_ms}-{issued_ms}");
    sign_times(Purpose::Session, key, user, &times)
}

/// The same for another purpose.
pub(super) fn sign_for(purpose: Purpose, key: &Key, user: &str, expires_ms: u64) -> String {
    sign_times(purpose, key, user, &expires_ms.to_string())
}

fn sign_times(purpose: Purpose, key: &Key, user: &str, times: &str) -> String {
    let text = key.sign(purpose, Digest::HmacSha256, &[user, times]);
    format!("{user}.{times}.{}.{text}", key.kid())
}

/// The value of cookie `name` in a `Cookie` header; a value that is not UTF-8 is empty,
/// which no session is. Other cookies in the header may hold any bytes.
#[must_use]
pub fn cookie<'a>(header: &'a [u8], name: &str) -> Option<&'a str> {
    let mut rest = header;
    loop {
        let (pair, later) = match memchr::memchr(b';', rest) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let value = pair.trim_ascii_start().strip_prefix(name.as_bytes());
        if let Some(value) = value.and_then(|value| value.strip_prefix(b"=")) {
            return Some(std::str::from_utf8(value.trim_ascii_end()).unwrap_or_default());
        }
        rest = later?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signing::keyring::tests::ring;

    #[test]
    fn a_session_is_valid_until_its_last_millisecond() {
        let token = sign(ring().first(), "li.wei@example.com", 1_000);
        let session = Session::parse(&token).unwrap();
        assert_eq!(session.user, "li.wei@example.com");
        assert!(session.is_valid(&ring(), 999));
        assert!(!session.is_valid(&ring(), 1_000));
    }

    #[test]
    fn a_session_that_says_when_it_was_issued_is_as_good_and_has_a_mark_of_its_own() {
        let token = issue(ring().first(), "li-1.wei", 500, 1_000);
        let session = Session::parse(&token).unwrap();
        assert_eq!((session.user, session.expires_ms), ("li-1.wei", 1_000));
        assert!(session.is_valid(&ring(), 999) && !session.is_valid(&ring(), 1_000));
        let silent = sign(ring().first(), "li-1.wei", 1_000);
        let silent = Session::parse(&silent).unwrap();
        assert_ne!(session.marks().own, silent.marks().own);
        assert_eq!(session.marks().issued_ms, Some(500));
        assert_eq!(silent.marks().issued_ms, None);
        // Another key signs the same session: it is revoked with it.
        let keys = ring();
        let others = keys.keys().map(|key| issue(key, "li-1.wei", 500, 1_000));
        for other in others {
            assert_eq!(Session::parse(&other).unwrap().marks(), session.marks());
        }
        for wrong in [
            "li.1000-.k2.x",
            "li.-1.k2.x",
            "li.1-2-3.k2.x",
            "li.1-x.k2.x",
        ] {
            assert_eq!(Session::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let own = |header: &'static [u8]| cookie(header, COOKIE);
        assert_eq!(own(b"a=1; seckill_session=x.y; b=2"), Some("x.y"));
        assert_eq!(own(b"xseckill_session=1"), None);
        assert_eq!(own(b""), None);
    }

    #[test]
    fn bytes_in_cookies_of_others_do_not_matter() {
        let own = |header: &'static [u8]| cookie(header, COOKIE);
        assert_eq!(own(b"name=\xfc; seckill_session=x.y"), Some("x.y"));
        assert_eq!(
            own(b"\xff\xfe; ; =; seckill_session=x.y; \xe9=1"),
            Some("x.y")
        );
        assert_eq!(own(b"seckill_session=\xff"), Some(""));
    }

    proptest! {
        #[test]
        fn no_byte_can_be_changed(index in 0usize..80, byte in 0x21u8..0x7f) {
            let token = sign(ring().first(), "li", 1_000_000);
            let index = index % token.len();
            let mut bytes = token.into_bytes();
            if bytes[index] != byte {
                bytes[index] = byte;
                let forged = String::from_utf8(bytes).unwrap();
                let good = Session::parse(&forged).is_some_and(|s| s.is_valid(&ring(), 0));
                prop_assert!(!good, "{}", forged);
            }
        }
    }
}
