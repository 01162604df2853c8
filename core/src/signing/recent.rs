//! Clicks that this worker has verified: whoever clicks again, with the same URL and the
//! same session, costs no digest.
//!
//! In a sale that is busy, clicks are repeated: a page that is told "busy" tries again, a
//! thumb taps twice, a bot sends one click a thousand times. Two digests take a quarter of
//! a microsecond, a look here a fifth of that; who comes for the first time pays it besides.
//!
//! # What is remembered
//! Of each click the 64-bit SipHash, under a key that the worker drew, of everything that
//! was verified: never the texts themselves. Nobody sees such a hash or can choose texts
//! that collide; a forged click is taken for a verified one with probability `8 · 2⁻⁶⁴`, the
//! slots that are looked at: once in some 70,000 years of a million forgeries a second.
//! What ends by itself (URL, session) and what may be withdrawn (a ban, a revocation) is
//! looked up at every click.
//!
//! # Size
//! 512 KiB for 65,536 clicks, which stay in the processor's second cache. Eight of them
//! share a cache line; what is new there takes the place of the oldest.

use std::cell::Cell;

use crate::siphash::Seed;

/// Hashes for this purpose say nothing about those for another.
const DOMAIN: u64 = 0x636c_6963_6b01;
/// Clicks in a cache line.
const WAYS: usize = 8;
/// Cache lines.
const LINES: usize = 8_192;

/// Everything of one click that was verified, as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

#[repr(align(64))]
#[derive(Clone, Default)]
struct Line([Cell<u64>; WAYS]);

/// The clicks that were verified, those seen last among them.
pub struct Recent {
    seed: Seed,
    lines: Box<[Line]>,
}

impl Recent {
    /// A memory that holds no click yet; `bits` are random.
    #[must_use]
    pub fn new(bits: [u64; 2]) -> Self {
        Self {
            seed: Seed::new(bits),
            lines: vec![Line::default(); LINES].into(),
        }
    }

    /// The mark of what these texts say, verified in the way that `way` stands for.
    pub(crate) fn mark<const N: usize>(&self, way: u64, texts: [&str; N]) -> Mark {
        // Zero is an empty slot.
        Mark(self.seed.hash_texts(DOMAIN << 8 | way, texts).max(1))
    }

    /// Whether it was verified.
    pub(crate) fn holds(&self, mark: Mark) -> bool {
        // Without a branch, so that the compiler takes many at once.
        let slots = self.line(mark).0.iter();
        slots.fold(false, |found, slot| found | (slot.get() == mark.0))
    }

    /// Remembers that it was verified.
    pub(crate) fn keep(&self, mark: Mark) {
        let mut next = mark.0;
        for slot in &self.line(mark).0 {
            next = slot.replace(next);
        }
    }

    fn line(&self, mark: Mark) -> &Line {
        &self.lines[(mark.0 >> 32) as usize % LINES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_verified_is_known_as_it_was_and_in_no_other_way() {
        let recent = Recent::new([1, 2]);
        let mark = recent.mark(0, ["/buy/1", "li"]);
        assert!(!recent.holds(mark));
        recent.keep(mark);
        assert!(recent.holds(mark));
        assert!(!recent.holds(recent.mark(1, ["/buy/1", "li"])));
        assert!(!recent.holds(recent.mark(0, ["/buy/1l", "i"])));
        let other = Recent::new([1, 3]);
        assert_ne!(other.mark(0, ["/buy/1", "li"]), mark, "another worker's");
    }

    #[test]
    fn those_seen_last_are_known_however_many_come() {
        let recent = Recent::new([1, 2]);
        let mark = |n: usize| recent.mark(0, [&n.to_string()]);
        let many = 10 * LINES * WAYS;
        for n in 0..many {
            recent.keep(mark(n));
            assert!(recent.holds(mark(n)));
        }
        let last = LINES * WAYS / 4;
        let known = (many - last..many).filter(|n| recent.holds(mark(*n)));
        assert!(known.count() > last * 99 / 100);
        assert!(!recent.holds(mark(0)));
    }
}
