//! The hidden purchase URL (course §075):
//! `/buy/{round}/{product}/{expires}/{nonce}/{kid}.{digest}`.
//!
//! It is handed out from one minute before the start, to one buyer for one
//! product. The digest covers buyer, round, product, expiry and nonce, so that
//! none of them can be changed and nobody can use another buyer's URL.

use crate::ids::{self, Fields};
use crate::sale::window::{PATH_LEAD_MS, Window};
use crate::signing::keyring::{
    Digest, HMAC_TEXT_LEN, Key, Keyring, MAX_KID, MD5_TEXT_LEN, Purpose,
};

/// How long a URL is good for, counted from the later of "now" and the start, in ms.
pub const PATH_LIFE_MS: u64 = 600_000;
/// How far in the future the expiry of a URL of ours may lie, in ms: it is handed
/// out up to [`PATH_LEAD_MS`] before the start and good for [`PATH_LIFE_MS`] after it,
/// and clocks may differ by a minute.
pub const PATH_HORIZON_MS: u64 = PATH_LEAD_MS + PATH_LIFE_MS + 60_000;
/// Length of the nonce: 8 random bytes in hex.
pub const NONCE_LEN: usize = 16;
/// Longest expiry, in digits.
pub const EXPIRES_MAX_LEN: usize = 15;
/// What every hidden URL begins with.
pub const PREFIX: &str = "/buy/";

/// A purchase URL, taken apart but not yet verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HiddenPath<'a> {
    /// All of it.
    pub text: &'a str,
    /// The round's id.
    pub round: &'a str,
    /// The product's id.
    pub product: &'a str,
    /// Until when it is good, epoch milliseconds.
    pub expires_ms: u64,
    expires: &'a str,
    nonce: &'a str,
    kid: &'a str,
    digest: &'a str,
}

impl<'a> HiddenPath<'a> {
    /// Takes a request path apart; `None` if its shape is not that of a
    /// purchase URL. Looks at shape only: cheap, no allocation.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut fields = Fields::of(text.strip_prefix(PREFIX)?);
        let (round, product) = (fields.id(b'/')?, fields.id(b'/')?);
        let expires = fields.digits(EXPIRES_MAX_LEN, b'/')?;
        let nonce = fields.hex(NONCE_LEN, b'/')?;
        let kid = fields.word(MAX_KID, b'.')?;
        let digest = fields.rest();
        let well_formed =
            nonce.len() == NONCE_LEN && matches!(digest.len(), HMAC_TEXT_LEN | MD5_TEXT_LEN);
        let expires_ms = ids::number(expires)?;
        well_formed.then_some(Self {
            text,
            round,
            product,
            expires_ms,
            expires,
            nonce,
            kid,
            digest,
        })
    }

    /// Whether the URL was signed by a key of this ring for `user`.
    #[must_use]
    pub fn is_signed_for(&self, user: &str, ring: &Keyring, digest: Digest) -> bool {
        ring.find(self.kid).is_some_and(|key| {
            let fields = [user, self.round, self.product, self.expires, self.nonce];
            key.verify(Purpose::Path, digest, &fields, self.digest)
        })
    }
}

/// Until when a URL handed out at `now_ms` is good, epoch milliseconds.
#[must_use]
pub fn expiry(window: &Window, now_ms: u64) -> u64 {
    (now_ms.max(window.opens_ms) + PATH_LIFE_MS).min(window.ends_ms)
}

/// Writes a signed URL for `user`. The ids must be well formed ([`crate::ids`]).
#[must_use]
pub fn sign(
    key: &Key,
    digest: Digest,
    (round, product): (&str, &str),
    user: &str,
    expires_ms: u64,
    nonce: [u8; NONCE_LEN / 2],
) -> String {
    let expires = expires_ms.to_string();
    let nonce = format!("{:016x}", u64::from_be_bytes(nonce));
    let fields = [user, round, product, &expires, &nonce];
    let text = key.sign(Purpose::Path, digest, &fields);
    format!(
        "{PREFIX}{round}/{product}/{expires}/{nonce}/{}.{text}",
        key.kid()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signing::keyring::tests::ring;

    fn signed(digest: Digest, user: &str) -> String {
        sign(
            ring().first(),
            digest,
            ("1", "153"),
            user,
            1_700_000_000_000,
            [7; 8],
        )
    }

    #[test]
    fn a_url_is_good_for_its_buyer_and_nobody_else() {
        for digest in [Digest::HmacSha256, Digest::Md5] {
            let url = signed(digest, "li");
            let path = HiddenPath::parse(&url).unwrap();
            assert_eq!((path.round, path.product), ("1", "153"));
            assert!(path.is_signed_for("li", &ring(), digest));
            assert!(!path.is_signed_for("wang", &ring(), digest));
        }
    }

    #[test]
    fn one_digest_does_not_pass_for_the_other() {
        let url = signed(Digest::Md5, "li");
        assert!(
            !HiddenPath::parse(&url)
                .unwrap()
                .is_signed_for("li", &ring(), Digest::HmacSha256)
        );
    }

    #[test]
    fn a_url_outlives_the_key_change_but_not_the_removal_of_its_key() {
        let ring = ring();
        let key = ring.find("old").unwrap();
        let url = sign(key, Digest::HmacSha256, ("1", "153"), "li", 9, [1; 8]);
        let path = HiddenPath::parse(&url).unwrap();
        assert!(path.is_signed_for("li", &ring, Digest::HmacSha256));
        let only_new = Keyring::parse(&format!("new {}", "n".repeat(32))).unwrap();
        assert!(!path.is_signed_for("li", &only_new, Digest::HmacSha256));
    }

    #[test]
    fn a_url_ends_with_its_round() {
        let window = Window {
            opens_ms: 1_000_000,
            ends_ms: 1_300_000,
        };
        assert_eq!(expiry(&window, 950_000), 1_300_000);
        let long = Window {
            opens_ms: 1_000_000,
            ends_ms: 9_000_000,
        };
        assert_eq!(expiry(&long, 950_000), 1_600_000);
        assert_eq!(expiry(&long, 2_000_000), 2_600_000);
    }

    proptest! {
        /// Whatever single byte is changed, the URL is refused.
        #[test]
        fn no_byte_can_be_changed(index in 5usize..120, byte in 0x21u8..0x7f) {
            for digest in [Digest::HmacSha256, Digest::Md5] {
                let url = signed(digest, "li");
                let index = 5 + (index - 5) % (url.len() - 5);
                let mut bytes = url.clone().into_bytes();
                if bytes[index] == byte { continue; }
                bytes[index] = byte;
                let forged = String::from_utf8(bytes).unwrap();
                let good = HiddenPath::parse(&forged)
                    .is_some_and(|path| path.is_signed_for("li", &ring(), digest));
                prop_assert!(!good, "{forged}");
            }
        }

        /// Parsing takes anything without a panic, and what it takes it can verify.
        #[test]
        fn any_text_parses_or_is_refused(text in "(/buy/)?[ -~/]{0,160}") {
            if let Some(path) = HiddenPath::parse(&text) {
                prop_assert!(!path.is_signed_for("li", &ring(), Digest::HmacSha256));
            }
        }
    }
}
