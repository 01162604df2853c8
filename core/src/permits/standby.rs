//! What an edge keeps in hand for the time when Redis is away
//! (`seckill_fallback pass`).
//!
//! What is let pass without asking Redis has to be counted *before*: an edge that
//! is cut off cannot know what the others take meanwhile, and what it passes
//! could not be counted before they take more. So each edge keeps its share as a
//! lease, taken and recorded like any other, and spends it only while Redis is
//! away. Three rules keep the sum over all edges exact:
//!
//! 1. The share is what is left, divided by the living edges ([`share`]). Redis
//!    counts it when it is taken, so that it is nobody else's.
//! 2. Its record is stamped [`HOLD_MS`] ahead and stamped again every
//!    [`RENEW_MS`]. The edge spends it until [`HOLD_MS`] have passed since it last
//!    *asked* for that; only after that, and the time that a request may be under
//!    way, does the back end close it. No share is given to others while its
//!    edge may still spend it.
//! 3. While Redis can be reached the share shrinks with what is left, four times a
//!    second, and an edge that has nothing else sells from its own.
//!
//! So nothing has to be put right afterwards: what was passed was counted, what
//! arrives is seen by the stock script, and what does not arrive within
//! [`HOLD_MS`] of Redis's return goes back with its lease.
//!
//! Worked example. Limit 100, one edge, 30 sold: 70 are in its share. Redis goes:
//! 70 pass and the next is refused. With two edges that take their turns, each
//! keeps a third of what is left, and a third is free for whoever has demand.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::permits::lease::{Spent, Word};
use crate::permits::tally::{self, Tallies, Tally};

/// How long after it was last renewed a share may be spent, in ms.
pub const HOLD_MS: u64 = 60_000;
/// Pause between two renewals, in ms.
pub const RENEW_MS: u64 = 15_000;
/// How long after its last lease a share may grow by little, in ms.
pub const REST_MS: u64 = 1_000;
/// Most permits in one share: what a [`Word`] can count.
pub const MAX_SHARE: u64 = 0xffff;

/// Leases that a share consists of: one, and a second for what came back later.
const PLACES: usize = 2;

/// This edge's share of what is left: `limit` − `granted` and the `held` permits
/// that it keeps already, divided by the living `edges`, rounded down.
#[must_use]
pub fn share(limit: u64, granted: u64, held: u64, edges: u64) -> u64 {
    let free = limit.saturating_sub(granted);
    let over = granted.saturating_sub(limit);
    let left = (free + held).saturating_sub(over);
    (left / edges.max(1)).min(MAX_SHARE)
}

/// What to do about a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is as it should be.
    Keep,
    /// Give this many permits back.
    Shrink(u64),
    /// Take this many more.
    Grow(u64),
}

/// What brings a share of `held` permits to `target`. It shrinks at once; it
/// grows by an eighth or more, since each growth is a lease of its own, and by less
/// only once it has rested for [`REST_MS`], so that in the end it has what is free.
#[must_use]
pub fn step(held: u64, target: u64, has_rested: bool) -> Step {
    match target.checked_sub(held) {
        None => Step::Shrink(held - target),
        Some(1..) if has_rested => Step::Grow(target - held),
        Some(more) if more > held / 8 => Step::Grow(more),
        Some(_) => Step::Keep,
    }
}

/// How many permits to return of a share of `held`, so that another edge may take
/// `wanted` (of which `needed` are waited for) while only `free` are there: what is
/// needed, and of the rest no more than an eighth of the share. What is on its
/// way when Redis goes away is lost to this edge.
#[must_use]
pub fn loosen(wanted: u64, needed: u64, free: u64, held: u64) -> u64 {
    let most = needed.saturating_sub(free).max(held / 8);
    wanted.saturating_sub(free).min(most).min(held)
}

/// Whether a share renewed at `asked_ms` may still be spent, both on the edge's
/// own monotonic clock. A clock that ran backwards ends it as well.
#[must_use]
pub fn may_spend(asked_ms: u64, now_ms: u64) -> bool {
    now_ms
        .checked_sub(asked_ms)
        .is_some_and(|age| age < HOLD_MS)
}

/// The share of one product, in shared memory: atomics only, and all-zero bytes
/// are none. What a killed worker had just taken out comes back with the lease.
#[repr(C)]
#[derive(Default)]
pub struct Standby {
    words: [AtomicU64; PLACES],
    asked_ms: [AtomicU64; PLACES],
    /// What became of the permits of each lease: it may be older than all that an edge
    /// remembers of others.
    tallies: [tally::Place; PLACES],
}

impl Standby {
    fn places(&self) -> impl Iterator<Item = (&AtomicU64, &AtomicU64)> {
        self.words.iter().zip(&self.asked_ms)
    }

    /// Spends `quantity` permits of one lease, if one has them.
    pub fn spend(&self, quantity: u32, now_ms: u64) -> Option<Spent> {
        for (place, asked) in self.places() {
            let mut word = place.load(Ordering::Acquire);
            // A place's time is written before its word, as in the hand.
            while may_spend(asked.load(Ordering::Acquire), now_ms)
                && let Some(spent) = Word(word).spend(quantity)
            {
                match exchange(place, word, spent.word) {
                    Ok(_) => return Some(spent),
                    Err(current) => word = current,
                }
            }
        }
        None
    }

