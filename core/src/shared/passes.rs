//! Captcha passes that were spent at this edge.
//!
//! # What an entry holds
//! 16 bytes: the 64-bit SipHash of (user, round, product, nonce) under the
//! zone's random `Seed`; of the request that spent it, 32 bits; when the pass
//! expires, in seconds modulo 2²⁴; and eight check bits that follow from the hash.
//!
//! # Claimed, then spent
//! A request claims its pass before it takes a permit, and releases it if it is
//! refused after that: so a pass that met a busy shop is still good, and of two
//! requests with the same pass only one can be under way. The same request may be
//! repeated.
//!
//! # When it is full
//! No valid entry is displaced: a pass that finds no room is refused
//! (`ClaimResult::Full`). Entries expire with their passes. The
//! purchase script spends the pass too, once for all edges.
//!
//! # Two workers at once
//! A slot is taken by one exchange of its value, and only if the value is empty
//! or expired; then its tag is written. A worker that then finds the same tag in
//! another slot gives up its own: of two, one or none passes. A worker that is
//! killed keeps a slot until its pass expires.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::seen::RequestKey;
use super::sets::{self, Set, Slot, WAYS};
use super::siphash::Seed;
use crate::captcha::pass::PASS_HORIZON_MS;

/// Domain of the seed: hashes for one purpose say nothing about the other's.
const PASS: u64 = 0x7061_7373_0001;
const CHECK: u64 = 0x9e37_79b9_7f4a_7c15;
const TIME_MASK: u64 = (1 << 24) - 1;
/// Longest life of an entry, in seconds.
const LONGEST_S: u64 = PASS_HORIZON_MS / 1_000 + 1;

/// The key of one pass of one buyer for one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassKey {
    tag: u64,
    expires_s: u64,
}

impl PassKey {
    /// From these ids, and the nonce and expiry of the pass.
    #[must_use]
    pub fn new(
        seed: Seed,
        user: &str,
        (round, product): (&str, &str),
        nonce: &str,
        expires_ms: u64,
    ) -> Self {
        Self {
            tag: sets::tag_of(seed.hash_texts(PASS, [user, round, product, nonce])),
            // Rounded up: remembered at least as long as it is good.
            expires_s: expires_ms.div_ceil(1_000),
        }
    }
}

/// The result of [`Passes::claim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimResult {
    /// The pass belongs to this request now.
    First,
    /// The pass belonged to this request before.
    Again,
    /// The pass belongs to another request.
    Spent,
    /// The table has no room for it.
    Full,
}

/// Bytes of a table for `entries` passes: 5.5 of the eight slots of a set used.
#[must_use]
pub const fn bytes_for(entries: usize) -> usize {
    entries
        .saturating_mul(2)
        .div_ceil(11)
        .saturating_mul(size_of::<Set>())
}

/// How many passes a table of `sets` remembers practically without a refusal.
#[must_use]
pub const fn holds(sets: usize) -> usize {
    sets * 11 / 2
}

/// Counters of the table. Zero bytes are their first state.
#[derive(Default)]
#[repr(C)]
pub struct Counts {
    claimed: AtomicU64,
    released: AtomicU64,
    full: AtomicU64,
}

impl Counts {
    /// Passes that were claimed.
    #[must_use]
    pub fn claimed(&self) -> u64 {
        self.claimed.load(Ordering::Relaxed)
    }

    /// Claimed passes that were released again.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    /// Passes that found no room.
    #[must_use]
    pub fn full(&self) -> u64 {
        self.full.load(Ordering::Relaxed)
    }
}

/// The value of an entry, never zero: a zero value is free.
fn mark(pass: PassKey, request: RequestKey) -> u64 {
    let check = pass.tag.wrapping_mul(CHECK) >> 56;
    let word = u64::from(request.bits()) << 32 | (pass.expires_s & TIME_MASK) << 8 | check;
    word.max(1)
}

