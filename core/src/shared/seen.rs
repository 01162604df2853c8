//! Second clicks: buyers who were admitted already, so that the edge refuses
//! them without asking for a permit. The stock script remains the authority;
//! whatever is forgotten here costs a permit and its refund, never an item.
//!
//! # What an entry holds
//! 16 bytes: the 64-bit SipHash of (round, product, user) under the zone's
//! random `Seed`; of the request id, 32 bits; when, in seconds modulo 2²⁴ (194
//! days); and eight *check bits* that follow from the hash, by which a reader
//! knows that both words were written for the same buyer.
//!
//! # How often a stranger is refused
//! They are taken for one of `n` recorded buyers with probability `n · 2⁻⁶⁴`; the
//! set in which an entry lies follows from the same 64 bits and adds nothing.
//! With 1,000,000 recorded and 10,000,000 strangers, the chance that one of them
//! in the whole sale is refused wrongly is 10⁶ · 10⁷ / 1.8·10¹⁹ = 5·10⁻⁷. With 48
//! bits it would be 3.6 %, with 32 bits 2,300 people. An attacker cannot raise it by choosing
//! names, since the seed is secret. Two requests of *one* buyer seem the same
//! with probability 2⁻³²; the script then answers the second one.
//!
//! # Size and what happens when it is full
//! `bytes_for` gives 11 of 16 slots to be used: 1,000,000 buyers in 22.2 MiB,
//! of whom 0.07 are expected to be displaced before the table holds them all.
//! Beyond that the oldest of the 16 slots gives way, and that is counted.
//!
//! # Two workers at once
//! Both may find a buyer unseen and record them, each with its own request: a
//! double click that met two workers. Then the buyer is in the table twice, both
//! requests count as `Answer::SameRequest` when they are repeated, and the script
//! decides which one won. (A later request takes the place of the older of two, so
//! that one buyer cannot fill a set.) A worker that loses a slot to another tries the
//! next; one that is killed between the two words leaves a buyer who counts as unseen.

use std::sync::atomic::{AtomicU64, Ordering};

use super::sets::{self, Set, Slot, WAYS};
use super::siphash::Seed;

/// Domains of the seed: hashes for one purpose say nothing about the other's.
const BUYER: u64 = 0x7365_656e_0001;
const REQUEST: u64 = 0x7365_656e_0002;
const CHECK: u64 = 0x9e37_79b9_7f4a_7c15;

const TIME_BITS: u32 = 24;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// How far the clocks of two workers may differ, in seconds. An entry from
/// further in the future is one from before the clock was set back.
const SKEW_S: u64 = 60;
/// Longest life of an entry, in seconds: 194 days.
pub const MAX_LIFE_S: u64 = TIME_MASK - 2 * SKEW_S;
/// Entries that one buyer may have, see the module's documentation.
const PER_BUYER: usize = 2;
/// How often a slot may be lost to another worker before a buyer is not recorded.
const ATTEMPTS: usize = 2 * WAYS;

/// The key of one buyer of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuyerKey(u64);

/// The key of one request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestKey(u32);

impl BuyerKey {
    /// The key of this buyer for this product of this round.
    #[must_use]
    pub fn new(seed: Seed, round: &str, product: &str, user: &str) -> Self {
        Self(sets::tag_of(seed.hash_texts(BUYER, [round, product, user])))
    }
}

impl RequestKey {
    /// The key of the request with this id.
    #[must_use]
    pub fn new(seed: Seed, id: &str) -> Self {
        Self(seed.hash_texts(REQUEST, [id]) as u32)
    }

    /// A key for a request without an id, from random bits.
    #[must_use]
    pub fn random(bits: u64) -> Self {
        Self(bits as u32)
    }

    /// Its hash.
    pub(super) fn bits(self) -> u32 {
        self.0
    }
}

/// What the table knows of a click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The buyer was not admitted yet, as far as this edge remembers.
    Unseen,
    /// This very request was admitted: let it through, to get the same response.
    SameRequest,
    /// Another request of this buyer was admitted: refuse as a duplicate.
    SecondClick,
    /// This edge does not know them, and another one may have admitted them
    /// ([`super::winners`]): the back end knows.
    PerhapsElsewhere,
}

/// Counters of the table. Zero bytes are their first state.
#[derive(Default)]
#[repr(C)]
pub struct Counts {
    entries: AtomicU64,
    evicted: AtomicU64,
    lost: AtomicU64,
}

impl Counts {
    /// Entries in the table, give or take one for every worker that was killed.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Entries that gave way to others.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Buyers who were not recorded because others were faster each time.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Bytes of a table for `entries` buyers: 5.5 of the eight slots of a set used.
#[must_use]
pub const fn bytes_for(entries: usize) -> usize {
    let sets = entries.saturating_mul(2).div_ceil(11);
    sets.saturating_mul(size_of::<Set>())
}

/// How many buyers a table of `sets` remembers practically without a loss.
#[must_use]
pub const fn holds(sets: usize) -> usize {
    sets * 11 / 2
}

/// The request, time and check bits of an entry, as one word.
#[derive(Clone, Copy)]
struct Mark(u64);

impl Mark {
    fn new(buyer: BuyerKey, request: RequestKey, now_s: u64) -> Self {
        Self(u64::from(request.0) << 32 | (now_s & TIME_MASK) << 8 | Self::check(buyer))
    }

    fn check(buyer: BuyerKey) -> u64 {
        buyer.0.wrapping_mul(CHECK) >> 56
    }

    fn of(slot: Slot<'_>) -> Self {
        Self(slot.value.load(Ordering::Acquire))
    }

