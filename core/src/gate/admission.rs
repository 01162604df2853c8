//! What an edge vouches for when it passes a purchase on to the back end.
//!
//! The edge has verified the URL, the buyer and the captcha pass, by its own clock, and
//! has spent a permit. It signs what it found with a key of the ring that both share, so
//! that the back end need not verify it again, whatever its own clock says, and so that
//! nobody else can say the same: an exposed port of the back end gives nothing away.
//! A signature is good for one request: the stock script makes each request id's
//! purchase once, and counts each permit on its lease.

use std::borrow::Cow;

use crate::signing::keyring::{Digest, Key, Keyring, Purpose};

/// The header with the signature, `{kid}.{digest}`.
pub const HEADER: &str = "x-seckill-admission";
/// The header that names the buyer.
pub const USER_HEADER: &str = "x-seckill-user";
/// The header that names the request.
pub const REQUEST_HEADER: &str = "x-request-id";
/// The header that names the permit; empty for a request that was admitted before, and
/// is only to be answered again.
pub const PERMIT_HEADER: &str = "x-seckill-permit";
/// The header with the request's place in the order of arrival; not signed.
pub const ARRIVAL_HEADER: &str = "x-seckill-arrival";

/// An admitted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission<'a> {
    /// The buyer.
    pub user: &'a str,
    /// The round's id.
    pub round: &'a str,
    /// The product's id.
    pub product: &'a str,
    /// Items wanted.
    pub quantity: u32,
    /// The request's id.
    pub request: &'a str,
    /// The permit, or empty.
    pub permit: &'a str,
    /// The captcha pass that was verified, or empty where none was required.
    pub pass: &'a str,
}

impl Admission<'_> {
    /// Signs it: the header's value.
    #[must_use]
    pub fn sign(&self, key: &Key) -> String {
        let quantity = self.quantity();
        key.sign_named(Purpose::Admission, &self.fields(&quantity))
    }

    /// Whether a key of this ring signed exactly this.
    #[must_use]
    pub fn is_signed(&self, header: &str, ring: &Keyring) -> bool {
        let Some((kid, text)) = header.split_once('.') else {
            return false;
        };
        ring.find(kid).is_some_and(|key| {
            let quantity = self.quantity();
            let fields = self.fields(&quantity);
            key.verify(Purpose::Admission, Digest::HmacSha256, &fields, text)
        })
    }

    /// The quantity as it is signed; nearly everybody wants one.
    fn quantity(&self) -> Cow<'static, str> {
        match self.quantity {
            1 => Cow::Borrowed("1"),
            n => Cow::Owned(n.to_string()),
        }
    }

    fn fields<'b>(&'b self, quantity: &'b str) -> [&'b str; 7] {
        [
            self.user,
            self.round,
            self.product,
            quantity,
            self.request,
            self.permit,
            self.pass,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::keyring::tests::ring;

    const ADMISSION: Admission<'_> = Admission {
        user: "li",
        round: "1",
        product: "153",
        quantity: 1,
        request: "r-1",
        permit: "edge-1.k3-7.10",
        pass: "",
    };

    #[test]
    fn an_admission_is_good_as_it_was_signed_and_no_other() {
        let header = ADMISSION.sign(ring().first());
        assert!(ADMISSION.is_signed(&header, &ring()));
        let old = ADMISSION.sign(ring().find("old").unwrap());
        assert!(ADMISSION.is_signed(&old, &ring()), "a key that was first");
        let others = [
            Admission {
                user: "wang",
                ..ADMISSION
            },
            Admission {
                round: "2",
                ..ADMISSION
            },
            Admission {
                product: "154",
                ..ADMISSION
            },
            Admission {
                quantity: 2,
                ..ADMISSION
            },
            Admission {
                request: "r-2",
                ..ADMISSION
            },
            Admission {
                permit: "",
                ..ADMISSION
            },
            Admission {
                pass: "9.0.k.x",
                ..ADMISSION
            },
        ];
        for other in others {
            assert!(!other.is_signed(&header, &ring()), "{other:?}");
        }
        for forged in ["", ".", "new.", "new", "gone.abc", &header[1..]] {
            assert!(!ADMISSION.is_signed(forged, &ring()), "{forged:?}");
        }
    }
}
