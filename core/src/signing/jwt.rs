//! Tokens of the shop's own login: JSON Web Tokens (RFC 7519), signed by RS256, ES256,
//! EdDSA or HS256 (RFC 7518, RFC 8037).
//!
//! A token is read and checked in two steps. [`Token::read`] takes it apart and compares
//! its claims with the [`Policy`] and the time, which is cheap; [`Token::verify`] then
//! verifies the signature with a key of the [`KeySet`]. Which algorithm a key verifies
//! is decided by the key and never by the token: a public key is not a secret for HS256,
//! and `none` is no algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::revocation::{Mark, Marks};
use crate::ids;

/// ID tokens of OpenID Connect: who logged in at a provider.
pub mod id_token;
/// The keys that verify tokens: a JWK Set (RFC 7517).
pub mod keys;
/// Tokens that were verified, so that none is verified twice.
pub mod remembered;

pub use keys::{KeySet, KeySetError};

/// Longest token, in bytes. A header of nginx holds no more.
pub const MAX_TOKEN: usize = 8 * 1024;
/// How far the clocks of the login and ours may be apart, in ms.
pub const CLOCKS_MS: u64 = 60_000;

/// What a token must say to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The claim that names the buyer.
    pub claim: String,
    /// The issuer, if only one is believed.
    pub issuer: Option<String>,
    /// The audiences, of which a token must name one; none: any token of the issuer is
    /// believed, for whichever service it was made.
    pub audiences: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            claim: "sub".to_owned(),
            issuer: None,
            audiences: Vec::new(),
        }
    }
}

/// An algorithm by which tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// EdDSA with the curve Ed25519.
    EdDsa,
    /// HMAC with SHA-256.
    Hs256,
}

impl Algorithm {
    /// Reads the name that a token or a key bears.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "HS256" => Some(Self::Hs256),
            _ => None,
        }
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a token at all.
    #[error("the token is not a signed JSON Web Token")]
    Malformed,
    /// Longer than [`MAX_TOKEN`]; an ID token, than [`id_token::MAX_ID_TOKEN`].
    #[error(
        "the token is longer than {MAX_TOKEN} bytes, or as an ID token than {}",
        id_token::MAX_ID_TOKEN
    )]
    TooLong,
    /// `alg` is none of the four, or `crit` demands what we do not know.
    #[error("the token is not signed by RS256, ES256, EdDSA or HS256")]
    Algorithm,
    /// The key set has no key of this `kid` for this algorithm.
    #[error("the token is signed with a key that the key set does not have")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `exp` is missing: a token must end.
    #[error("the token has no time of expiry")]
    Endless,
    /// `nbf` or `iat` lies ahead.
    #[error("the token is not yet valid")]
    NotYetValid,
    /// `iss` is another.
    #[error("the token is of another issuer")]
    Issuer,
    /// `aud` names none of ours.
    #[error("the token is for another audience")]
    Audience,
    /// The claim that names the buyer is missing, or cannot be an id.
    #[error("the token does not name a user of 1 to 255 bytes")]
    User,
}

impl Refusal {
    /// Its stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::TooLong => "token_too_long",
            Self::Algorithm => "token_algorithm",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::Endless => "token_endless",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::User => "token_user",
        }
    }
}

