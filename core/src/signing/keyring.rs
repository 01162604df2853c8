//! Signing secrets.
//!
//! The file holds one `kid secret` line a key; the first signs, all verify. So a secret
//! is replaced without refusing anybody: append the new line everywhere, then move it to
//! the front, and remove the old line once nothing that it signed is in use. In front at
//! once it would sign what edges that have not read it yet refuse.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use crate::signing::hmac;

/// Shortest secret that is accepted, in bytes.
pub const MIN_SECRET: usize = 32;
/// Longest key id, in bytes.
pub const MAX_KID: usize = 16;
/// Length of an HMAC-SHA256 digest as written here (base64url, no padding).
pub const HMAC_TEXT_LEN: usize = 43;
/// Length of an MD5 digest as written here (lower-case hex).
pub const MD5_TEXT_LEN: usize = 32;

/// Why a key file was refused. The text names the line and the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// A line is not `kid secret`.
    #[error("line {line}: expected \"kid secret\", two words separated by a space")]
    Shape {
        /// Counted from 1.
        line: usize,
    },
    /// The key id cannot stand in a URL.
    #[error(
        "line {line}: the first word is no key id, which has 1 to {MAX_KID} letters and digits; \
         the secret is the second word"
    )]
    Kid {
        /// Counted from 1.
        line: usize,
    },
    /// Two lines share a key id.
    #[error("line {line}: key id \"{kid}\" is used twice; every key needs its own")]
    Twice {
        /// Counted from 1.
        line: usize,
        /// The id as read.
        kid: String,
    },
    /// The secret is shorter than [`MIN_SECRET`].
    #[error(
        "line {line}: the secret has {len} bytes and needs at least {MIN_SECRET}; \
         \"openssl rand -hex 32\" makes a good one"
    )]
    Short {
        /// Counted from 1.
        line: usize,
        /// Its length in bytes.
        len: usize,
    },
    /// No key at all.
    #[error("no key found; write one line \"kid secret\"")]
    Empty,
}

/// What a signature is for. Each purpose has a key of its own, derived from the
/// secret, so that a digest of one kind can never pass for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Hidden purchase URL.
    Path,
    /// Session cookie.
    Session,
    /// Captcha pass.
    Captcha,
    /// What an edge admitted.
    Admission,
    /// The buyer for whom an edge vouches.
    Identity,
    /// That a trace is to be recorded.
    Trace,
    /// What sites say to each other.
    Site,
}

impl Purpose {
    const ALL: [Purpose; 7] = [
        Purpose::Path,
        Purpose::Session,
        Purpose::Captcha,
        Purpose::Admission,
        Purpose::Identity,
        Purpose::Trace,
        Purpose::Site,
    ];

    fn label(self) -> &'static [u8] {
        match self {
            Purpose::Path => b"seckill path v1",
            Purpose::Session => b"seckill session v1",
            Purpose::Captcha => b"seckill captcha v1",
            Purpose::Admission => b"seckill admission v1",
            Purpose::Identity => b"seckill identity v1",
            Purpose::Trace => b"seckill trace v1",
            Purpose::Site => b"seckill site v1",
        }
    }
}

/// How a hidden URL is digested (`seckill_digest`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Digest {
    /// HMAC-SHA256, the default.
    #[default]
    HmacSha256,
    /// The course's form (§075): MD5 over the fields and the secret. Kept for
    /// shops whose other parts compute it; weaker, since MD5 is broken.
    Md5,
}

impl Digest {
    /// Its name in settings and directives.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Digest::HmacSha256 => "hmac-sha256",
            Digest::Md5 => "md5",
        }
    }

    /// Reads [`Digest::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Digest::HmacSha256, Digest::Md5]
            .into_iter()
            .find(|digest| digest.as_str() == name)
    }
}

