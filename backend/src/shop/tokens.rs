//! Tokens of the shop's own login: verifies them, and remembers those that it has
//! verified.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use seckill_core::Verdict;
use seckill_core::gate::directive::jwt::Jwt;
use seckill_core::signing::jwt::remembered::{Remembered, Verified};
use seckill_core::signing::jwt::{KeySet, Refusal, Token};
use seckill_core::signing::revocation::Marks;

use crate::now_ms;

/// Reads the key sets, and publishes those of URLs for the edges.
mod reading;

pub use reading::{Reading, SetError};

/// Verified tokens that are remembered.
const REMEMBERED: usize = 131_072;

/// Why nobody is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoUser {
    /// The token is refused.
    Refused(Refusal),
    /// No key set has been read yet.
    NoKeys,
}

impl From<NoUser> for Verdict {
    fn from(why: NoUser) -> Self {
        match why {
            NoUser::Refused(_) => Verdict::LoginRequired,
            NoUser::NoKeys => Verdict::Unavailable,
        }
    }
}

/// Verifies tokens.
pub struct Tokens {
    jwt: Jwt,
    reading: Reading,
    verified: Mutex<Remembered>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("jwt", &self.jwt)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    /// Believes tokens that these settings describe, by the keys that are read.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(jwt: Jwt, reading: Reading) -> Result<Self, getrandom::Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        let bits = std::array::from_fn(|at| {
            let mut word = [0; 8];
            word.copy_from_slice(&random[at * 8..][..8]);
            u64::from_le_bytes(word)
        });
        Ok(Self {
            jwt,
            reading,
            verified: Mutex::new(Remembered::new(bits, REMEMBERED)),
        })
    }

    /// The cookie in which a token may be.
    #[must_use]
    pub fn cookie(&self) -> &str {
        &self.jwt.cookie
    }

    /// The written id of the buyer whom a token names, verified, and by what the token may
    /// be revoked. A key that is not known
    /// is looked for in the key set as it is now, so that a login may begin to sign with
    /// a new one at any time.
    ///
    /// # Errors
    /// [`NoUser`].
    pub async fn user(&self, token: &str) -> Result<(String, Marks), NoUser> {
        let keys = self.reading.keys().await.ok_or(NoUser::NoKeys)?;
        match self.judge(token, &keys) {
            Err(Refusal::UnknownKey) => {
                let newer = self.reading.read_again().await;
                let newer = newer.ok_or(NoUser::Refused(Refusal::UnknownKey))?;
                self.judge(token, &newer).map_err(NoUser::Refused)
            }
            judged => judged.map_err(NoUser::Refused),
        }
    }

    fn judge(&self, token: &str, keys: &Arc<KeySet>) -> Result<(String, Marks), Refusal> {
        let now_ms = now_ms();
        let mut known = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.find(0, token, keys, now_ms) {
            return Ok((found.user.to_string(), found.marks));
        }
        drop(known);
        let read = Token::read(token, &self.jwt.policy, now_ms)?;
        let key = read.verify(keys)?;
        let verified = Verified {
            user: read.user.as_str().into(),
            until_ms: read.until_ms,
            key,
            marks: read.marks,
        };
        let mut known = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        known.remember(0, token, verified);
        Ok((read.user, read.marks))
    }
}
