//! The captcha pass: `{expires}.{nonce}.{kid}.{digest}` in a header of the purchase.
//!
//! A buyer earns one by solving a puzzle. Buyer, round and product are not written
//! in it: they are in the request, and the digest covers them, so that a pass is
//! useless to other buyers and for other products. The nonce makes every pass
//! unique, so that it can be spent once.

use crate::ids::Fields;
use crate::signing::hidden_path::{EXPIRES_MAX_LEN, NONCE_LEN};
use crate::signing::keyring::{Digest, HMAC_TEXT_LEN, Key, Keyring, MAX_KID, Purpose};

/// The header that carries it, in lower case.
pub const HEADER: &str = "x-seckill-captcha";
/// How long a pass is good, in ms: enough to click, too short to sell it on.
pub const PASS_LIFE_MS: u64 = 120_000;
/// By how much clocks may disagree, in ms.
pub const CLOCKS_MS: u64 = 60_000;
/// How far in the future the expiry of a pass of ours may lie, in ms.
pub const PASS_HORIZON_MS: u64 = PASS_LIFE_MS + CLOCKS_MS;

/// A captcha pass, taken apart but not yet verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass<'a> {
    /// Until when it is good, epoch milliseconds.
    pub expires_ms: u64,
    /// Makes the pass unique: 16 hex digits.
    pub nonce: &'a str,
    expires: &'a str,
    kid: &'a str,
    digest: &'a str,
}

/// Whether a purchase needs a pass, and the one that the request brought.
#[derive(Debug, Clone, Copy)]
pub enum Captcha<'a> {
    /// No pass is needed.
    Off,
    /// A pass is needed: the header of the request, still to be verified.
    Wanted(Option<&'a str>),
}

impl<'a> Captcha<'a> {
    /// From the configuration (`is_on`) and the request's header.
    #[must_use]
    pub fn new(is_on: bool, header: Option<&'a str>) -> Self {
        if is_on {
            Self::Wanted(header)
        } else {
            Self::Off
        }
    }
}

impl<'a> Pass<'a> {
    /// Takes a pass apart; `None` if its shape is wrong.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut fields = Fields::of(text);
        let expires = fields.digits(EXPIRES_MAX_LEN, b'.')?;
        let nonce = fields.hex(NONCE_LEN, b'.')?;
        let kid = fields.word(MAX_KID, b'.')?;
        let digest = fields.rest();
        let well_formed = nonce.len() == NONCE_LEN && digest.len() == HMAC_TEXT_LEN;
        let expires_ms = expires.parse().ok()?;
        well_formed.then_some(Self {
            expires_ms,
            nonce,
            expires,
            kid,
            digest,
        })
    }

    /// Whether a key of this ring signed it for `user` and this product, and it
    /// has not expired. Whether it was spent is not checked here.
    #[must_use]
    pub fn is_good_for(
        &self,
        user: &str,
        (round, product): (&str, &str),
        ring: &Keyring,
        now_ms: u64,
    ) -> bool {
        now_ms < self.expires_ms
            && self.expires_ms <= now_ms.saturating_add(PASS_HORIZON_MS)
            && ring.find(self.kid).is_some_and(|key| {
                let fields = [user, round, product, self.expires, self.nonce];
                key.verify(Purpose::Captcha, Digest::HmacSha256, &fields, self.digest)
            })
    }
}

/// Writes a pass for `user`. The ids must be well formed ([`crate::ids`]).
#[must_use]
pub fn sign(
    key: &Key,
    (round, product): (&str, &str),
    user: &str,
    expires_ms: u64,
    nonce: [u8; NONCE_LEN / 2],
) -> String {
    let expires = expires_ms.to_string();
    let nonce = format!("{:016x}", u64::from_be_bytes(nonce));
    let fields = [user, round, product, &expires, &nonce];
    let text = key.sign(Purpose::Captcha, Digest::HmacSha256, &fields);
    format!("{expires}.{nonce}.{}.{text}", key.kid())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signing::hidden_path;
    use crate::signing::keyring::tests::ring;

    const ITEM: (&str, &str) = ("1", "153");
    const NOW: u64 = 1_700_000_000_000;

    fn signed(user: &str) -> String {
        sign(ring().first(), ITEM, user, NOW + PASS_LIFE_MS, [7; 8])
    }

    fn is_good(text: &str, user: &str, item: (&str, &str), now_ms: u64) -> bool {
        Pass::parse(text).is_some_and(|pass| pass.is_good_for(user, item, &ring(), now_ms))
    }

    #[test]
    fn a_pass_is_good_for_its_buyer_and_product_and_nobody_and_nothing_else() {
        let pass = signed("li");
        assert!(is_good(&pass, "li", ITEM, NOW));
        assert!(!is_good(&pass, "wang", ITEM, NOW));
        assert!(!is_good(&pass, "li", ("1", "154"), NOW));
        assert!(!is_good(&pass, "li", ("2", "153"), NOW));
        // Fields do not run into each other.
        assert!(!is_good(&pass, "li", ("11", "53"), NOW));
    }

    #[test]
    fn a_pass_is_good_until_its_last_millisecond_and_never_for_long() {
        let pass = signed("li");
        assert!(is_good(&pass, "li", ITEM, NOW + PASS_LIFE_MS - 1));
        assert!(!is_good(&pass, "li", ITEM, NOW + PASS_LIFE_MS));
        let far = sign(
            ring().first(),
            ITEM,
            "li",
            NOW + PASS_HORIZON_MS + 1,
            [7; 8],
        );
        assert!(!is_good(&far, "li", ITEM, NOW));
        assert!(is_good(&far, "li", ITEM, NOW + 1));
    }

    #[test]
    fn a_hidden_url_does_not_pass_for_a_pass() {
        let key_ring = ring();
        let key = key_ring.first();
        let url = hidden_path::sign(key, Digest::HmacSha256, ITEM, "li", NOW + 1, [7; 8]);
        let parts: Vec<&str> = url.split('/').collect();
        assert!(!is_good(&parts[4..].join("."), "li", ITEM, NOW));
    }

    #[test]
    fn a_pass_outlives_a_key_change_but_not_the_removal_of_its_key() {
        let old = ring();
        let pass = sign(old.find("old").unwrap(), ITEM, "li", NOW + 1, [1; 8]);
        assert!(is_good(&pass, "li", ITEM, NOW));
        let only_new = Keyring::parse(&format!("new {}", "n".repeat(32))).unwrap();
        let pass = Pass::parse(&pass).unwrap();
        assert!(!pass.is_good_for("li", ITEM, &only_new, NOW));
    }

    proptest! {
        #[test]
        fn no_byte_can_be_changed(index in 0usize..100, byte in 0x21u8..0x7f) {
            let pass = signed("li");
            let index = index % pass.len();
            let mut bytes = pass.into_bytes();
            if bytes[index] != byte {
                bytes[index] = byte;
                let forged = String::from_utf8(bytes).unwrap();
                prop_assert!(!is_good(&forged, "li", ITEM, NOW), "{}", forged);
            }
        }

        #[test]
        fn any_text_parses_or_is_refused(text in "[ -~]{0,120}") {
            prop_assert!(!is_good(&text, "li", ITEM, NOW));
        }
    }
}
