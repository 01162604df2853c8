//! Who is certainly not in a table, in a few bits each: of the bans (`super::bans`), and
//! of the winners (`super::winners`), who have no other table.
//!
//! The table of a million bans lies in main memory: to find that an address is
//! not in it costs two cache misses, some 350 ns where they also miss the
//! processor's list of pages. This filter answers first, from eight bits a ban
//! (1 MiB for a million, which stays in the processor's last cache): two bits of one word,
//! chosen by the tag, are set for every ban; 95 of 100 who are not banned meet one
//! that is not.
//!
//! Before it, a *sieve* of 4 KiB answers, which stays in the processor's first cache: one
//! bit is set for every ban. Of a thousand bans it lets three in a hundred of all others
//! through to the filter, of ten thousand a quarter; of a million it is no help, and costs
//! next to nothing.
//!
//! Bits cannot be taken back one by one. There are therefore two such filters: a
//! sweep clears the one that is not in use, fills it with what it keeps, and
//! puts it into use by one store.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::shared::sets::{self, Set};

/// Of this many sets, two are for the filters.
const PART: usize = 34;
/// Sets of a half that are its sieve, …
const SIEVE: usize = 32;
/// … if it has this many at least.
const LEAST_WITH_SIEVE: usize = 8 * SIEVE;
/// How often a reader starts again because sweeps overtake it.
const ATTEMPTS: usize = 4;

/// Sets that a table of `sets` needs besides for its filters.
pub(super) const fn sets_for(sets: usize) -> usize {
    sets.div_ceil(PART - 2) * 2
}

/// Sets that are for the filters, of `sets` together.
pub(super) const fn sets_of(sets: usize) -> usize {
    sets / PART * 2
}

/// Which filter is in use, and which sweep is the last that began. Zero bytes
/// are its first state.
#[derive(Default)]
#[repr(transparent)]
pub(super) struct Turn(AtomicU64);

/// The last sweep's number; the lowest bit is the filter in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(u64);

impl Turn {
    /// Begins a sweep; the one before can no longer be finished.
    pub(super) fn begin(&self) -> Number {
        Number(self.0.fetch_add(2, Ordering::AcqRel).wrapping_add(2))
    }

    /// Whether no other sweep began since.
    pub(super) fn is_last(&self, sweep: Number) -> bool {
        self.0.load(Ordering::Acquire) == sweep.0
    }

    /// Puts the other filter into use; false if another sweep began since.
    pub(super) fn finish(&self, sweep: Number) -> bool {
        let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        self.0
            .compare_exchange(sweep.0, sweep.0 ^ 1, done, failed)
            .is_ok()
    }
}

/// One filter. Which word and bits are a tag's, other parts of the tag decide for the
/// sieve than for the rest.
#[derive(Clone, Copy)]
struct Half<'a> {
    sieve: &'a [Set],
    rest: &'a [Set],
}

impl<'a> Half<'a> {
    fn new(sets: &'a [Set]) -> Self {
        let sieve = if sets.len() < LEAST_WITH_SIEVE {
            0
        } else {
            SIEVE
        };
        let (sieve, rest) = sets.split_at(sieve);
        Self { sieve, rest }
    }

    /// The word and the bit of `tag` in the sieve, if there is one.
    fn in_sieve(&self, tag: u64) -> Option<(&'a AtomicU64, u64)> {
        let word = sets::word(self.sieve, tag.rotate_left(20))?;
        Some((word, 1 << (tag >> 44 & 63)))
    }

    /// The word and the two bits of `tag`; `None` in a filter without words.
    fn in_rest(&self, tag: u64) -> Option<(&'a AtomicU64, u64)> {
        let word = sets::word(self.rest, tag)?;
        Some((word, 1 << (tag >> 32 & 63) | 1 << (tag >> 38 & 63)))
    }

    /// A filter without words may hold anybody.
    fn may_hold(&self, tag: u64) -> bool {
        let has_all = |(word, bits): (&AtomicU64, u64)| word.load(Ordering::Relaxed) & bits == bits;
        self.in_sieve(tag).is_none_or(has_all) && self.in_rest(tag).is_none_or(has_all)
    }

    fn add(&self, tag: u64) {
        let places = [self.in_rest(tag), self.in_sieve(tag)];
        for (word, bits) in places.into_iter().flatten() {
            if word.load(Ordering::Relaxed) & bits != bits {
                word.fetch_or(bits, Ordering::AcqRel);
            }
        }
    }
}

/// A view of both filters.
#[derive(Clone, Copy)]
pub(super) struct Filter<'a> {
    halves: [Half<'a>; 2],
    turn: &'a Turn,
}

