//! The second word of an entry: until when, of which generation, and of which kind.

use std::sync::atomic::Ordering;

use super::kind::Kind;
use crate::shared::sets::Slot;
use crate::signing::revocation::CUT_LIFE_MS;

/// How far ahead of this clock a cut may be, in ms; farther than any clock that works.
const CLOCKS_MS: u64 = 86_400_000;
/// Expiry of a ban that does not end by itself.
const NEVER: u32 = u32::MAX;
const GENERATION_BITS: u32 = 24;
pub(super) const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;

/// The second word of an entry. Zero: the tag alone was written yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Value(pub(super) u64);

impl Value {
    pub(super) fn new(kind: Kind, expires_s: Option<u64>, generation: u32) -> Self {
        // What ends after the year 2106 does not end.
        let expires = expires_s.map_or(NEVER, |s| u32::try_from(s).unwrap_or(NEVER));
        Self::with(kind, expires, generation)
    }

    pub(super) fn cut(before_ms: u64, generation: u32) -> Self {
        Self::with(Kind::CUT, before_ms as u32, generation)
    }

    fn with(kind: Kind, expires: u32, generation: u32) -> Self {
        let generation = u64::from(generation & GENERATION_MASK);
        Self(u64::from(expires) << 32 | generation << 8 | kind.number())
    }

    pub(super) fn of(slot: Slot<'_>) -> Self {
        Self(slot.value.load(Ordering::Acquire))
    }

    pub(super) fn kind(self) -> Option<Kind> {
        Kind::of_number(self.0 & 0xff)
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> 8) as u32 & GENERATION_MASK
    }

    pub(super) fn has_expired(self, now_s: u64) -> bool {
        if self.kind() == Some(Kind::CUT) {
            return self.cut_ms(now_s * 1_000).is_none();
        }
        let expires = (self.0 >> 32) as u32;
        expires != NEVER && now_s >= u64::from(expires)
    }

    /// The instant of a cut; `None` if it is over.
    pub(super) fn cut_ms(self, now_ms: u64) -> Option<u64> {
        let cut = (self.0 >> 32) as u32;
        let ago_ms = (now_ms as u32).wrapping_sub(cut);
        if u64::from(ago_ms) < CUT_LIFE_MS {
            return now_ms.checked_sub(u64::from(ago_ms));
        }
        // Whoever made it may have a clock that is ahead of ours.
        let ahead_ms = u64::from(ago_ms.wrapping_neg());
        (ahead_ms <= CLOCKS_MS).then(|| now_ms + ahead_ms)
    }
}
