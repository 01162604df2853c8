//! Leases: permits that an edge has taken in advance, and when it may spend them.
//!
//! Asking Redis for every request costs a round trip each. An edge therefore
//! takes a block of permits, a *lease*, and spends it by itself. Four rules keep
//! the sum over all edges exact:
//!
//! 1. Redis counts a block and records its lease in one step, never over the
//!    limit (`lua/permits/take.lua`).
//! 2. An edge spends a lease for at most [`LIFE_MS`], counted on its own
//!    monotonic clock from *before* it asked. It needs no word from anyone to
//!    stop.
//! 3. What is left then it gives back, once (`lua/permits/give_back.lua`).
//! 4. Whatever an edge did not give back, because it died or Redis was away, the
//!    back end does: it closes leases older than a request can be under way,
//!    which is longer than [`LIFE_MS`], and gives back what the stock script has
//!    not seen. A request that arrives after that is refused and costs nothing.
//!
//! Worked example. Two edges, limit 1,000, 900 granted. Edge A's blocks have
//! grown to 64, but only 100 permits are left for two edges, so that it asks for
//! 25. It spends 20 of them in its two seconds and gives five back.

/// How long an edge spends a lease, in ms.
pub const LIFE_MS: u64 = 2_000;
/// Most permits in one lease.
pub const MAX_BLOCK: u64 = 1_024;
/// A lease that was used up within this time was too small, in ms.
const QUICK_MS: u64 = 100;
/// A lease that lasted longer than this was too large, in ms.
const SLOW_MS: u64 = 500;

/// Bits of a [`Word`] that count what is left.
const LEFT_BITS: u32 = 16;
const LEFT_MASK: u64 = (1 << LEFT_BITS) - 1;

/// A lease in hand, in one 64-bit word, so that workers can spend from it with
/// compare-and-swap: its number in the upper bits, what is left in the lower.
///
/// Numbers are never used twice, so that a word that is seen unchanged *is*
/// unchanged. Zero means that there is no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Word(pub u64);

/// A permit spent from a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// The word to store in place of the one it was spent from.
    pub word: Word,
    /// The lease's number.
    pub lease: u64,
    /// Which of the lease's permits: unlike any other spent from it.
    pub n: u32,
}

impl Word {
    /// A fresh lease of `amount` permits, at most [`MAX_BLOCK`].
    #[must_use]
    pub fn new(lease: u64, amount: u64) -> Self {
        Self(lease << LEFT_BITS | amount.min(LEFT_MASK))
    }

    /// The lease's number.
    #[must_use]
    pub fn lease(self) -> u64 {
        self.0 >> LEFT_BITS
    }

    /// Permits left on it.
    #[must_use]
    pub fn left(self) -> u64 {
        self.0 & LEFT_MASK
    }

    /// Takes `quantity` permits for one request, if that many are left.
    #[must_use]
    pub fn spend(self, quantity: u32) -> Option<Spent> {
        let left = self.left();
        let rest = left.checked_sub(u64::from(quantity))?;
        Some(Spent {
            word: Self(self.0 - u64::from(quantity)),
            lease: self.lease(),
            // Counted from the end: the number of the first of those taken.
            n: u32::try_from(rest + 1).unwrap_or(u32::MAX),
        })
    }
}

/// Whether a lease asked for at `asked_ms` may still be spent, both on the same
/// monotonic clock. A clock that ran backwards ends it as well.
#[must_use]
pub fn may_spend(asked_ms: u64, now_ms: u64) -> bool {
    now_ms
        .checked_sub(asked_ms)
        .is_some_and(|age| age < LIFE_MS)
}

/// How many permits to ask for.
///
/// `block` is what demand suggests, `waiting` what requests wait for at this
/// moment, `left` what Redis last said is left for all `edges`. Near the limit
/// nobody takes more than half of his even share, down to one at a time, so that
/// the last permits go to whoever has a request in hand.
#[must_use]
pub fn ask(block: u64, waiting: u64, left: u64, edges: u64) -> u64 {
    let fair = left / (2 * edges.max(1));
    block.max(waiting).min(fair).clamp(1, MAX_BLOCK)
}

/// The next block size after a lease of `block` lasted `lasted_ms`.
#[must_use]
pub fn next_block(block: u64, lasted_ms: u64) -> u64 {
    let next = match lasted_ms {
        0..QUICK_MS => block.saturating_mul(2),
        QUICK_MS..SLOW_MS => block,
        _ => block / 2,
    };
    next.clamp(1, MAX_BLOCK)
}

