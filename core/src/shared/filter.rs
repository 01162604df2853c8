//! Who is certainly not in a table, in a few bits each: of the bans (`super::bans`), and
//! of the winners (`super::winners`), who have no other table.
//!
//! The table of a million bans lies in main memory: to find that an address is
//! not in it costs two cache misses, some 350 ns where they also miss the
//! processor's list of pages. This filter answers first, from eight bits a ban
//! (1 MiB for a million, which stays in the processor's cache): two bits of one word,
//! chosen by the tag, are set for every ban; 95 of 100 who are not banned meet one
//! that is not.
//!
//! Bits cannot be taken back one by one. There are therefore two such filters: a
//! sweep clears the one that is not in use, fills it with what it keeps, and
//! puts it into use by one store.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::shared::sets::{self, Set};

/// Of this many sets, two are for the filters.
const PART: usize = 34;
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

/// A view of both filters.
#[derive(Clone, Copy)]
pub(super) struct Filter<'a> {
    halves: [&'a [Set]; 2],
    turn: &'a Turn,
}

/// The word and the two bits of `tag`; `None` in a filter without words.
fn place(half: &[Set], tag: u64) -> Option<(&AtomicU64, u64)> {
    let word = sets::word(half, tag)?;
    Some((word, 1 << (tag >> 32 & 63) | 1 << (tag >> 38 & 63)))
}

fn add(half: &[Set], tag: u64) {
    if let Some((word, bits)) = place(half, tag)
        && word.load(Ordering::Relaxed) & bits != bits
    {
        word.fetch_or(bits, Ordering::AcqRel);
    }
}

impl<'a> Filter<'a> {
    /// Over the sets that are for it.
    pub(super) fn new(sets: &'a [Set], turn: &'a Turn) -> Self {
        let (first, second) = sets.split_at(sets.len() / 2);
        let halves = [first, second];
        Self { halves, turn }
    }

    /// Whether `tag` may be in the table.
    pub(super) fn may_hold(&self, tag: u64) -> bool {
        for _ in 0..ATTEMPTS {
            let turn = self.turn.0.load(Ordering::Acquire);
            let Some((word, bits)) = place(self.halves[(turn & 1) as usize], tag) else {
                return true;
            };
            if word.load(Ordering::Relaxed) & bits == bits {
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
        self.halves.iter().for_each(|half| add(half, tag));
    }

    /// Adds a tag that the sweep keeps.
    pub(super) fn keep(&self, tag: u64, sweep: Number) {
        add(self.halves[(!sweep.0 & 1) as usize], tag);
    }

    /// Clears the one that is not in use.
    pub(super) fn clear_spare(&self, sweep: Number) {
        for set in self.halves[(!sweep.0 & 1) as usize] {
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