/// A token whose claims are right and whose signature is still to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token<'a> {
    /// The buyer's written id ([`ids::user`]).
    pub user: String,
    /// Until when it is good, epoch milliseconds, [`CLOCKS_MS`] included.
    pub until_ms: u64,
    /// The fingerprints by which it may be revoked.
    pub marks: Marks,
    /// The header and the payload as they were signed.
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'a> Token<'a> {
    /// Takes a token apart and compares its claims with the policy.
    ///
    /// # Errors
    /// The first [`Refusal`].
    pub fn read(text: &'a str, policy: &Policy, now_ms: u64) -> Result<Self, Refusal> {
        Self::read_within(text, policy, now_ms, MAX_TOKEN)
    }

    /// The same for a token of at most `most` bytes.
    fn read_within(
        text: &'a str,
        policy: &Policy,
        now_ms: u64,
        most: usize,
    ) -> Result<Self, Refusal> {
        if text.len() > most {
            return Err(Refusal::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        let header: Header = decode(header)?;
        let algorithm = Algorithm::parse(&header.alg).filter(|_| header.crit.is_none());
        let algorithm = algorithm.ok_or(Refusal::Algorithm)?;
        let claims: Map<String, Value> = decode(payload)?;
        let until_ms = check(&claims, policy, now_ms)?;
        Ok(Self {
            user: user(&claims, &policy.claim).ok_or(Refusal::User)?,
            until_ms,
            marks: Marks {
                own: Mark::of_token(signed),
                jti: claims.get("jti").and_then(Value::as_str).map(Mark::of_jti),
                issued_ms: time_ms(&claims, "iat")?,
            },
            signed,
            signature: bytes(signature)?,
            algorithm,
            kid: header.kid,
        })
    }

    /// Verifies the signature. Returns the fingerprint of the key that verified it
    /// ([`KeySet::has`]).
    ///
    /// # Errors
    /// [`Refusal::UnknownKey`] or [`Refusal::Signature`].
    pub fn verify(&self, keys: &KeySet) -> Result<u64, Refusal> {
        let (message, signature) = (self.signed.as_bytes(), &*self.signature);
        let mut refusal = Refusal::UnknownKey;
        for key in keys.matching(self.algorithm, self.kid.as_deref()) {
            if key.verifies(message, signature) {
                return Ok(key.fingerprint());
            }
            refusal = Refusal::Signature;
        }
        Err(refusal)
    }
}

/// The fingerprint of any token, and until when it would be believed in epoch
/// milliseconds, to revoke it: neither its claims nor its signature are looked at. `None`
/// if it is no token, or none that ends.
#[must_use]
pub fn to_revoke(text: &str) -> Option<(Mark, u64)> {
    if text.len() > MAX_TOKEN || !is_token(text) {
        return None;
    }
    let (signed, _) = text.rsplit_once('.')?;
    let (_, payload) = signed.split_once('.')?;
    let claims: Map<String, Value> = decode(payload).ok()?;
    let expires_ms = time_ms(&claims, "exp").ok()??;
    Some((Mark::of_token(signed), expires_ms.saturating_add(CLOCKS_MS)))
}

/// Whether a text has the form of a token, and not that of a session of ours, which has
/// one part more.
#[must_use]
pub fn is_token(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// The token of an `Authorization` header; `None` for another scheme.
#[must_use]
pub fn bearer(header: &[u8]) -> Option<&str> {
    let (scheme, token) = header.split_at_checked(7)?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ");
    is_bearer.then(|| std::str::from_utf8(token.trim_ascii()).unwrap_or_default())
}

/// Compares the claims with policy and time; until when the token is good.
fn check(claims: &Map<String, Value>, policy: &Policy, now_ms: u64) -> Result<u64, Refusal> {
    let until_ms = match time_ms(claims, "exp")? {
        Some(expires_ms) => expires_ms.saturating_add(CLOCKS_MS),
        None => return Err(Refusal::Endless),
    };
    if now_ms >= until_ms {
        return Err(Refusal::Expired);
    }
    for claim in ["nbf", "iat"] {
        if time_ms(claims, claim)?.is_some_and(|from_ms| from_ms > now_ms + CLOCKS_MS) {
            return Err(Refusal::NotYetValid);
        }
    }
    let issuer = claims.get("iss").and_then(Value::as_str);
    if policy.issuer.is_some() && policy.issuer.as_deref() != issuer {
        return Err(Refusal::Issuer);
    }
    let is_ours = |audience: &Value| {
        let audience = audience.as_str();
        audience.is_some_and(|name| policy.audiences.iter().any(|ours| ours == name))
    };
    let is_for_us = policy.audiences.is_empty()
        || match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => false,
        };
    if is_for_us {
        Ok(until_ms)
    } else {
        Err(Refusal::Audience)
    }
}

/// A NumericDate in milliseconds; a fraction of a second is allowed.
fn time_ms(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            // Above 2⁵³ ms nothing that matters is still to come.
            Some(seconds) if seconds >= 0.0 => Ok(Some((seconds * 1000.0) as u64)),
            _ => Err(Refusal::Malformed),
        },
    }
}

/// The buyer: a text, or a whole number in decimal digits.
fn user(claims: &Map<String, Value>, claim: &str) -> Option<String> {
    let written = match claims.get(claim)? {
        Value::String(name) => ids::user::write(name.as_bytes())?.into_owned(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    Some(written)
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Refusal> {
    serde_json::from_slice(&bytes(part)?).map_err(|_| Refusal::Malformed)
}

fn bytes(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)
}

#[cfg(test)]
mod tests;
