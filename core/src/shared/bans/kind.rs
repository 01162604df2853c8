//! Kinds of bans: a user, an address family with a prefix length, or a session that is
//! revoked.

use std::sync::atomic::{AtomicU64, Ordering};

/// A kind as a number from 1 to 165.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

/// Number of the networks of IPv4 with length 0; the others follow.
const V4: u8 = 1;
const V6: u8 = V4 + 33;
const USER: u8 = V6 + 129;
const SESSION: u8 = USER + 1;
const CUT: u8 = SESSION + 1;
const LAST: u8 = CUT;
const WORDS: usize = LAST as usize / 64 + 1;

impl Kind {
    /// A user.
    pub(super) const USER: Self = Self(USER);
    /// One session or token.
    pub(super) const SESSION: Self = Self(SESSION);
    /// All of a user's that were issued before an instant.
    pub(super) const CUT: Self = Self(CUT);

    /// Networks of `length`, at most 32 or 128.
    pub(super) fn of_network(is_v4: bool, length: u8) -> Self {
        Self(length + if is_v4 { V4 } else { V6 })
    }

    /// Whether it is a session, or all of a user's.
    pub(super) fn is_session(self) -> bool {
        self == Self::SESSION || self == Self::CUT
    }

    /// The prefix length; for other kinds without meaning.
    pub(super) fn length(self) -> u8 {
        self.0 - if self.0 < V6 { V4 } else { V6 }
    }

    pub(super) fn number(self) -> u64 {
        u64::from(self.0)
    }

    /// The kind of this number, if it is one.
    pub(super) fn of_number(number: u64) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (1..=LAST).contains(&number).then_some(Self(number))
    }
}

/// Bits of the kinds of one family in the word `index`.
const fn mask(first: u8, end: u8, index: usize) -> u64 {
    let mut bits = 0;
    let mut kind = first as usize;
    while kind < end as usize {
        if kind / 64 == index {
            bits |= 1 << (kind % 64);
        }
        kind += 1;
    }
    bits
}

const fn masks(first: u8, end: u8) -> [u64; WORDS] {
    let mut masks = [0; WORDS];
    let mut index = 0;
    while index < WORDS {
        masks[index] = mask(first, end, index);
        index += 1;
    }
    masks
}

const V4_MASKS: [u64; WORDS] = masks(V4, V6);
const V6_MASKS: [u64; WORDS] = masks(V6, USER);

/// A set of kinds. Zero bytes: none.
#[derive(Default)]
#[repr(C)]
pub(super) struct Kinds([AtomicU64; WORDS]);

impl Kinds {
    /// Adds one. Nearly always it is there: then nothing is written, so that the
    /// readers' cache lines stay theirs.
    pub(super) fn add(&self, kind: Kind) {
        if !self.has(kind) {
            self.0[usize::from(kind.0 / 64)].fetch_or(1 << (kind.0 % 64), Ordering::AcqRel);
        }
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.0[usize::from(kind.0 / 64)].load(Ordering::Acquire) >> (kind.0 % 64) & 1 == 1
    }

    /// The prefix lengths of one family, longest first: single addresses are
    /// what is banned most.
    pub(super) fn of_family(&self, is_v4: bool) -> impl Iterator<Item = Kind> {
        let masks = if is_v4 { &V4_MASKS } else { &V6_MASKS };
        let words = self.0.iter().zip(masks).enumerate().rev();
        words.flat_map(|(index, (word, mask))| {
            let mut left = word.load(Ordering::Acquire) & mask;
            std::iter::from_fn(move || {
                let highest = left.checked_ilog2()?;
                left &= !(1 << highest);
                Some(Kind((64 * index) as u8 + highest as u8))
            })
        })
    }

    pub(super) fn clear(&self) {
        for word in &self.0 {
            word.store(0, Ordering::Release);
        }
    }

    /// Becomes what `other` is.
    pub(super) fn copy_from(&self, other: &Self) {
        for (to, from) in self.0.iter().zip(&other.0) {
            to.store(from.load(Ordering::Acquire), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_both_families_is_a_kind_of_its_own() {
        let kinds = Kinds::default();
        let others = [Kind::USER, Kind::SESSION, Kind::CUT];
        let mut numbers = others.map(Kind::number).to_vec();
        others.into_iter().for_each(|kind| kinds.add(kind));
        for (is_v4, longest) in [(true, 32), (false, 128)] {
            for length in 0..=longest {
                let kind = Kind::of_network(is_v4, length);
                assert_eq!((kind.length(), kinds.has(kind)), (length, false));
                assert_eq!(Kind::of_number(kind.number()), Some(kind));
                kinds.add(kind);
                assert!(kinds.has(kind));
                numbers.push(kind.number());
            }
            let lengths: Vec<_> = kinds.of_family(is_v4).map(Kind::length).collect();
            assert_eq!(lengths, (0..=longest).rev().collect::<Vec<_>>());
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=165).collect::<Vec<_>>());
        assert_eq!(Kind::of_number(0), None);
        assert_eq!(Kind::of_number(166), None);
    }
}
