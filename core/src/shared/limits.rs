//! Buckets by key, for `seckill_rate key=…`: a set-associative table that all workers
//! of one edge share.
//!
//! An entry has two words. The *bucket* counts by itself (see `rate::bucket`): it is
//! the limit of this edge alone, and its part of the site's while Redis is away. The
//! *hand* holds what Redis said last of the site's bucket: tokens that may be used
//! until a moment, or that there are none until then.
//!
//! A full set evicts the entry that has rested longest, whose bucket is the fullest:
//! what is forgotten of it is least.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::rate::bucket::{Rate, Take};

/// Entries of a set, which has two cache lines.
const WAYS: usize = 5;
const TOKEN_BITS: u32 = 16;
const MOST_TOKENS: u64 = (1 << TOKEN_BITS) - 1;
const MS: u64 = 1_000_000;

#[derive(Default)]
#[repr(C)]
struct Entry {
    /// The key's hash; 0 for an entry that was never used.
    tag: AtomicU64,
    bucket: AtomicU64,
    /// `until_ms << TOKEN_BITS | tokens`.
    hand: AtomicU64,
}

/// One set of the table. Zero bytes: empty.
#[derive(Default)]
#[repr(C, align(128))]
pub struct LimitSet([Entry; WAYS]);

/// What is known here of the site's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// A token was in hand, and is used.
    Passed,
    /// There is none for so many ms.
    Refused(u64),
    /// Nothing: Redis has to say.
    Unknown,
}

/// A view of the table.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    sets: &'a [LimitSet],
}

/// One key's entry.
#[derive(Clone, Copy)]
pub struct Limit<'a> {
    entry: &'a Entry,
}

impl<'a> Limits<'a> {
    /// Over `sets`.
    #[must_use]
    pub fn new(sets: &'a [LimitSet]) -> Self {
        Self { sets }
    }

    /// The entry of the key with this hash, made at the first use. `None` for a table
    /// without sets.
    #[must_use]
    pub fn entry(&self, hash: u64) -> Option<Limit<'a>> {
        let tag = hash.max(1);
        let index = (u128::from(hash) * self.sets.len() as u128) >> 64;
        let LimitSet(entries) = self.sets.get(index as usize)?;
        let found = entries
            .iter()
            .find(|entry| entry.tag.load(Ordering::Acquire) == tag);
        if let Some(entry) = found {
            return Some(Limit { entry });
        }
        let rested = entries.iter().min_by_key(|entry| entry.last_ns())?;
        let before = rested.tag.load(Ordering::Acquire);
        let words = [&rested.bucket, &rested.hand].map(|word| (word, word.load(Ordering::Acquire)));
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        // Another worker may take it in this instant: then two keys share an entry
        // until one of them is looked up again.
        if rested
            .tag
            .compare_exchange(before, tag, done, failed)
            .is_ok()
        {
            for (word, old) in words {
                // Whoever used it meanwhile has counted on it already.
                let _ = word.compare_exchange(old, 0, done, failed);
            }
        }
        Some(Limit { entry: rested })
    }
}

impl Entry {
    /// When it will have been at rest, ns: 0 for one that was never used.
    fn last_ns(&self) -> u64 {
        let hand_ms = self.hand.load(Ordering::Relaxed) >> TOKEN_BITS;
        let bucket_ns = self.bucket.load(Ordering::Relaxed);
        bucket_ns.max(hand_ms.saturating_mul(MS))
    }
}

