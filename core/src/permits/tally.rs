//! What became of the permits of an edge's latest leases, so that none is stranded.
//!
//! Every permit that was granted ends in one of two ways: it was *used* (the purchase
//! role says so in its response), or it is *returned*. The edge counts both per lease,
//! and reports the totals to Redis (`lua/permits/report.lua`). Totals may be repeated,
//! so that a report whose reply was lost is simply sent again. A lease of which every
//! permit is accounted for is closed there; what nobody can account for (the edge was
//! killed, a back end never replied) the back end settles when the lease is overdue.
//!
//! A lease of which permits are kept for when Redis is away lives longer than those that an
//! edge remembers: its tally stands beside it ([`super::standby`]) until it is used up.
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

/// The tally of one lease in shared memory: its number's lower half, used, returned. Zero
/// means that the place belongs to no lease.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Place(AtomicU64);

impl Place {
    /// Begins to count for a lease.
    fn open(&self, number: u64, tally: Tally) {
        self.0.store(word(number, tally), Ordering::Release);
    }

    /// Counts permits of a lease; false if another one's are counted here.
    pub(super) fn add(&self, number: u64, used: u64, returned: u64) -> bool {
        let add = |current| {
            is_of(current, number).then(|| {
                let before = tally(current);
                let used = before.used + used;
                let returned = before.returned + returned;
                word(number, Tally { used, returned })
            })
        };
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add)
            .is_ok()
    }

    /// What is known of a lease; `None` if another one's permits are counted here.
    pub(super) fn read(&self, number: u64) -> Option<Tally> {
        let word = self.0.load(Ordering::Acquire);
        is_of(word, number).then(|| tally(word))
    }

    /// Hands the tally that is here over to those of the latest leases, and begins to count
    /// for lease `number`, if there is one. Nothing that is counted meanwhile is lost.
    pub(super) fn hand_over(&self, latest: Tallies<'_>, number: Option<u64>) {
        let next = number.map_or(0, |number| word(number, Tally::default()));
        let mut current = self.0.load(Ordering::Acquire);
        loop {
            if current != 0 {
                latest
                    .place(current >> (2 * BITS))
                    .0
                    .store(current, Ordering::Release);
            }
            let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
            match self.0.compare_exchange(current, next, done, failed) {
                Ok(_) => return,
                Err(other) => current = other,
            }
        }
    }
}

/// A view of the table, in shared memory: atomics only, and all-zero bytes are an empty
/// one.
#[derive(Clone, Copy)]
pub struct Tallies<'a> {
    places: &'a [Place],
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
    /// Over `places`, a power of two of them.
    #[must_use]
    pub fn new(places: &'a [Place]) -> Self {
        Self { places }
    }

    fn place(&self, number: u64) -> &'a Place {
        &self.places[(number % self.places.len() as u64) as usize]
    }

    /// Begins to count for a lease, in the place of the oldest.
    pub fn open(&self, number: u64) {
        self.place(number).open(number, Tally::default());
    }

    /// Counts permits of a lease. False if the lease is no longer remembered: then the
    /// back end settles it.
    #[must_use]
    pub fn add(&self, number: u64, used: u64, returned: u64) -> bool {
        self.place(number).add(number, used, returned)
    }

    /// Begins to count for a lease of which it is not known whether it was granted, and
    /// of which nothing will be spent: all of it is returned.
    pub fn abandon(&self, number: u64) {
        let none = Tally {
            used: 0,
            returned: MOST,
        };
        self.place(number).open(number, none);
    }

    /// What is known of a lease; `None` if it is no longer remembered.
    #[must_use]
    pub fn read(&self, number: u64) -> Option<Tally> {
        self.place(number).read(number)
    }
}

#[cfg(test)]
mod tests;
