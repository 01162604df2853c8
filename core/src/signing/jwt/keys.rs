//! The keys that verify tokens: a JWK Set (RFC 7517), as an OpenID provider publishes it
//! at its `jwks_uri`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Algorithm;

/// Longest key set, in bytes.
pub const MAX_SET: usize = 256 * 1024;
/// Most keys of a set that are used.
pub const MAX_KEYS: usize = 64;

/// Why a key set is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Larger than [`MAX_SET`].
    #[error("the key set has more than {MAX_SET} bytes")]
    TooLong,
    /// Not a JWK Set.
    #[error("it is no JWK Set, such as {{\"keys\":[…]}}: {0}")]
    Shape(String),
    /// No key that can verify a token.
    #[error(
        "it has no key for RS256 (2048 bits or more), ES256, EdDSA (Ed25519) or HS256 (32 bytes or more)"
    )]
    Empty,
    /// A secret where anybody may read it.
    #[error("it has a secret (\"kty\":\"oct\"), which belongs in a file and not behind a URL")]
    PublicSecret,
}

/// The keys in force.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// The members that are used, of whichever kind of key.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl KeySet {
    /// Reads a key set of a file, in which secrets are allowed. Keys that cannot verify
    /// a token are passed over, since providers publish keys for other uses too.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        if text.len() > MAX_SET {
            return Err(KeySetError::TooLong);
        }
        let document: Document =
            serde_json::from_slice(text).map_err(|error| KeySetError::Shape(error.to_string()))?;
        let keys = document.keys.into_iter();
        let keys = keys.filter_map(|key| Key::of(serde_json::from_value(key).ok()?));
        let keys: Vec<Key> = keys.take(MAX_KEYS).collect();
        if keys.is_empty() {
            Err(KeySetError::Empty)
        } else {
            Ok(Self { keys })
        }
    }

    /// Reads a key set that anybody may read, in which there may be no secret.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn parse_public(text: &[u8]) -> Result<Self, KeySetError> {
        let set = Self::parse(text)?;
        if set
            .keys
            .iter()
            .any(|key| matches!(key.material, Material::Secret(_)))
        {
            Err(KeySetError::PublicSecret)
        } else {
            Ok(set)
        }
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether the key with this fingerprint is still in the set.
    #[must_use]
    pub fn has(&self, fingerprint: u64) -> bool {
        self.keys.iter().any(|key| key.fingerprint == fingerprint)
    }

    /// The keys that may have signed a token. A key without an id may have signed any
    /// token of its algorithm, and a token without one may be of any key.
    pub(super) fn matching(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
    ) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| {
            let named = key.kid.as_deref().zip(kid);
            key.algorithm == algorithm && named.is_none_or(|(ours, theirs)| ours == theirs)
        })
    }
}

#[derive(Clone)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point on P-256.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
    Secret(hmac::Key),
}

/// One key, for one algorithm.
#[derive(Clone)]
pub(super) struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    material: Material,
    fingerprint: u64,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It may be a secret, which must not reach a log.
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// The key, if it can verify a token.
    fn of(jwk: Jwk) -> Option<Self> {
        let field = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let number = |text: &Option<String>| {
            let bytes = field(text)?;
            let first = bytes.iter().position(|byte| *byte != 0)?;
            Some(bytes[first..].to_vec())
        };
        let (algorithm, material, parts) = match (&*jwk.kty, jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (number(&jwk.n)?, number(&jwk.e)?);
                if n.len() < 256 || n.len() > 1024 {
                    return None;
                }
                let parts = [n.clone(), e.clone()];
                (Algorithm::Rs256, Material::Rsa { n, e }, parts)
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (field(&jwk.x)?, field(&jwk.y)?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                let point = [&[4], &*x, &*y].concat();
                (Algorithm::Es256, Material::P256(point), [x, y])
            }
            ("OKP", Some("Ed25519")) => {
                let x = field(&jwk.x).filter(|x| x.len() == 32)?;
                let parts = [x.clone(), Vec::new()];
                (Algorithm::EdDsa, Material::Ed25519(x), parts)
            }
            ("oct", _) => {
                let k = field(&jwk.k).filter(|k| k.len() >= 32)?;
                let key = hmac::Key::new(hmac::HMAC_SHA256, &k);
                (Algorithm::Hs256, Material::Secret(key), [k, Vec::new()])
            }
            _ => return None,
        };
        let is_for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        let is_for_this = jwk
            .alg
            .as_deref()
            .is_none_or(|name| Algorithm::parse(name) == Some(algorithm));
        (is_for_signatures && is_for_this).then(|| Self {
            fingerprint: fingerprint(&jwk.kty, &parts),
            kid: jwk.kid,
            algorithm,
            material,
        })
    }

    /// The key's own fingerprint, the same wherever it is read.
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(super) fn verifies(&self, message: &[u8], given: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa { n, e } => signature::RsaPublicKeyComponents { n, e }.verify(
                &signature::RSA_PKCS1_2048_8192_SHA256,
                message,
                given,
            ),
            Material::P256(point) => {
                signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, given)
            }
            Material::Ed25519(x) => {
                signature::UnparsedPublicKey::new(&signature::ED25519, x).verify(message, given)
            }
            Material::Secret(key) => hmac::verify(key, message, given),
        };
        verified.is_ok()
    }
}

fn fingerprint(kty: &str, parts: &[Vec<u8>; 2]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(kty.as_bytes());
    for part in parts {
        hash.update([0]);
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut word = [0; 8];
    word.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(word)
}
