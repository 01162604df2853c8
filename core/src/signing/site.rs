//! How sites sign what they say to each other.
//!
//! A request says who asks whom, when, and what; the answer is signed with the request's
//! nonce, so that it belongs to this request and to no other. Both ends share a key ring
//! that is used for nothing else.
//!
//! ```text
//! x-seckill-site: FROM TO AT_MS NONCE KID DIGEST      of a request
//! x-seckill-site: KID DIGEST                          of its answer
//! ```

use sha2::{Digest as _, Sha256};

use crate::signing::keyring::{Digest, Keyring, Purpose};

/// The header's name.
pub const HEADER: &str = "x-seckill-site";
/// How far a request's time may be from ours, in ms.
pub const WINDOW_MS: u64 = 300_000;
/// Longest nonce, in bytes.
const MAX_NONCE: usize = 64;

/// What a request says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The site that asks.
    pub from: &'a str,
    /// The site that is asked.
    pub to: &'a str,
    /// When, epoch milliseconds by the clock of the one that asks.
    pub at_ms: u64,
    /// Names this request.
    pub nonce: &'a str,
    /// The path.
    pub path: &'a str,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such header, or it has another form.
    #[error("the header x-seckill-site is missing or malformed")]
    Malformed,
    /// It is meant for another site.
    #[error("the request is for another site; compare site and site_peers of both")]
    Elsewhere,
    /// The signature is not of a shared key.
    #[error("the signature is not of a shared key; compare the files site_keys of both")]
    Forged,
    /// It was signed too long ago, or by a clock that is wrong.
    #[error("the request was signed more than five minutes ago, or ahead; compare the clocks")]
    Late,
}

fn digest_of(body: &[u8]) -> String {
    let bytes = Sha256::digest(body);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<'a> Request<'a> {
    /// The header, signed with the first key.
    #[must_use]
    pub fn sign(&self, keys: &Keyring, body: &[u8]) -> String {
        let key = keys.first();
        let (at_ms, hash) = (self.at_ms.to_string(), digest_of(body));
        let Self {
            from,
            to,
            nonce,
            path,
            ..
        } = self;
        let signed = ["request", "POST", path, from, to, &at_ms, nonce, &hash];
        let digest = key.sign(Purpose::Site, Digest::HmacSha256, &signed);
        format!("{from} {to} {at_ms} {nonce} {} {digest}", key.kid())
    }

    /// Reads and verifies the header of a request to the site `own`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn verify(
        header: &'a str,
        (own, path): (&'a str, &'a str),
        body: &[u8],
        keys: &Keyring,
        now_ms: u64,
    ) -> Result<Self, Refused> {
        let parts: Vec<&str> = header.split(' ').collect();
        let [from, to, at_ms, nonce, kid, digest] = parts[..] else {
            return Err(Refused::Malformed);
        };
        let request = Self {
            from,
            to,
            at_ms: at_ms.parse().map_err(|_| Refused::Malformed)?,
            nonce,
            path,
        };
        if nonce.is_empty() || nonce.len() > MAX_NONCE {
            return Err(Refused::Malformed);
        }
        let key = keys.find(kid).ok_or(Refused::Forged)?;
        let (at, hash) = (request.at_ms.to_string(), digest_of(body));
        let signed = ["request", "POST", path, from, to, &at, nonce, &hash];
        if !key.verify(Purpose::Site, Digest::HmacSha256, &signed, digest) {
            return Err(Refused::Forged);
        }
        if to != own {
            return Err(Refused::Elsewhere);
        }
        if request.at_ms.abs_diff(now_ms) > WINDOW_MS {
            return Err(Refused::Late);
        }
        Ok(request)
    }
}

/// The header of the answer to the request with this nonce.
#[must_use]
pub fn sign_answer(keys: &Keyring, nonce: &str, status: u16, body: &[u8]) -> String {
    let key = keys.first();
    let (status, hash) = (status.to_string(), digest_of(body));
    let parts = ["answer", nonce, &status, &hash];
    let digest = key.sign(Purpose::Site, Digest::HmacSha256, &parts);
    format!("{} {digest}", key.kid())
}

/// Whether `header` is that of an answer to the request with this nonce.
#[must_use]
pub fn is_answer(header: &str, keys: &Keyring, nonce: &str, status: u16, body: &[u8]) -> bool {
    let Some((kid, digest)) = header.split_once(' ') else {
        return false;
    };
    let (status, hash) = (status.to_string(), digest_of(body));
    let parts = ["answer", nonce, &status, &hash];
    keys.find(kid)
        .is_some_and(|key| key.verify(Purpose::Site, Digest::HmacSha256, &parts, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/site/transfer";

    fn ring(secret: &str) -> Keyring {
        Keyring::parse(&format!("s1 {}", secret.repeat(32))).unwrap()
    }

    fn request() -> Request<'static> {
        Request {
            from: "east",
            to: "west",
            at_ms: 1_000_000,
            nonce: "0f",
            path: PATH,
        }
    }

    #[test]
    fn what_is_signed_is_verified_and_nothing_else() {
        let (keys, body) = (ring("s"), b"{}".as_slice());
        let header = request().sign(&keys, body);
        let verify = |header: &str, own, path, body: &[u8], keys: &Keyring, now_ms| {
            Request::verify(header, (own, path), body, keys, now_ms).map(|read| {
                assert_eq!((read.from, read.nonce), ("east", "0f"));
            })
        };
        assert_eq!(
            verify(&header, "west", PATH, body, &keys, 1_300_000),
            Ok(())
        );
        let late = verify(&header, "west", PATH, body, &keys, 1_300_001);
        assert_eq!(late, Err(Refused::Late));
        let other_site = verify(&header, "north", PATH, body, &keys, 1_000_000);
        assert_eq!(other_site, Err(Refused::Elsewhere));
        let forged = [
            verify(&header, "west", "/site/report", body, &keys, 1_000_000),
            verify(&header, "west", PATH, b"{ }", &keys, 1_000_000),
            verify(&header, "west", PATH, body, &ring("x"), 1_000_000),
            verify(
                &header.replace("east", "south"),
                "west",
                PATH,
                body,
                &keys,
                1_000_000,
            ),
            verify(
                &header.replace("1000000", "1000001"),
                "west",
                PATH,
                body,
                &keys,
                1_000_000,
            ),
        ];
        assert_eq!(forged, [Err(Refused::Forged); 5]);
        for wrong in [
            "",
            "east west",
            "east west x 0f s1 aa",
            "east west 1  s1 aa",
        ] {
            let refused = verify(wrong, "west", PATH, body, &keys, 1);
            assert_eq!(refused, Err(Refused::Malformed), "{wrong}");
        }
    }

    #[test]
    fn an_answer_belongs_to_its_request() {
        let keys = ring("s");
        let header = sign_answer(&keys, "0f", 200, b"{}");
        assert!(is_answer(&header, &keys, "0f", 200, b"{}"));
        assert!(!is_answer(&header, &keys, "10", 200, b"{}"));
        assert!(!is_answer(&header, &keys, "0f", 503, b"{}"));
        assert!(!is_answer(&header, &keys, "0f", 200, b"{ }"));
        assert!(!is_answer(&header, &ring("x"), "0f", 200, b"{}"));
        assert!(!is_answer("", &keys, "0f", 200, b"{}"));
    }
}