/// Whether an entry is empty or expired.
fn is_free(value: u64, now_s: u64) -> bool {
    let left = (value >> 8 & TIME_MASK).wrapping_sub(now_s) & TIME_MASK;
    value == 0 || left == 0 || left > LONGEST_S
}

/// A view of the table.
#[derive(Clone, Copy)]
pub struct Passes<'a> {
    sets: &'a [Set],
    counts: &'a Counts,
}

impl<'a> Passes<'a> {
    /// Over `sets`, of any number.
    #[must_use]
    pub fn new(sets: &'a [Set], counts: &'a Counts) -> Self {
        Self { sets, counts }
    }

    /// Claims a pass that is good at `now_s` for a request.
    #[must_use]
    pub fn claim(&self, pass: PassKey, request: RequestKey, now_s: u64) -> ClaimResult {
        let mark = mark(pass, request);
        if let Some(claim) = self.others(pass, mark, None, now_s) {
            return claim;
        }
        for _ in 0..2 * WAYS {
            let Some((slot, old)) = self.vacancy(pass, now_s) else {
                break;
            };
            let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
            if slot
                .value
                .compare_exchange(old, mark, done, failed)
                .is_err()
            {
                continue;
            }
            slot.tag.store(pass.tag, Ordering::Release);
            // Of two workers that come here at once, at least one sees the other.
            fence(Ordering::SeqCst);
            return match self.others(pass, mark, Some(slot), now_s) {
                None => {
                    self.counts.claimed.fetch_add(1, Ordering::Relaxed);
                    ClaimResult::First
                }
                // The same click met two workers: both entries say the same.
                Some(ClaimResult::Again) => ClaimResult::Again,
                Some(claim) => {
                    slot.value.store(0, Ordering::Release);
                    claim
                }
            };
        }
        self.counts.full.fetch_add(1, Ordering::Relaxed);
        ClaimResult::Full
    }

