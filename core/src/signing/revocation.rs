//! Sessions and tokens that are revoked before they end.
//!
//! A session or token is revoked by its *fingerprint* ([`Mark`]), a hash of what its
//! signature covers, or with all that its buyer was issued before a *cut*. Never by its
//! text: one token may have several texts with a valid signature (in ES256, anybody who has
//! one can make a second), and a list of revocations must not be a list of sessions.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// How long a cut is in force, in ms: as long as a session may last, 30 days. A token that
/// lasts longer than this after its issue is good again then.
pub const CUT_LIFE_MS: u64 = 30 * 86_400_000;
/// How long a token that is named by its `jti` alone is revoked, in ms, if nobody says
/// until when it would last.
pub const JTI_LIFE_MS: u64 = CUT_LIFE_MS;
/// Bytes of a fingerprint: one in 2¹²⁸ is taken for another.
const MARK: usize = 16;

/// Names one session or token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark([u8; MARK]);

impl Mark {
    fn of(kind: &str, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update(kind);
        for part in parts {
            // No part has a line break but a `jti`, which is the only one of its kind.
            hash.update([b'\n']);
            hash.update(part);
        }
        let mut mark = [0; MARK];
        mark.copy_from_slice(&hash.finalize()[..MARK]);
        Self(mark)
    }

    /// The fingerprint of a session of ours, made of its user and its times as they are written.
    #[must_use]
    pub(super) fn of_session(user: &str, times: &str) -> Self {
        Self::of("seckill session", &[user, times])
    }

    /// The fingerprint of a token, made of its header and payload as they were signed.
    #[must_use]
    pub(super) fn of_token(signed: &str) -> Self {
        Self::of("token", &[signed])
    }

    /// The fingerprint of a token's `jti`.
    #[must_use]
    pub fn of_jti(jti: &str) -> Self {
        Self::of("jti", &[jti])
    }

    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 2 * MARK || !text.bytes().all(is_hex) {
            return None;
        }
        let mut mark = [0; MARK];
        for (at, byte) in mark.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(mark))
    }

    /// The fingerprint as two words, for a table.
    #[must_use]
    pub fn words(self) -> [u64; 2] {
        let word = |at: usize| {
            let bytes = self.0.iter().skip(8 * at).take(8);
            bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
        };
        [word(0), word(1)]
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mark({self})")
    }
}

/// By what a verified session or token may be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// The fingerprint of the session or token itself.
    pub own: Mark,
    /// The fingerprint of its `jti`, if it is a token that has one.
    pub jti: Option<Mark>,
    /// When it was issued, epoch milliseconds; `None` if it does not say.
    pub issued_ms: Option<u64>,
}

impl Marks {
    /// Its own fingerprint, and that of its `jti`.
    pub fn each(&self) -> impl Iterator<Item = Mark> {
        [Some(self.own), self.jti].into_iter().flatten()
    }

    /// Whether it was issued before the cut. What does not say when it was issued counts as
    /// issued before: else a cut would spare whoever it was made against.
    #[must_use]
    pub fn is_before(&self, cut_ms: u64) -> bool {
        self.issued_ms.is_none_or(|issued_ms| issued_ms < cut_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_kinds_have_marks_of_their_own() {
        let marks = [
            Mark::of_session("li", "1"),
            Mark::of_session("l", "i1"),
            Mark::of_token("li\n1"),
            Mark::of_jti("li\n1"),
        ];
        for (at, mark) in marks.iter().enumerate() {
            assert_eq!(Mark::parse(&mark.to_string()), Some(*mark));
            assert!(marks[..at].iter().all(|other| other != mark));
            assert_eq!(
                mark.to_string(),
                mark.words().map(|word| format!("{word:016x}")).concat()
            );
        }
        let upper = marks[0].to_string().to_uppercase();
        for wrong in ["", "0f", &upper, &"é".repeat(16), &"0".repeat(33)] {
            assert_eq!(Mark::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_cut_spares_only_what_says_that_it_was_issued_since() {
        let at = |issued_ms| Marks {
            own: Mark::of_jti("1"),
            jti: None,
            issued_ms,
        };
        assert!(at(Some(99)).is_before(100) && !at(Some(100)).is_before(100));
        assert!(at(None).is_before(100));
    }
}
