mod counting;

use proptest::prelude::*;

use super::*;

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
fn a_lease_is_fresh_until_two_seconds_after_it_was_taken_or_renewed() {
    let (taken_ms, hold_ms) = (1_000_000, 60_000);
    let taken = Record {
        amount: 1,
        taken_ms,
    };
    let renewed = Record {
        amount: 1,
        taken_ms: taken_ms + hold_ms,
    };
    for record in [taken, renewed] {
        assert!(record.is_fresh(taken_ms, hold_ms));
        assert!(record.is_fresh(taken_ms + FRESH_MS - 1, hold_ms));
        assert!(!record.is_fresh(taken_ms + FRESH_MS, hold_ms));
    }
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
