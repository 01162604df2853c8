//! What became of the permits of an edge's latest leases, so that none is stranded.
//!
//! Every permit that was granted ends in one of two ways: it was *used* (the purchase
//! role says so in its response), or it is *returned*. The edge counts both per lease,
//! and reports the totals to Redis (`lua/permits/report.lua`). Totals may be repeated,
//! so that a report whose reply was lost is simply sent again. A lease of which every
//! permit is accounted for is closed there; what nobody can account for (the edge was
//! killed, a back end never replied) the back end settles when the lease is overdue.
//!
//! Worked example. A lease of 10: six purchases were made, one was refused by the back
//! end as malformed, one shopper left before their request was passed on, and the lease
//! ended with two left. The tally is 6 used, 4 returned, and the lease is closed.

use std::sync::atomic::{AtomicU64, Ordering};

/// Leases that an edge remembers: at 1,000 leases a second those of the last four
/// seconds, nearly as long as the back end leaves one open.
pub const TALLIES: usize = 4_096;

/// Bits of a count: what a lease can hold at most.
const BITS: u32 = 16;
const MOST: u64 = (1 << BITS) - 1;

/// What is known of a lease's permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Permits that were used.
    pub used: u64,
    /// Permits that are returned, or that the edge will not use.
    pub returned: u64,
}

/// A view of the table, in shared memory: atomics only, and all-zero bytes are an empty
/// one. One word per lease: its number's lower half, used, returned.
#[derive(Clone, Copy)]
pub struct Tallies<'a> {
    words: &'a [AtomicU64],
}

fn word(number: u64, tally: Tally) -> u64 {
    number << (2 * BITS) | tally.used.min(MOST) << BITS | tally.returned.min(MOST)
}

fn tally(word: u64) -> Tally {
    Tally {
        used: word >> BITS & MOST,
        returned: word & MOST,
    }
}

fn is_of(word: u64, number: u64) -> bool {
    word >> (2 * BITS) == number & 0xffff_ffff
}

impl<'a> Tallies<'a> {
    /// Over `words`, of any number above zero.
    #[must_use]
    pub fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    fn place(&self, number: u64) -> &'a AtomicU64 {
        &self.words[(number % self.words.len() as u64) as usize]
    }

    /// Begins to count for a lease, in the place of the oldest.
    pub fn open(&self, number: u64) {
        self.place(number)
            .store(word(number, Tally::default()), Ordering::Release);
    }

    /// Counts permits of a lease. False if the lease is no longer remembered: then the
    /// back end settles it.
    #[must_use]
    pub fn add(&self, number: u64, used: u64, returned: u64) -> bool {
        let place = self.place(number);
        let add = |current| {
            is_of(current, number).then(|| {
                let before = tally(current);
                word(
                    number,
                    Tally {
                        used: before.used + used,
                        returned: before.returned + returned,
                    },
                )
            })
        };
        place
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add)
            .is_ok()
    }

    /// Begins to count for a lease of which it is not known whether it was granted, and
    /// of which nothing will be spent: all of it is returned.
    pub fn abandon(&self, number: u64) {
        let none = Tally {
            used: 0,
            returned: MOST,
        };
        self.place(number)
            .store(word(number, none), Ordering::Release);
    }

    /// What is known of a lease; `None` if it is no longer remembered.
    #[must_use]
    pub fn read(&self, number: u64) -> Option<Tally> {
        let word = self.place(number).load(Ordering::Acquire);
        is_of(word, number).then(|| tally(word))
    }
}

#[cfg(test)]
mod tests;