impl<'a> Filter<'a> {
    /// Over the sets that are for it.
    pub(super) fn new(sets: &'a [Set], turn: &'a Turn) -> Self {
        let (first, second) = sets.split_at(sets.len() / 2);
        let halves = [first, second].map(Half::new);
        Self { halves, turn }
    }

    /// Whether `tag` may be in the table.
    pub(super) fn may_hold(&self, tag: u64) -> bool {
        for _ in 0..ATTEMPTS {
            let turn = self.turn.0.load(Ordering::Acquire);
            if self.halves[(turn & 1) as usize].may_hold(tag) {
                return true;
            }
            // A reader that was held up for a whole sweep may have read what the
            // next one has cleared.
            fence(Ordering::Acquire);
            if self.turn.0.load(Ordering::Relaxed) == turn {
                return false;
            }
        }
        true
    }

    /// Adds a tag to both: also to what a sweep under way fills.
    pub(super) fn add(&self, tag: u64) {
        self.halves.iter().for_each(|half| half.add(tag));
    }

    /// Adds a tag that the sweep keeps.
    pub(super) fn keep(&self, tag: u64, sweep: Number) {
        self.halves[(!sweep.0 & 1) as usize].add(tag);
    }

    /// Clears the one that is not in use.
    pub(super) fn clear_spare(&self, sweep: Number) {
        let spare = self.halves[(!sweep.0 & 1) as usize];
        for set in spare.sieve.iter().chain(spare.rest) {
            // One that was stopped for long and goes on must not clear what
            // another has put into use meanwhile.
            if !self.turn.is_last(sweep) {
                return;
            }
            set.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::sets::zeroed;
    use crate::shared::siphash::Seed;

    fn tag(n: u64) -> u64 {
        Seed::new([3, 4]).hash_words([n])
    }

    #[test]
    fn sizes_add_up_for_any_table() {
        for table in 0..500 {
            let together = table + sets_for(table);
            assert!(together - sets_of(together) >= table, "{table} sets");
            assert_eq!(sets_of(together) % 2, 0);
        }
    }

    #[test]
    fn knows_nearly_all_who_are_not_there_and_misses_nobody() {
        // 1,024 sets of four bans each.
        let sets = zeroed(sets_for(1_024));
        let turn = Turn::default();
        let filter = Filter::new(&sets, &turn);
        assert!(!filter.may_hold(tag(1)));
        (0..4_096).for_each(|n| filter.add(tag(n)));
        assert!((0..4_096).all(|n| filter.may_hold(tag(n))));
        let wrong = (4_096..14_096).filter(|&n| filter.may_hold(tag(n))).count();
        assert!((300..800).contains(&wrong), "{wrong} of 10,000");
    }

    #[test]
    fn a_sieve_answers_for_nearly_all_while_few_are_there_and_misses_nobody_of_many() {
        let sets = zeroed(2 * LEAST_WITH_SIEVE);
        let turn = Turn::default();
        let filter = Filter::new(&sets, &turn);
        let lets_through = |n: u64| {
            let (word, bit) = filter.halves[0].in_sieve(tag(n)).unwrap();
            word.load(Ordering::Relaxed) & bit != 0
        };
        (0..1_000).for_each(|n| filter.add(tag(n)));
        let through = (30_000..40_000).filter(|&n| lets_through(n)).count();
        assert!((200..400).contains(&through), "{through} of 10,000");
        let wrong = (30_000..40_000)
            .filter(|&n| filter.may_hold(tag(n)))
            .count();
        assert!(wrong < 10, "{wrong} of 10,000");
        (1_000..20_000).for_each(|n| filter.add(tag(n)));
        assert!((0..20_000).all(|n| filter.may_hold(tag(n))));
        let sweep = turn.begin();
        filter.clear_spare(sweep);
        filter.keep(tag(7), sweep);
        assert!(turn.finish(sweep) && filter.may_hold(tag(7)));
        assert_eq!((8..1_000).filter(|&n| filter.may_hold(tag(n))).count(), 0);
    }

    #[test]
    fn a_sweep_that_another_overtook_changes_nothing() {
        let sets = zeroed(4);
        let turn = Turn::default();
        let filter = Filter::new(&sets, &turn);
        filter.add(tag(1));
        let old = turn.begin();
        let new = turn.begin();
        filter.clear_spare(new);
        filter.keep(tag(1), new);
        assert!(!turn.finish(old) && filter.may_hold(tag(1)));
        assert!(turn.finish(new) && filter.may_hold(tag(1)));
        filter.clear_spare(old);
        assert!(filter.may_hold(tag(1)));
    }
}