    fn is_for(self, buyer: BuyerKey) -> bool {
        self.0 & 0xff == Self::check(buyer)
    }

    fn request(self) -> RequestKey {
        RequestKey((self.0 >> 32) as u32)
    }

    /// Seconds since it was recorded, plus [`SKEW_S`].
    fn age(self, now_s: u64) -> u64 {
        (now_s + SKEW_S).wrapping_sub(self.0 >> 8) & TIME_MASK
    }
}

/// A view of the table.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    sets: &'a [Set],
    counts: &'a Counts,
    life_s: u64,
}

impl<'a> Seen<'a> {
    /// Over `sets`, of any number. An entry older than `life_s` seconds (at most
    /// [`MAX_LIFE_S`]) no longer counts: a buyer whose admitted request failed
    /// unnoticed may then click again.
    #[must_use]
    pub fn new(sets: &'a [Set], counts: &'a Counts, life_s: u64) -> Self {
        let life_s = life_s.min(MAX_LIFE_S);
        Self {
            sets,
            counts,
            life_s,
        }
    }

    /// The sets that [`Self::check`] will read, whose first lines a caller may
    /// have memory bring beforehand.
    pub fn lines(&self, buyer: BuyerKey) -> impl Iterator<Item = &'a Set> + use<'a> {
        sets::choices(self.sets, buyer.0)
    }

    /// What the table knows of this click. Reads two cache lines, four on a hit.
    #[must_use]
    pub fn check(&self, buyer: BuyerKey, request: RequestKey, now_s: u64) -> Answer {
        self.answer(buyer, request, |mark| {
            mark.age(now_s) <= self.life_s + SKEW_S
        })
    }

    /// The same however long ago the buyer was admitted: what became of their purchase
    /// holds until the round is over, or until [`Self::forget`].
    #[must_use]
    pub fn recall(&self, buyer: BuyerKey, request: RequestKey) -> Answer {
        self.answer(buyer, request, |_| true)
    }

    /// Whether the buyer was admitted, however long ago and by whichever request.
    #[must_use]
    pub fn knows(&self, buyer: BuyerKey) -> bool {
        sets::matching(self.sets, buyer.0).any(|slot| Mark::of(slot).is_for(buyer))
    }

    fn answer(
        &self,
        buyer: BuyerKey,
        request: RequestKey,
        counts: impl Fn(Mark) -> bool,
    ) -> Answer {
        let mut answer = Answer::Unseen;
        for slot in sets::matching(self.sets, buyer.0) {
            let mark = Mark::of(slot);
            if mark.is_for(buyer) && counts(mark) {
                if mark.request() == request {
                    return Answer::SameRequest;
                }
                answer = Answer::SecondClick;
            }
        }
        answer
    }

    /// Remembers that this request was admitted.
    pub fn record(&self, buyer: BuyerKey, request: RequestKey, now_s: u64) {
        let mark = Mark::new(buyer, request, now_s);
        if let Some(slot) = self.own_slot(buyer, request, now_s) {
            slot.value.store(mark.0, Ordering::Release);
            return;
        }
        for _ in 0..ATTEMPTS {
            let Some((slot, old)) = self.victim(buyer, now_s) else {
                return;
            };
            if slot.claim(old, buyer.0) {
                slot.value.store(mark.0, Ordering::Release);
                let count = match old {
                    0 => &self.counts.entries,
                    _ => &self.counts.evicted,
                };
                count.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers that a buyer who is in the table was admitted now with yet another
    /// request. The requests that are in it stay: one of them made the purchase.
    pub fn touch(&self, buyer: BuyerKey, now_s: u64) {
        for slot in sets::matching(self.sets, buyer.0) {
            let mark = Mark::of(slot);
            if mark.is_for(buyer) {
                let mark = Mark::new(buyer, mark.request(), now_s);
                slot.value.store(mark.0, Ordering::Release);
            }
        }
    }

    /// Forgets a buyer whom the back end lets buy again. Whether they were recorded.
    pub fn forget(&self, buyer: BuyerKey) -> bool {
        let mut was_there = false;
        for slot in sets::matching(self.sets, buyer.0) {
            if slot.claim(buyer.0, 0) {
                self.counts.entries.fetch_sub(1, Ordering::Relaxed);
                was_there = true;
            }
        }
        was_there
    }

    /// The slot of this buyer to overwrite: that of the same request, or one that was
    /// left half written, else the older one if the buyer has [`PER_BUYER`].
    fn own_slot(&self, buyer: BuyerKey, request: RequestKey, now_s: u64) -> Option<Slot<'a>> {
        let mut oldest = None;
        let mut count = 0;
        for slot in sets::matching(self.sets, buyer.0) {
            let mark = Mark::of(slot);
            if !mark.is_for(buyer) || mark.request() == request {
                return Some(slot);
            }
            count += 1;
            if oldest.is_none_or(|(_, age)| age < mark.age(now_s)) {
                oldest = Some((slot, mark.age(now_s)));
            }
        }
        oldest
            .filter(|(_, age)| count >= PER_BUYER || *age > self.life_s + SKEW_S)
            .map(|(slot, _)| slot)
    }

    /// A slot to write to and the tag in it: an empty one, else the oldest.
    fn victim(&self, buyer: BuyerKey, now_s: u64) -> Option<(Slot<'a>, u64)> {
        if let Some(slot) = sets::vacancy(self.sets, buyer.0) {
            return Some((slot, 0));
        }
        sets::candidates(self.sets, buyer.0)
            .max_by_key(|slot| Mark::of(*slot).age(now_s))
            .map(|slot| (slot, slot.tag.load(Ordering::Acquire)))
    }
}

#[cfg(test)]
mod tests;