/// One named secret, ready to sign: the HMAC key schedules are computed once,
/// when the ring is read, and cloned for each message.
#[derive(Clone)]
pub struct Key {
    kid: String,
    secret: Vec<u8>,
    prepared: [hmac::Key; Purpose::ALL.len()],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret must not reach a log by way of a debug print.
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl Key {
    fn new(kid: &str, secret: &[u8]) -> Self {
        let master = hmac::Key::new(secret);
        let prepared = Purpose::ALL.map(|purpose| hmac::Key::new(&master.sign(&[purpose.label()])));
        Self {
            kid: kid.to_owned(),
            secret: secret.to_vec(),
            prepared,
        }
    }

    /// The name that signatures made with this key carry.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs `parts`, each followed by a newline (no part may contain one).
    #[must_use]
    pub fn sign(&self, purpose: Purpose, digest: Digest, parts: &[&str]) -> String {
        match digest {
            Digest::HmacSha256 => URL_SAFE_NO_PAD.encode(self.hmac(purpose, parts)),
            Digest::Md5 => format!("{:x}", self.md5(purpose, parts)),
        }
    }

    /// The same with HMAC-SHA256 behind the key's name, `{kid}.{digest}`.
    #[must_use]
    pub fn sign_named(&self, purpose: Purpose, parts: &[&str]) -> String {
        let mut text = String::with_capacity(self.kid.len() + 1 + HMAC_TEXT_LEN);
        text.push_str(&self.kid);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(self.hmac(purpose, parts), &mut text);
        text
    }

    /// Whether `text` is the signature of `parts`, compared in constant time.
    #[must_use]
    pub fn verify(&self, purpose: Purpose, digest: Digest, parts: &[&str], text: &str) -> bool {
        match digest {
            Digest::HmacSha256 => {
                // Ours is written out: that takes less than reading theirs, which may be
                // anything.
                let mut ours = [0; HMAC_TEXT_LEN];
                let written = URL_SAFE_NO_PAD.encode_slice(self.hmac(purpose, parts), &mut ours);
                let given = <&[u8; HMAC_TEXT_LEN]>::try_from(text.as_bytes());
                written == Ok(HMAC_TEXT_LEN) && given.is_ok_and(|given| is_same(&ours, given))
            }
            Digest::Md5 => {
                let ours = format!("{:x}", self.md5(purpose, parts));
                bool::from(ours.as_bytes().ct_eq(text.as_bytes()))
            }
        }
    }

    /// HMAC-SHA256 under the secret itself, for a protocol that others speak too.
    /// A ring that is used so must be used for nothing else.
    #[must_use]
    pub fn hmac_of(&self, parts: &[&[u8]]) -> [u8; 32] {
        hmac::Key::new(&self.secret).sign(parts)
    }

    /// Whether `given` is [`Key::hmac_of`] these parts, compared in constant time.
    #[must_use]
    pub fn is_hmac_of(&self, parts: &[&[u8]], given: &[u8; 32]) -> bool {
        is_same(&self.hmac_of(parts), given)
    }

    fn hmac(&self, purpose: Purpose, parts: &[&str]) -> [u8; 32] {
        self.prepared[purpose as usize].sign_lines(parts)
    }

    fn md5(&self, purpose: Purpose, parts: &[&str]) -> md5::Digest {
        let mut context = md5::Context::new();
        context.consume(purpose.label());
        context.consume(b"\n");
        for part in parts {
            context.consume(part.as_bytes());
            context.consume(b"\n");
        }
        // The secret goes last: appended data cannot extend the digest.
        context.consume(&self.secret);
        context.finalize()
    }
}

/// Compares in constant time.
fn is_same<const N: usize>(a: &[u8; N], b: &[u8; N]) -> bool {
    // Without a branch, so that the compiler takes many bytes at once.
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    bool::from(difference.ct_eq(&0))
}

/// The keys in force, first one first.
#[derive(Debug, Clone)]
pub struct Keyring {
    keys: Vec<Key>,
}

impl Keyring {
    /// Reads the text of a key file. Empty lines and lines that begin with `#`
    /// are passed over.
    ///
    /// # Errors
    /// [`KeyringError`] for the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        // Nobody sees the mark that some editors put in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut keys: Vec<Key> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line_no = index + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(kid), Some(secret), None) = (words.next(), words.next(), words.next()) else {
                return Err(KeyringError::Shape { line: line_no });
            };
            if kid.len() > MAX_KID || !kid.bytes().all(|b| b.is_ascii_alphanumeric()) {
                // Not shown: it may be the secret, written first.
                return Err(KeyringError::Kid { line: line_no });
            }
            if keys.iter().any(|key| key.kid == kid) {
                return Err(KeyringError::Twice {
                    line: line_no,
                    kid: kid.to_owned(),
                });
            }
            if secret.len() < MIN_SECRET {
                return Err(KeyringError::Short {
                    line: line_no,
                    len: secret.len(),
                });
            }
            keys.push(Key::new(kid, secret.as_bytes()));
        }
        if keys.is_empty() {
            Err(KeyringError::Empty)
        } else {
            Ok(Self { keys })
        }
    }

    /// The key that signs.
    #[must_use]
    pub fn first(&self) -> &Key {
        // `parse` never makes an empty ring.
        &self.keys[0]
    }

    /// All keys, first one first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// The key of this name, if it is still in the ring.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A ring of two keys for tests.
    pub(crate) fn ring() -> Keyring {
        let text = format!("new {}\nold {}\n", "n".repeat(32), "o".repeat(32));
        Keyring::parse(&text).unwrap()
    }

    #[test]
    fn the_first_line_signs_and_every_line_verifies() {
        let ring = ring();
        assert_eq!(ring.first().kid(), "new");
        let old = ring.find("old").unwrap();
        for digest in [Digest::HmacSha256, Digest::Md5] {
            let text = old.sign(Purpose::Path, digest, &["a", "b"]);
            assert!(old.verify(Purpose::Path, digest, &["a", "b"], &text));
            assert!(!old.verify(Purpose::Path, digest, &["ab", ""], &text));
            assert!(!old.verify(Purpose::Session, digest, &["a", "b"], &text));
            assert!(
                !ring
                    .first()
                    .verify(Purpose::Path, digest, &["a", "b"], &text)
            );
            assert!(!old.verify(Purpose::Path, digest, &["a", "b"], ""));
        }
    }

    #[test]
    fn a_faulty_file_is_refused_with_its_line() {
        let long = "s".repeat(32);
        let cases = [
            (String::new(), KeyringError::Empty),
            ("# only a comment\n".into(), KeyringError::Empty),
            ("alone".into(), KeyringError::Shape { line: 1 }),
            (format!("\na b {long}"), KeyringError::Shape { line: 2 }),
            (format!("k-1 {long}"), KeyringError::Kid { line: 1 }),
            (
                format!("k {long}\nk {long}"),
                KeyringError::Twice {
                    line: 2,
                    kid: "k".into(),
                },
            ),
            ("k short".into(), KeyringError::Short { line: 1, len: 5 }),
        ];
        for (text, error) in cases {
            assert_eq!(Keyring::parse(&text).unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn a_mark_in_front_of_the_file_is_no_part_of_it() {
        let ring = Keyring::parse(&format!("\u{feff}k1 {}\n", "s".repeat(32))).unwrap();
        assert_eq!(ring.first().kid(), "k1");
    }

    #[test]
    fn a_debug_print_shows_no_secret() {
        assert!(!format!("{:?}", ring()).contains("nnnn"));
    }

    /// RFC 4231 test case 2, to know that this is HMAC-SHA256 and nothing else.
    #[test]
    fn hmac_agrees_with_the_published_vector() {
        let tag = hmac::Key::new(b"Jefe").sign(&[b"what do ya want for nothing?"]);
        let hex: String = tag.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
