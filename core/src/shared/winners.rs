//! Who may be among the winners of a product, admitted at whichever edge, in a few bits
//! each: so that an edge need not tell a winner of another one that they lost.
//!
//! Every edge appends a *fingerprint* of each buyer whom it admitted to the product's
//! list in Redis (`lua/permits/winners.lua`), and reads those of the others into this
//! filter. Whoever the filter does not know certainly did not win, and is refused
//! without a digest. Whom it may know is verified, and the back end answers them from
//! the buyer's record.
//!
//! # What a wrong guess costs
//! The filter takes somebody of the crowd for a winner with a probability of 7 % when it
//! holds a winner for each eight of its bits, of 0.5 % when it holds a quarter of that,
//! and nearly never in a sale of some thousand items. They are refused all the same, by
//! the back end, at the cost of one read in Redis. Fingerprints need not be secret for
//! that reason: to be taken for a winner gives nobody anything.
//!
//! # Whom this edge admitted itself
//! They are in the filter once they are on the list, and in the table of seen buyers
//! ([`super::seen`]) from their admission on. That table is large, and hardly ever in a
//! cache: what 98 of 100 clicks in a sale are answered by must not read it. So it is
//! counted, for each product (64 counters share all), who was admitted here and is neither
//! on the list nor known not to have won. While there is none, the filter knows all of them
//! ([`Winners::knows_own`]). A worker that is killed leaves its buyers counted, and the
//! table is read again.
//!
//! # Size, and how it is emptied
//! One part in 128 of the zone: half a MiB of 63, in two halves, for 250,000 winners
//! of products that are not over ([`super::filter`]). When so many were added, a sweep
//! fills the other half with those that still matter.

use std::sync::atomic::{AtomicU64, Ordering};

use super::filter::{Filter, Number, Turn};
use super::sets::{Set, WAYS};
use super::siphash::Seed;

/// Domain of the zone's seed, see `super::seen`.
const WINNER: u64 = 0x7769_6e73_0001;
/// Keys the fingerprints, the same everywhere.
const PUBLIC: Seed = Seed::new([0x7365_636b_696c_6c00, 0x7769_6e6e_6572_7300]);
/// Bytes of a fingerprint in the list.
pub const FINGERPRINT_BYTES: usize = 8;
/// Bits of a half for each winner.
const BITS: usize = 8;

/// Counters of those who were admitted here and are not on the list.
const UNLISTED: usize = 64;

/// Names a buyer in a product's list of winners.
#[must_use]
pub fn fingerprint(user: &str) -> u64 {
    PUBLIC.hash_texts(WINNER, [user])
}

/// Fingerprints as the list holds them.
#[must_use]
pub fn to_bytes(fingerprints: impl IntoIterator<Item = u64>) -> Vec<u8> {
    fingerprints
        .into_iter()
        .flat_map(u64::to_be_bytes)
        .collect()
}