    /// Permits in it, whether they may still be spent or not.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.words
            .iter()
            .map(|word| Word(word.load(Ordering::Acquire)).left())
            .sum()
    }

    /// Adds a lease asked for at `asked_ms`. False if there is no place for it;
    /// then it is to be given back. The tally of the lease whose place it takes is handed
    /// over to the `latest`.
    pub fn put(&self, number: u64, amount: u64, asked_ms: u64, latest: Tallies<'_>) -> bool {
        for ((place, asked), tally) in self.places().zip(&self.tallies) {
            let word = place.load(Ordering::Acquire);
            // Reserved with a number of no permits, as in the hand.
            let reserved = Word::new(number, 0);
            if Word(word).left() == 0 && exchange(place, word, reserved).is_ok() {
                asked.store(asked_ms, Ordering::Release);
                tally.hand_over(latest, Some(number));
                return exchange(place, reserved.0, Word::new(number, amount)).is_ok();
            }
        }
        false
    }

    /// Whether its last lease was taken, or renewed, [`REST_MS`] ago or more.
    #[must_use]
    pub fn has_rested(&self, now_ms: u64) -> bool {
        let age =
            |(_, asked): (_, &AtomicU64)| now_ms.saturating_sub(asked.load(Ordering::Acquire));
        self.places().map(age).all(|age| age >= REST_MS)
    }

    /// Whether a further lease has a place.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.words
            .iter()
            .any(|word| Word(word.load(Ordering::Acquire)).left() == 0)
    }

    /// Permits in its smallest lease that has any.
    #[must_use]
    pub fn smallest(&self) -> u64 {
        let left = |place: &AtomicU64| Word(place.load(Ordering::Acquire)).left();
        let left = self.words.iter().map(left);
        left.filter(|n| *n > 0).min().unwrap_or(0)
    }

    /// Takes up to `amount` permits out, the smallest lease first: lease numbers
    /// with what was taken of each, to be given back.
    pub fn take_out(&self, mut amount: u64) -> Vec<(u64, u64)> {
        let left = |place: &&AtomicU64| Word(place.load(Ordering::Acquire)).left();
        let mut places: Vec<&AtomicU64> = self.words.iter().collect();
        places.sort_by_key(left);
        let mut taken = Vec::new();
        for place in places {
            let mut word = place.load(Ordering::Acquire);
            while let n @ 1.. = Word(word).left().min(amount) {
                match exchange(place, word, Word(word - n)) {
                    Ok(_) => {
                        amount -= n;
                        taken.push((Word(word).lease(), n));
                        break;
                    }
                    Err(current) => word = current,
                }
            }
        }
        taken
    }

    /// Counts what became of permits of a lease; false if it is none of these.
    #[must_use]
    pub fn count(&self, number: u64, used: u64, returned: u64) -> bool {
        let count = |place: &tally::Place| place.add(number, used, returned);
        self.tallies.iter().any(count)
    }

    /// What became of the permits of a lease; `None` if it is none of these.
    #[must_use]
    pub fn tally(&self, number: u64) -> Option<Tally> {
        self.tallies.iter().find_map(|place| place.read(number))
    }

    /// Hands all tallies over to the `latest`, since this is to be another product's.
    pub fn hand_over(&self, latest: Tallies<'_>) {
        self.tallies
            .iter()
            .for_each(|place| place.hand_over(latest, None));
    }

    /// Leases to be renewed: those last renewed [`RENEW_MS`] ago or more. With
    /// `all` set every one, also those that are used up: for what was passed
    /// while Redis was away and has yet to arrive.
    #[must_use]
    pub fn due(&self, now_ms: u64, all: bool) -> Vec<u64> {
        self.places()
            .filter_map(|(word, asked)| {
                let word = Word(word.load(Ordering::Acquire));
                let age = now_ms.saturating_sub(asked.load(Ordering::Acquire));
                let is_due = all || (word.left() > 0 && age >= RENEW_MS);
                (word.lease() > 0 && is_due).then_some(word.lease())
            })
            .collect()
    }

    /// A lease was renewed; `asked_ms` is from before the question.
    pub fn renewed(&self, number: u64, asked_ms: u64) {
        for (word, asked) in self.places() {
            if Word(word.load(Ordering::Acquire)).lease() == number {
                asked.store(asked_ms, Ordering::Release);
            }
        }
    }

    /// A lease is no longer on record: nobody may spend from it.
    pub fn lost(&self, number: u64) {
        for place in &self.words {
            let mut word = place.load(Ordering::Acquire);
            while word != 0 && Word(word).lease() == number {
                match exchange(place, word, Word::default()) {
                    Ok(_) => return,
                    Err(current) => word = current,
                }
            }
        }
    }
}

fn exchange(place: &AtomicU64, old: u64, new: Word) -> Result<u64, u64> {
    place.compare_exchange(old, new.0, Ordering::AcqRel, Ordering::Acquire)
}

#[cfg(test)]
mod tests;