impl Limit<'_> {
    /// Takes a token from this edge's own bucket, which may have had another rate before.
    ///
    /// # Errors
    /// Milliseconds until there is one.
    pub fn take(&self, rate: Rate, now_ns: u64) -> Result<(), u64> {
        let mut word = self.entry.bucket.load(Ordering::Relaxed);
        loop {
            let held = rate.bounded(word, now_ns);
            let (next, taken) = match rate.take(held, now_ns) {
                Take::Granted(next) => (next, Ok(())),
                Take::Refused { wait_ns } => (held, Err(wait_ns.div_ceil(MS))),
            };
            if next == word {
                return taken;
            }
            let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
            let bucket = &self.entry.bucket;
            match bucket.compare_exchange_weak(word, next, done, failed) {
                Ok(_) => return taken,
                Err(current) => word = current,
            }
        }
    }

    /// Uses a token in hand, or says what else is known.
    #[must_use]
    pub fn use_hand(&self, now_ms: u64) -> Known {
        let mut word = self.entry.hand.load(Ordering::Acquire);
        loop {
            let (until_ms, tokens) = (word >> TOKEN_BITS, word & MOST_TOKENS);
            if until_ms <= now_ms {
                return Known::Unknown;
            }
            if tokens == 0 {
                return Known::Refused(until_ms - now_ms);
            }
            // The last one used, nothing is known any more.
            let next = if tokens == 1 { 0 } else { word - 1 };
            let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
            let hand = &self.entry.hand;
            match hand.compare_exchange_weak(word, next, done, failed) {
                Ok(_) => return Known::Passed,
                Err(current) => word = current,
            }
        }
    }

    /// Adds tokens that may be used until `until_ms`.
    pub fn add(&self, tokens: u64, now_ms: u64, until_ms: u64) {
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        // Never fails, since the closure always has a word.
        let _ = self.entry.hand.fetch_update(done, failed, |word| {
            let is_held = word >> TOKEN_BITS > now_ms;
            let held = if is_held { word & MOST_TOKENS } else { 0 };
            let sum = (held + tokens).min(MOST_TOKENS);
            Some(until_ms << TOKEN_BITS | sum)
        });
    }

    /// Records that there is no token until `until_ms`, unless some are in hand.
    pub fn refuse_until(&self, until_ms: u64, now_ms: u64) {
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        // Fails where tokens are in hand, which are better.
        let _ = self.entry.hand.fetch_update(done, failed, |word| {
            let is_in_hand = word >> TOKEN_BITS > now_ms && word & MOST_TOKENS > 0;
            (!is_in_hand).then_some(until_ms << TOKEN_BITS)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn sets(count: usize) -> Vec<LimitSet> {
        (0..count).map(|_| LimitSet::default()).collect()
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let sets = sets(16);
        let limits = Limits::new(&sets);
        let rate = Rate::new(10, 3);
        let passed = |hash: u64, now_ns| {
            let entry = limits.entry(hash).unwrap();
            (0..20).filter(|_| entry.take(rate, now_ns).is_ok()).count()
        };
        assert_eq!(passed(1 << 60, 0), 3);
        assert_eq!(passed(2 << 60, 0), 3);
        assert_eq!(passed(1 << 60, 100 * MS), 1);
        let entry = limits.entry(1 << 60).unwrap();
        assert_eq!(entry.take(rate, 100 * MS), Err(100));
    }

    #[test]
    fn a_key_that_used_up_another_rate_waits_for_the_first_token_of_this_one() {
        let sets = sets(1);
        let entry = Limits::new(&sets).entry(7).unwrap();
        let (slow, fast) = (Rate::new(1, 100), Rate::new(100, 20));
        while entry.take(slow, 0).is_ok() {}
        assert_eq!(entry.take(fast, MS), Err(10));
        assert_eq!(entry.take(fast, 11 * MS), Ok(()));
        assert_eq!(entry.take(fast, 11 * MS), Err(10));
    }

    #[test]
    fn the_hand_is_used_up_lapses_and_remembers_a_refusal() {
        let sets = sets(1);
        let entry = Limits::new(&sets).entry(7).unwrap();
        assert_eq!(entry.use_hand(1_000), Known::Unknown);
        entry.add(2, 1_000, 1_100);
        entry.refuse_until(5_000, 1_000);
        assert_eq!(entry.use_hand(1_050), Known::Passed);
        assert_eq!(entry.use_hand(1_050), Known::Passed);
        assert_eq!(entry.use_hand(1_050), Known::Unknown);
        entry.refuse_until(1_300, 1_050);
        assert_eq!(entry.use_hand(1_100), Known::Refused(200));
        assert_eq!(entry.use_hand(1_300), Known::Unknown);
        entry.add(5, 2_000, 2_100);
        assert_eq!(entry.use_hand(2_100), Known::Unknown, "lapsed");
    }

    #[test]
    fn a_full_set_forgets_the_key_that_has_rested_longest() {
        let sets = sets(1);
        let limits = Limits::new(&sets);
        let rate = Rate::new(1, 1);
        for key in 1..=WAYS as u64 {
            assert_eq!(limits.entry(key).unwrap().take(rate, key * MS), Ok(()));
        }
        assert_eq!(limits.entry(99).unwrap().take(rate, 50 * MS), Ok(()));
        for key in 2..=WAYS as u64 {
            let refused = limits.entry(key).unwrap().take(rate, 50 * MS);
            assert!(refused.is_err(), "{key}");
        }
    }

    #[test]
    fn workers_that_race_use_every_token_once() {
        let sets = sets(4);
        let entry = |sets| Limits::new(sets).entry(3 << 61).unwrap();
        entry(&sets).add(4_000, 10, 20);
        let used: usize = thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let entry = entry(&sets);
                        let passes = |_: &i32| entry.use_hand(10) == Known::Passed;
                        (0..5_000).filter(passes).count()
                    })
                })
                .collect();
            let counts = workers.into_iter().map(|worker| worker.join().unwrap());
            counts.sum()
        });
        assert_eq!(used, 4_000);
    }
}
