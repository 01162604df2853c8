//! A product as found in the table: what Redis counted of it last, and what that means.

use std::sync::atomic::Ordering;

use super::{SOLD_OUT, Slot, UNKNOWN};
use crate::permits::hand::Hand;
use crate::permits::reopening::{self, Supply};
use crate::permits::standby::Standby;
use crate::sale::catalogue::Entry;

/// What Redis counts of a product at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Permits granted to all edges and not returned.
    pub granted: u64,
    /// Leases open, and items that are about to be for sale again
    /// ([`crate::permits::reopening`]).
    pub open: u64,
    /// Fingerprints in the list of its winners.
    pub winners: u64,
    /// How many permits there are.
    pub limit: u64,
}

/// A product as found in the table.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    /// Its line in the catalogue, as far as the edge needs it.
    pub entry: Entry,
    pub(super) slot: &'a Slot,
}

impl<'a> Found<'a> {
    /// Names the slot for as long as the zone lives.
    #[must_use]
    pub fn id(&self) -> usize {
        std::ptr::from_ref(self.slot).addr()
    }

    /// Permits that this edge holds for it.
    #[must_use]
    pub fn hand(&self) -> &'a Hand {
        &self.slot.hand
    }

    /// Permits that this edge keeps for when Redis is away.
    #[must_use]
    pub fn standby(&self) -> &'a Standby {
        &self.slot.standby
    }

    /// Permits granted to all edges, as Redis last replied.
    #[must_use]
    pub fn granted(&self) -> u64 {
        match self.slot.granted.load(Ordering::Relaxed) {
            word if word & SOLD_OUT != 0 => self.entry.limit,
            granted => granted,
        }
    }

    /// Whether Redis last replied that no permit is left, and this edge keeps none in
    /// its standby either.
    #[must_use]
    pub fn is_granted_out(&self) -> bool {
        self.granted() >= self.entry.limit && self.standby().held() == 0
    }

    /// What is to be had: nothing where Redis had no permit left, all that were granted were
    /// known to be spent, and none is on its way here. While some are granted and not spent
    /// it is not sold out: they may come back, and the items are there.
    #[must_use]
    pub fn supply(&self, now_ms: u64) -> Supply {
        let word = self.slot.granted.load(Ordering::Relaxed);
        let is_sold_out = word & SOLD_OUT != 0
            && self.standby().held() == 0
            && self.hand().left(now_ms) == 0
            && !self.hand().in_flight(now_ms);
        match is_sold_out {
            true => reopening::supply(word & !SOLD_OUT, now_ms),
            false => Supply::Perhaps,
        }
    }

    /// The hash of its name, the same in every zone.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.slot.hash.load(Ordering::Relaxed)
    }

    /// Fingerprints of its winners that this edge's filter knows.
    #[must_use]
    pub fn winners_known(&self) -> u64 {
        u64::from(self.slot.winners.load(Ordering::Acquire))
    }

    /// Records that the filter knows this many, all that are behind the first `before`
    /// included. Nothing is recorded if another worker recorded something else since.
    pub fn know_winners(&self, before: u64, known: u64) {
        let [before, known] = [before, known].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let (set, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        let _ = self
            .slot
            .winners
            .compare_exchange(before, known, set, failed);
    }

    /// Whether everything granted was spent, by these counts, and the filter knows who
    /// the winners are: before that nobody may be told that they lost.
    #[must_use]
    pub fn is_settled(&self, counted: Counted) -> bool {
        counted.open == 0 && counted.winners == self.winners_known()
    }

    /// Records what Redis counted, and that it was asked at `asked_ms`, monotonic; `None` if
    /// the counter in Redis is not a number, so that no request may pass until it is
    /// repaired. To be called right after the product was found: much later the slot may
    /// hold another, whose limit would then be wrong until the counts are read again.
    pub fn set_counted(&self, counted: Option<Counted>, asked_ms: u64) {
        let word = match counted {
            None => UNKNOWN,
            Some(counted) => {
                self.slot.limit.store(counted.limit, Ordering::Relaxed);
                if counted.granted >= counted.limit && self.is_settled(counted) {
                    SOLD_OUT | asked_ms
                } else {
                    counted.granted.min(UNKNOWN - 1)
                }
            }
        };
        self.slot.granted.store(word, Ordering::Relaxed);
    }

    /// Whether the counter in Redis is not a number.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.granted() == UNKNOWN
    }
}
