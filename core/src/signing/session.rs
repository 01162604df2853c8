//! The buyer's session: `{user}.{expires}.{kid}.{digest}` in a cookie.
//!
//! Verified without I/O, since the gate must refuse strangers at the speed of
//! static files. The price: a single session cannot be revoked before it
//! expires; bans serve for that.

use crate::ids;
use crate::signing::keyring::{Digest, Key, Keyring, Purpose};

/// The cookie's name.
pub const COOKIE: &str = "seckill_session";
/// How long a session lasts, in ms: a day.
pub const SESSION_LIFE_MS: u64 = 86_400_000;

/// How long a session may last at most, in ms: 30 days.
pub const MAX_LIFE_MS: u64 = 30 * SESSION_LIFE_MS;

/// A session token, taken apart but not yet verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session<'a> {
    /// The user whom the token names.
    pub user: &'a str,
    /// Until when, epoch milliseconds.
    pub expires_ms: u64,
    expires: &'a str,
    kid: &'a str,
    digest: &'a str,
}

impl<'a> Session<'a> {
    /// Takes a token apart; `None` if its shape is wrong.
    #[must_use]
    pub fn parse(token: &'a str) -> Option<Self> {
        // From the right, since a user id may contain dots.
        let (rest, digest) = cut_last(token)?;
        let (rest, kid) = cut_last(rest)?;
        let (user, expires) = cut_last(rest)?;
        let expires_ms = expires.parse().ok()?;
        ids::is_user(user).then_some(Self {
            user,
            expires_ms,
            expires,
            kid,
            digest,
        })
    }

    /// Whether a key of this ring signed the token and it has not expired.
    #[must_use]
    pub fn is_valid(&self, ring: &Keyring, now_ms: u64) -> bool {
        now_ms < self.expires_ms && self.is_signed(Purpose::Session, ring)
    }

    /// Whether a key of this ring signed the token for this purpose.
    pub(super) fn is_signed(&self, purpose: Purpose, ring: &Keyring) -> bool {
        ring.find(self.kid).is_some_and(|key| {
            let fields = [self.user, self.expires];
            key.verify(purpose, Digest::HmacSha256, &fields, self.digest)
        })
    }
}

/// The texts before and after the last dot.
fn cut_last(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().rposition(|byte| byte == b'.')?;
    Some((&text[..at], &text[at + 1..]))
}

/// Writes a token for `user`, who must be well formed ([`ids::is_user`]).
#[must_use]
pub fn sign(key: &Key, user: &str, expires_ms: u64) -> String {
    sign_for(Purpose::Session, key, user, expires_ms)
}

/// The same for another purpose.
pub(super) fn sign_for(purpose: Purpose, key: &Key, user: &str, expires_ms: u64) -> String {
    let expires = expires_ms.to_string();
    let text = key.sign(purpose, Digest::HmacSha256, &[user, &expires]);
    format!("{user}.{expires}.{}.{text}", key.kid())
}

/// The value of cookie `name` in a `Cookie` header; a value that is not UTF-8 is empty,
/// which no session is. Other cookies in the header may hold any bytes.
#[must_use]
pub fn cookie<'a>(header: &'a [u8], name: &str) -> Option<&'a str> {
    let mut rest = header;
    loop {
        // Byte by byte, since a general search costs more on texts this short.
        let (pair, later) = match rest.iter().position(|byte| *byte == b';') {
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