    /// Releases a pass that this request has claimed first.
    pub fn release(&self, pass: PassKey, request: RequestKey) {
        let mark = mark(pass, request);
        let mut was_there = false;
        for slot in sets::matching(self.sets, pass.tag) {
            let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
            let taken = slot.value.compare_exchange(mark, 0, done, failed);
            was_there |= taken.is_ok();
        }
        if was_there {
            self.counts.released.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The claim that a slot other than `own` holds of this pass, if there is one.
    fn others(
        &self,
        pass: PassKey,
        mark: u64,
        own: Option<Slot<'_>>,
        now_s: u64,
    ) -> Option<ClaimResult> {
        sets::matching(self.sets, pass.tag)
            .filter(|slot| own.is_none_or(|own| !std::ptr::eq(own.value, slot.value)))
            .map(|slot| slot.value.load(Ordering::Acquire))
            .filter(|value| !is_free(*value, now_s))
            .map(|value| {
                if value == mark {
                    ClaimResult::Again
                } else {
                    ClaimResult::Spent
                }
            })
            .next()
    }

    /// A slot that is free and what is in it, in the emptier of the two sets.
    fn vacancy(&self, pass: PassKey, now_s: u64) -> Option<(Slot<'a>, u64)> {
        let mut free = [0; 2];
        let mut first = [None; 2];
        for (index, slot) in sets::candidates(self.sets, pass.tag).enumerate() {
            let value = slot.value.load(Ordering::Acquire);
            if is_free(value, now_s) {
                free[index / WAYS] += 1;
                first[index / WAYS].get_or_insert((slot, value));
            }
        }
        let [a, b] = first;
        if free[0] >= free[1] { a } else { b }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::shared::sets::zeroed;

    const SEED: Seed = Seed::new([5, 6]);
    const NOW: u64 = 1_700_000_000;
    /// The last second in which a pass of these tests is good.
    const LAST: u64 = NOW + 119;

    fn pass(n: usize) -> PassKey {
        PassKey::new(
            SEED,
            "li",
            ("1", "153"),
            &n.to_string(),
            (NOW + 120) * 1_000,
        )
    }

    fn request(id: &str) -> RequestKey {
        RequestKey::new(SEED, id)
    }

    #[test]
    fn a_pass_is_spent_by_one_request_which_may_be_repeated() {
        let (sets, counts) = (zeroed(4), Counts::default());
        let passes = Passes::new(&sets, &counts);
        assert_eq!(passes.claim(pass(1), request("a"), NOW), ClaimResult::First);
        assert_eq!(passes.claim(pass(1), request("a"), NOW), ClaimResult::Again);
        assert_eq!(passes.claim(pass(1), request("b"), NOW), ClaimResult::Spent);
        assert_eq!(
            passes.claim(pass(1), request("b"), LAST),
            ClaimResult::Spent
        );
        assert_eq!(passes.claim(pass(2), request("b"), NOW), ClaimResult::First);
        assert_eq!(counts.claimed(), 2);
    }

    #[test]
    fn a_refused_request_releases_its_own_pass_only() {
        let (sets, counts) = (zeroed(4), Counts::default());
        let passes = Passes::new(&sets, &counts);
        assert_eq!(passes.claim(pass(1), request("a"), NOW), ClaimResult::First);
        passes.release(pass(1), request("b"));
        assert_eq!(passes.claim(pass(1), request("b"), NOW), ClaimResult::Spent);
        passes.release(pass(1), request("a"));
        assert_eq!(passes.claim(pass(1), request("b"), NOW), ClaimResult::First);
        assert_eq!((counts.claimed(), counts.released()), (2, 1));
    }

    #[test]
    fn a_full_table_lets_nobody_through_until_entries_are_over() {
        let (sets, counts) = (zeroed(2), Counts::default());
        let passes = Passes::new(&sets, &counts);
        let first = (0..1_000).map(|n| passes.claim(pass(n), request("a"), NOW));
        let first: Vec<_> = first.collect();
        let let_through = first
            .iter()
            .filter(|claim| **claim == ClaimResult::First)
            .count();
        assert_eq!(let_through, 2 * WAYS);
        assert_eq!(counts.full(), 1_000 - let_through as u64);
        // Every pass that was let through is still known; no other took its place.
        for (n, claim) in first.into_iter().enumerate() {
            let again = passes.claim(pass(n), request("b"), LAST);
            assert_eq!(
                again == ClaimResult::Spent,
                claim == ClaimResult::First,
                "pass {n}"
            );
        }
        let later = PassKey::new(SEED, "li", ("1", "153"), "later", (NOW + 200) * 1_000);
        assert_eq!(
            passes.claim(later, request("c"), LAST + 1),
            ClaimResult::First
        );
    }

    #[test]
    fn a_table_filled_as_it_was_made_for_turns_nobody_away() {
        let sets = zeroed(bytes_for(10_000) / size_of::<Set>());
        let counts = Counts::default();
        let passes = Passes::new(&sets, &counts);
        for n in 0..10_000 {
            assert_eq!(passes.claim(pass(n), request("a"), NOW), ClaimResult::First);
        }
        assert!(holds(sets.len()) >= 10_000);
    }

    #[test]
    fn of_workers_that_race_for_a_pass_at_most_one_gets_it() {
        let (sets, counts) = (zeroed(64), Counts::default());
        let passes = Passes::new(&sets, &counts);
        let won: Vec<Vec<bool>> = thread::scope(|scope| {
            let workers = (0..4).map(|worker| {
                scope.spawn(move || {
                    let request = request(&worker.to_string());
                    let claims = (0..300).map(|n| passes.claim(pass(n), request, NOW));
                    claims.map(|claim| claim == ClaimResult::First).collect()
                })
            });
            let workers: Vec<_> = workers.collect();
            workers.into_iter().map(|w| w.join().unwrap()).collect()
        });
        for n in 0..300 {
            let winners = won.iter().filter(|worker| worker[n]).count();
            assert!(winners <= 1, "pass {n} was spent {winners} times");
        }
    }
}