/// Whether to fetch the next lease while the one in hand is still being spent.
#[must_use]
pub fn is_low(left: u64, block: u64) -> bool {
    left <= block / 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::permits::permit::{clip, unspent};

    #[test]
    fn every_permit_of_a_lease_has_a_number_of_its_own() {
        let mut word = Word::new(7, 5);
        let mut seen = Vec::new();
        for quantity in [2, 1, 2] {
            let spent = word.spend(quantity).unwrap();
            assert_eq!(spent.lease, 7);
            seen.push(spent.n);
            word = spent.word;
        }
        assert_eq!(seen, [4, 3, 1]);
        assert_eq!(word.spend(1), None);
        assert_eq!(word.lease(), 7);
    }

    #[test]
    fn the_example_above_holds() {
        assert_eq!(ask(64, 3, 100, 2), 25);
        assert_eq!(ask(64, 3, 1, 4), 1);
        assert_eq!(ask(1, 300, 1_000_000, 2), 300);
        assert_eq!(ask(1 << 40, 0, 1 << 40, 1), MAX_BLOCK);
    }

    #[test]
    fn blocks_follow_demand() {
        let grown = (0..20).fold(1, |block, _| next_block(block, 10));
        assert_eq!(grown, MAX_BLOCK);
        let shrunk = (0..20).fold(grown, |block, _| next_block(block, 900));
        assert_eq!(shrunk, 1);
        assert_eq!(next_block(64, 300), 64);
    }

    #[test]
    fn a_lease_ends_by_the_edges_own_clock() {
        assert!(may_spend(1_000, 1_000 + LIFE_MS - 1));
        assert!(!may_spend(1_000, 1_000 + LIFE_MS));
        assert!(!may_spend(1_000, 999));
    }

    /// A world of edges, one Redis, and a back end that reclaims.
    #[derive(Default)]
    struct World {
        limit: u64,
        granted: u64,
        now_ms: u64,
        numbers: u64,
        /// Lease number → amount on record, asked at, seen by the stock script, closed.
        record: std::collections::BTreeMap<u64, (u64, u64, u64, bool)>,
        /// What each edge has in hand: word and when it asked.
        hands: Vec<Vec<(Word, u64)>>,
        /// Admitted requests on their way to the stock script: lease number.
        on_the_way: Vec<u64>,
        bought: u64,
        turned_away_late: u64,
    }

    /// Longer than a lease is spent plus a request is under way.
    const IN_FLIGHT_MS: u64 = 5_000;

    impl World {
        fn new(edges: usize, limit: u64) -> Self {
            Self {
                limit,
                hands: vec![Vec::new(); edges],
                ..Self::default()
            }
        }

        fn take(&mut self, edge: usize, asked: u64, answered: bool) {
            let granted = clip(asked, self.granted, self.limit);
            if granted == 0 {
                return;
            }
            self.granted += granted;
            self.numbers += 1;
            self.record
                .insert(self.numbers, (granted, self.now_ms, 0, false));
            // The answer may be lost: then nobody spends this lease.
            if answered {
                self.hands[edge].push((Word::new(self.numbers, granted), self.now_ms));
            }
        }

        fn admit(&mut self, edge: usize) -> bool {
            let now = self.now_ms;
            for (word, asked) in &mut self.hands[edge] {
                if may_spend(*asked, now)
                    && let Some(spent) = word.spend(1)
                {
                    *word = spent.word;
                    self.on_the_way.push(spent.lease);
                    return true;
                }
            }
            false
        }

        fn arrive(&mut self, index: usize) {
            let lease = self.on_the_way.swap_remove(index % self.on_the_way.len());
            match self.record.get_mut(&lease) {
                Some((_, _, seen, false)) => {
                    *seen += 1;
                    self.bought += 1;
                }
                _ => self.turned_away_late += 1,
            }
        }

        fn give_back(&mut self, edge: usize) {
            let now = self.now_ms;
            let old = std::mem::take(&mut self.hands[edge]);
            let (keep, gone): (Vec<_>, Vec<_>) = old
                .into_iter()
                .partition(|(word, asked)| may_spend(*asked, now) && word.left() > 0);
            self.hands[edge] = keep;
            for (word, _) in gone {
                if let Some((amount, _, _, false)) = self.record.get_mut(&word.lease()) {
                    *amount -= word.left();
                    self.granted -= word.left();
                }
            }
        }

        fn reclaim(&mut self) {
            for (amount, asked, seen, closed) in self.record.values_mut() {
                if !*closed && self.now_ms - *asked > IN_FLIGHT_MS {
                    *closed = true;
                    self.granted -= unspent(*amount, *seen);
                }
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Take {
            edge: usize,
            block: u64,
            answered: bool,
        },
        Admit(usize),
        Arrive(usize),
        GiveBack(usize),
        Die(usize),
        Reclaim,
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0usize..4, 1u64..40, prop::bool::weighted(0.9))
                .prop_map(|(edge, block, answered)| Step::Take { edge, block, answered }),
            12 => (0usize..4).prop_map(Step::Admit),
            8 => any::<usize>().prop_map(Step::Arrive),
            2 => (0usize..4).prop_map(Step::GiveBack),
            1 => (0usize..4).prop_map(Step::Die),
            2 => Just(Step::Reclaim),
            4 => (1u64..1_500).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Whatever edges do and lose: never more than the limit is out, never
        /// more is bought than was granted, and with demand left all is sold.
        #[test]
        fn the_limit_is_met_exactly(
            limit in 1u64..120,
            steps in prop::collection::vec(step(), 1..400),
        ) {
            let mut world = World::new(4, limit);
            for step in steps {
                match step {
                    Step::Take { edge, block, answered } => {
                        let left = limit.saturating_sub(world.granted);
                        let asked = ask(block, 1, left, 4);
                        world.take(edge, asked, answered);
                    }
                    Step::Admit(edge) => { world.admit(edge); }
                    Step::Arrive(index) if !world.on_the_way.is_empty() => world.arrive(index),
                    Step::Arrive(_) => {}
                    Step::GiveBack(edge) => world.give_back(edge),
                    Step::Die(edge) => world.hands[edge].clear(),
                    Step::Reclaim => world.reclaim(),
                    Step::Wait(ms) => world.now_ms += ms,
                }
                prop_assert!(world.granted <= limit);
                prop_assert!(world.bought <= world.granted);
            }
            // Demand is left: everything sells in the end.
            for _ in 0..10_000 {
                if world.bought == limit { break; }
                for edge in 0..4 {
                    if !world.admit(edge) {
                        let left = limit.saturating_sub(world.granted);
                        world.take(edge, ask(8, 1, left, 4), true);
                    }
                    while !world.on_the_way.is_empty() { world.arrive(0); }
                    world.give_back(edge);
                }
                world.now_ms += 500;
                world.reclaim();
            }
            prop_assert_eq!(world.bought, limit);
            prop_assert_eq!(world.granted, limit);
        }
    }
}
