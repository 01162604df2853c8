//! Hashes and checks the passwords of the console's accounts.

use argon2::Argon2;
use argon2::password_hash::{
    Error as HashError, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Salt, SaltString,
};

/// Shortest password, in characters.
pub const LEAST_PASSWORD: usize = 10;
/// Longest password, in bytes: hashing must not become a way to overload the server.
pub const MOST_PASSWORD: usize = 256;

/// The hash of a password that nobody has.
pub(super) const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdA$\
                      BEh5S7Rm3zI0U8vVf4BCnTGdy2rZ2bHSPdOTf2y3i0Q";

/// Why a password is refused or cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too short.
    #[error("the password has {0} characters; choose one of at least {LEAST_PASSWORD}")]
    TooShort(usize),
    /// Too long.
    #[error("the password has {0} bytes; choose one of at most {MOST_PASSWORD}")]
    TooLong(usize),
    /// The random source failed.
    #[error("the system gives no random bytes: {0}")]
    NoRandomness(getrandom::Error),
    /// The hash could not be computed or read.
    #[error("the password cannot be hashed: {0}")]
    Hash(HashError),
}

/// Hashes a password, if it is neither too short nor too long.
///
/// # Errors
/// [`PasswordError`].
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    let characters = password.chars().count();
    if characters < LEAST_PASSWORD {
        return Err(PasswordError::TooShort(characters));
    }
    if password.len() > MOST_PASSWORD {
        return Err(PasswordError::TooLong(password.len()));
    }
    let mut bytes = [0_u8; Salt::RECOMMENDED_LENGTH];
    getrandom::fill(&mut bytes).map_err(PasswordError::NoRandomness)?;
    let salt = SaltString::encode_b64(&bytes).map_err(PasswordError::Hash)?;
    Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(PasswordError::Hash)
}

/// Whether `password` matches `hash`. Without an account (`None`) the work is done all
/// the same, so that the response time does not reveal which names exist.
#[must_use]
pub fn is_password(password: &str, hash: Option<&str>) -> bool {
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(NOBODY)) else {
        return false;
    };
    let matches = Argon2::default()
        .verify_password(password.as_bytes(), &parsed)
        .is_ok();
    matches && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_hash_and_no_other_does() {
        let hash = hash_password("correct horse").unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(is_password("correct horse", Some(&hash)));
        assert!(!is_password("correct horsf", Some(&hash)));
        assert!(!is_password("correct horse", None));
        assert!(!is_password("correct horse", Some("no hash")));
        assert_ne!(hash, hash_password("correct horse").unwrap(), "no salt");
    }

    #[test]
    fn a_password_that_is_too_short_or_too_long_is_refused_with_its_length() {
        let short = hash_password("secret").unwrap_err().to_string();
        assert!(
            short.contains("6 characters") && short.contains("10"),
            "{short}"
        );
        let long = hash_password(&"x".repeat(257)).unwrap_err().to_string();
        assert!(long.contains("257 bytes") && long.contains("256"), "{long}");
    }

    #[test]
    fn checking_nobodys_password_does_the_work_of_a_real_one() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let real = hash_password("correct horse").unwrap();
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!(nobody.params, real.params);
        assert_eq!(nobody.hash.map(|it| it.len()), real.hash.map(|it| it.len()));
    }
}