/// The fingerprints in a part of the list; what is left of a broken one is ignored.
pub fn of_bytes(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let (whole, _) = bytes.as_chunks::<FINGERPRINT_BYTES>();
    whole.iter().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Bytes for the filter of a zone of `zone_bytes`, in whole sets.
#[must_use]
pub const fn bytes_for(zone_bytes: usize) -> usize {
    let sets = zone_bytes / 128 / size_of::<Set>();
    (sets - sets % 2) * size_of::<Set>()
}

/// How many winners a filter of `sets` takes before it is swept.
#[must_use]
pub const fn holds(sets: usize) -> usize {
    sets / 2 * 2 * WAYS * 64 / BITS
}

/// Which half is in use, how many were added since the last sweep, and whether the filter
/// may lack somebody whom this edge admitted. Zero bytes are its first state.
#[repr(C)]
pub struct State {
    turn: Turn,
    added: AtomicU64,
    /// Not zero once a list was lost with its Redis, or a sweep has ended: it kept nobody
    /// who is on no list any more.
    has_lost: AtomicU64,
    unlisted: [AtomicU64; UNLISTED],
}

impl Default for State {
    fn default() -> Self {
        Self {
            turn: Turn::default(),
            added: AtomicU64::new(0),
            has_lost: AtomicU64::new(0),
            unlisted: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

/// A winner of one product, in the form of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WinnerTag(u64);

impl WinnerTag {
    /// The tag of the buyer of this fingerprint and the product whose key has this hash
    /// (`products::Found::hash`).
    #[must_use]
    pub fn new(seed: Seed, product: u64, fingerprint: u64) -> Self {
        Self(seed.hash_words([WINNER, product, fingerprint]))
    }
}

/// A sweep under way.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    number: Number,
    kept: u64,
}

/// A view of the filter.
#[derive(Clone, Copy)]
pub struct Winners<'a> {
    filter: Filter<'a>,
    state: &'a State,
    holds: u64,
}

impl<'a> Winners<'a> {
    /// Over `sets`, of any even number.
    #[must_use]
    pub fn new(sets: &'a [Set], state: &'a State) -> Self {
        Self {
            filter: Filter::new(sets, &state.turn),
            state,
            holds: holds(sets.len()) as u64,
        }
    }

    /// Whether they may be among the winners.
    #[must_use]
    pub fn may_hold(&self, winner: WinnerTag) -> bool {
        self.filter.may_hold(winner.0)
    }

    /// Adds a winner.
    pub fn add(&self, winner: WinnerTag) {
        self.filter.add(winner.0);
        self.state.added.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a buyer of the product of this hash (`products::hash`) whom this edge admits.
    pub fn admitted(&self, product: u64) {
        self.unlisted(product).fetch_add(1, Ordering::AcqRel);
    }

    /// Counts buyers no longer who are on the list now, and in the filter, or who did not
    /// win. For each of them who was counted, once.
    pub fn settled(&self, product: u64, buyers: u64) {
        self.unlisted(product).fetch_sub(buyers, Ordering::AcqRel);
    }

    /// Notes that a product's list is no longer what it was: whom it had, the filter is not
    /// asked about any more.
    pub fn lost(&self) {
        self.state.has_lost.store(1, Ordering::Release);
    }

    /// Whether the filter knows every winner whom this edge admitted.
    #[must_use]
    pub fn knows_own(&self, product: u64) -> bool {
        self.unlisted(product).load(Ordering::Acquire) == 0
            && self.state.has_lost.load(Ordering::Acquire) == 0
    }

    fn unlisted(&self, product: u64) -> &'a AtomicU64 {
        &self.state.unlisted[(product >> 32) as usize % UNLISTED]
    }

    /// Whether so many were added that a sweep is worth its while.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.state.added.load(Ordering::Relaxed) > self.holds
    }

    /// Begins a sweep: every winner who still matters is to be kept, then it is to be
    /// finished. Those who are added meanwhile are kept too.
    #[must_use]
    pub fn begin(&self) -> Sweep {
        let number = self.state.turn.begin();
        self.filter.clear_spare(number);
        Sweep { number, kept: 0 }
    }

    /// Keeps a winner.
    pub fn keep(&self, winner: WinnerTag, sweep: &mut Sweep) {
        self.filter.keep(winner.0, sweep.number);
        sweep.kept += 1;
    }

    /// Forgets all who were not kept. False if another sweep began since.
    pub fn finish(&self, sweep: Sweep) -> bool {
        self.lost();
        let is_done = self.state.turn.finish(sweep.number);
        if is_done {
            self.state.added.store(sweep.kept, Ordering::Relaxed);
        }
        is_done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::sets::zeroed;

    fn tag(n: u64) -> WinnerTag {
        WinnerTag::new(Seed::new([3, 4]), n % 7, fingerprint(&format!("buyer{n}")))
    }

    #[test]
    fn fingerprints_read_back_as_written_and_a_broken_one_is_ignored() {
        let mut bytes = to_bytes([1, u64::MAX, fingerprint("li")]);
        bytes.extend([1, 2, 3]);
        let read: Vec<u64> = of_bytes(&bytes).collect();
        assert_eq!(read, [1, u64::MAX, fingerprint("li")]);
        assert_ne!(fingerprint("li"), fingerprint("wang"));
    }

    #[test]
    fn every_edge_gives_a_buyer_the_same_fingerprint() {
        // Edges of different versions may run side by side: it never changes.
        assert_eq!(fingerprint("li"), FINGERPRINT_OF_LI);
    }

    /// What the first version computed.
    const FINGERPRINT_OF_LI: u64 = 17_849_977_260_323_627_994;

    #[test]
    fn no_winner_is_missed_and_hardly_anybody_else_is_found() {
        let (sets, state) = (
            zeroed(bytes_for(2 << 20) / size_of::<Set>()),
            State::default(),
        );
        let winners = Winners::new(&sets, &state);
        (0..2_000).for_each(|n| winners.add(tag(n)));
        assert!((0..2_000).all(|n| winners.may_hold(tag(n))));
        let wrong = (2_000..12_000)
            .filter(|&n| winners.may_hold(tag(n)))
            .count();
        assert!(wrong < 100, "{wrong} of 10,000");
    }

    #[test]
    fn a_sweep_forgets_all_but_those_who_are_kept_or_come_meanwhile() {
        let (sets, state) = (zeroed(64), State::default());
        let winners = Winners::new(&sets, &state);
        let mut last = 0;
        while !winners.is_full() {
            winners.add(tag(last));
            last += 1;
        }
        let mut sweep = winners.begin();
        winners.add(tag(last));
        winners.keep(tag(5), &mut sweep);
        assert!((0..=last).all(|n| winners.may_hold(tag(n))), "until then");
        assert!(winners.finish(sweep) && !winners.is_full());
        assert!(winners.may_hold(tag(5)) && winners.may_hold(tag(last)));
        let left = (6..last).filter(|&n| winners.may_hold(tag(n))).count();
        assert!(left < 10, "{left} of {last}");
    }

    #[test]
    fn whoever_was_admitted_here_is_known_once_they_are_listed() {
        let (sets, state) = (zeroed(64), State::default());
        let winners = Winners::new(&sets, &state);
        let (product, other) = (1 << 32, 2 << 32);
        assert!(winners.knows_own(product));
        winners.admitted(product);
        winners.admitted(product);
        assert!(!winners.knows_own(product) && winners.knows_own(other));
        winners.add(tag(1));
        winners.settled(product, 1);
        assert!(!winners.knows_own(product), "the other is not listed");
        winners.settled(product, 1);
        assert!(winners.knows_own(product));
        // Of a list that was lost with its Redis a sweep keeps nobody.
        let sweep = winners.begin();
        assert!(winners.knows_own(product), "until then");
        assert!(winners.finish(sweep));
        assert!(!winners.knows_own(product));
    }

    #[test]
    fn whoever_was_on_a_list_that_is_lost_is_not_known_by_the_filter() {
        let (sets, state) = (zeroed(64), State::default());
        let winners = Winners::new(&sets, &state);
        winners.lost();
        assert!(!winners.knows_own(1 << 32) && !winners.knows_own(2 << 32));
    }

    #[test]
    fn a_filter_without_memory_takes_everybody_for_a_winner() {
        let (sets, state) = (zeroed(0), State::default());
        let winners = Winners::new(&sets, &state);
        winners.add(tag(1));
        assert!(winners.may_hold(tag(2)));
    }
}
