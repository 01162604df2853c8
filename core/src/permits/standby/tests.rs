use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::permits::lease::{clip, unspent};

/// The tallies of eight leases.
fn latest() -> [tally::Place; 8] {
    Default::default()
}

fn put(standby: &Standby, number: u64, amount: u64, asked_ms: u64) -> bool {
    standby.put(number, amount, asked_ms, Tallies::new(&latest()))
}

#[test]
fn the_share_is_what_is_left_divided_by_the_living_edges() {
    assert_eq!(share(100, 30, 0, 1), 70);
    assert_eq!(share(100, 100, 70, 1), 70);
    assert_eq!(share(100, 30, 0, 2), 35);
    assert_eq!(share(100, 31, 0, 2), 34);
    assert_eq!(share(100, 30, 0, 0), 70);
    assert_eq!(share(1_000_000, 0, 0, 1), MAX_SHARE);
    // A limit that was lowered below what is granted leaves no share.
    assert_eq!(share(10, 90, 0, 1), 0);
    assert_eq!(share(10, 90, 80, 1), 0);
    assert_eq!(share(20, 90, 80, 1), 10);
}

#[test]
fn a_share_shrinks_at_once_and_grows_by_an_eighth() {
    assert_eq!(step(70, 40, false), Step::Shrink(30));
    assert_eq!(step(70, 70, true), Step::Keep);
    assert_eq!(step(80, 90, false), Step::Keep);
    assert_eq!(step(80, 90, true), Step::Grow(10));
    assert_eq!(step(80, 91, false), Step::Grow(11));
    assert_eq!(step(0, 1, false), Step::Grow(1));
    assert_eq!(step(0, 0, true), Step::Keep);
}

#[test]
fn a_share_is_loosened_by_what_is_needed_or_an_eighth() {
    assert_eq!(loosen(64, 1, 64, 1_000), 0);
    assert_eq!(loosen(64, 1, 0, 0), 0);
    assert_eq!(loosen(64, 1, 0, 1_000), 64);
    assert_eq!(loosen(64, 1, 0, 80), 10);
    assert_eq!(loosen(64, 30, 4, 80), 26);
    assert_eq!(loosen(64, 2, 0, 1), 1);
}

#[test]
fn what_became_of_a_share_is_known_however_many_leases_come_after_it() {
    let (standby, places) = (Standby::default(), latest());
    let latest = Tallies::new(&places);
    assert!(standby.put(1, 50, 0, latest) && standby.put(2, 3, 0, latest));
    (3..100).for_each(|number| latest.open(number));
    assert!(standby.count(1, 20, 0) && standby.count(1, 0, 30) && standby.count(2, 0, 3));
    let (used, returned) = (20, 30);
    assert_eq!(standby.tally(1), Some(Tally { used, returned }));
    assert!(!standby.count(3, 1, 0));
    assert_eq!((standby.tally(3), standby.tally(0)), (None, None));

    // Another takes its place: it is one of the latest from now on.
    assert_eq!(standby.take_out(u64::MAX), [(2, 3), (1, 50)]);
    assert!(standby.put(100, 7, 0, latest));
    assert_eq!(standby.tally(100), Some(Tally::default()));
    assert!(!standby.count(1, 1, 0) && latest.add(1, 1, 0));
    let used = 21;
    assert_eq!(latest.read(1), Some(Tally { used, returned }));
    // So is each when the product goes.
    standby.hand_over(latest);
    assert_eq!((standby.tally(2), standby.tally(100)), (None, None));
    assert_eq!(latest.read(2).unwrap().returned, 3);
    assert_eq!(latest.read(100), Some(Tally::default()));
}

#[test]
fn nothing_that_is_counted_while_a_tally_is_handed_over_is_lost() {
    let (standby, places) = (Standby::default(), latest());
    let latest = Tallies::new(&places);
    assert!(standby.put(1, 9, 0, latest));
    let counted = std::thread::scope(|scope| {
        let count = || (0..40_000).filter(|_| standby.count(1, 1, 0)).count();
        let counting = scope.spawn(count);
        while standby.tally(1).is_some_and(|tally| tally.used < 1_000) {}
        standby.hand_over(latest);
        counting.join().unwrap()
    });
    assert_eq!(latest.read(1).unwrap().used, counted as u64);
}

#[test]
fn a_share_is_spent_until_it_was_not_renewed_for_its_time() {
    let standby = Standby::default();
    assert_eq!(standby.spend(1, 0), None);
    assert!(put(&standby, 7, 5, 1_000));
    assert_eq!(standby.spend(2, 1_000 + HOLD_MS - 1).unwrap().lease, 7);
    assert_eq!(standby.spend(1, 1_000 + HOLD_MS), None);
    assert_eq!(standby.spend(1, 999), None);
    standby.renewed(7, 2_000);
    assert!(standby.spend(1, 1_000 + HOLD_MS).is_some());
    assert_eq!(standby.held(), 2);
}

#[test]
fn every_permit_of_a_share_has_a_number_of_its_own() {
    let standby = Standby::default();
    assert!(put(&standby, 7, 10, 0));
    let first = standby.spend(1, 0).unwrap().n;
    assert_eq!(standby.take_out(4), [(7, 4)]);
    let rest: Vec<u32> = std::iter::from_fn(|| standby.spend(1, 0).map(|spent| spent.n)).collect();
    assert_eq!((first, rest), (10, vec![5, 4, 3, 2, 1]));
}

#[test]
fn what_goes_back_is_taken_from_the_smallest_lease_first() {
    let standby = Standby::default();
    assert!(put(&standby, 1, 50, 0) && put(&standby, 2, 3, 0));
    assert!(!standby.has_place() && !put(&standby, 3, 1, 0));
    assert_eq!(standby.take_out(5), [(2, 3), (1, 2)]);
    assert!(standby.has_place());
    assert_eq!(standby.take_out(1_000), [(1, 48)]);
    assert_eq!(standby.take_out(1), []);
}

#[test]
fn a_used_up_lease_is_renewed_only_when_all_are_asked_for() {
    let standby = Standby::default();
    assert!(put(&standby, 1, 1, 0) && put(&standby, 2, 9, 0));
    assert!(standby.spend(1, 0).is_some());
    assert!(standby.due(RENEW_MS - 1, false).is_empty());
    assert_eq!(standby.due(RENEW_MS, false), [2]);
    assert_eq!(standby.due(0, true), [1, 2]);
    standby.lost(2);
    assert_eq!(standby.held(), 0);
    assert_eq!(standby.due(0, true), [1]);
}

/// Longer than a request is under way.
const IN_FLIGHT_MS: u64 = 5_000;
const EDGES: usize = 3;

struct Record {
    amount: u64,
    /// Until when the edge may spend it, by Redis's clock.
    until_ms: u64,
    seen: u64,
    closed: bool,
}

struct Edge {
    standby: Standby,
    is_cut: bool,
    /// What it last heard: granted, and living edges.
    heard: (u64, u64),
}

/// Edges with shares, one Redis that comes and goes, and a back end that reclaims.
struct World {
    limit: u64,
    granted: u64,
    now_ms: u64,
    is_down: bool,
    numbers: u64,
    record: BTreeMap<u64, Record>,
    edges: Vec<Edge>,
    on_the_way: Vec<(u64, u64)>,
    bought: u64,
}

impl World {
    fn new(limit: u64) -> Self {
        let edge = |_| Edge {
            standby: Standby::default(),
            is_cut: false,
            heard: (0, EDGES as u64),
        };
        Self {
            limit,
            granted: 0,
            now_ms: 1,
            is_down: false,
            numbers: 0,
            record: BTreeMap::new(),
            edges: (0..EDGES).map(edge).collect(),
            on_the_way: Vec::new(),
            bought: 0,
        }
    }

    fn reaches(&self, edge: usize) -> bool {
        !self.is_down && !self.edges[edge].is_cut
    }

    /// `take.lua`: the number of the lease, and its amount.
    fn take(&mut self, asked: u64, hold_ms: u64) -> (u64, u64) {
        let amount = clip(asked, self.granted, self.limit);
        self.granted += amount;
        self.numbers += 1;
        if amount > 0 {
            let record = Record {
                amount,
                until_ms: self.now_ms + hold_ms,
                seen: 0,
                closed: false,
            };
            self.record.insert(self.numbers, record);
        }
        (self.numbers, amount)
    }

    /// `report.lua`
    fn give_back(&mut self, leases: Vec<(u64, u64)>) {
        for (lease, n) in leases {
            if let Some(record) = self.record.get_mut(&lease).filter(|record| !record.closed) {
                let n = n.min(record.amount);
                record.amount -= n;
                self.granted -= n;
            }
        }
    }

    /// One turn of an edge that may reach Redis; the last answer may be lost.
    fn poll(&mut self, edge: usize, is_answered: bool) {
        if !self.reaches(edge) {
            return;
        }
        let now_ms = self.now_ms;
        for lease in self.edges[edge].standby.due(now_ms, false) {
            match self.record.get_mut(&lease).filter(|record| !record.closed) {
                Some(record) => {
                    record.until_ms = now_ms + HOLD_MS;
                    if is_answered {
                        self.edges[edge].standby.renewed(lease, now_ms);
                    }
                }
                None => self.edges[edge].standby.lost(lease),
            }
        }
        let (heard, edges) = self.edges[edge].heard;
        let held = self.edges[edge].standby.held();
        let has_rested = self.edges[edge].standby.has_rested(now_ms);
        match step(held, share(self.limit, heard, held, edges), has_rested) {
            Step::Keep => {}
            Step::Shrink(n) => {
                let out = self.edges[edge].standby.take_out(n);
                self.give_back(out);
            }
            Step::Grow(n) => {
                let (number, amount) = self.take(n, HOLD_MS);
                if is_answered
                    && amount > 0
                    && !put(&self.edges[edge].standby, number, amount, now_ms)
                {
                    self.give_back(vec![(number, amount)]);
                }
            }
        }
        // Known from now on, and stale when the next turn comes.
        self.edges[edge].heard.0 = self.granted;
    }

    /// A request at an edge: whether it passes.
    fn request(&mut self, edge: usize) -> bool {
        let now_ms = self.now_ms;
        let lease = if self.reaches(edge) {
            let (number, amount) = self.take(1, 0);
            if amount == 0 {
                // Nothing is free: it sells from its own share, by way of Redis.
                let out = self.edges[edge].standby.take_out(1);
                self.give_back(out);
                return false;
            }
            number
        } else {
            match self.edges[edge].standby.spend(1, now_ms) {
                Some(spent) => spent.lease,
                None => return false,
            }
        };
        // Nobody passes on what was given to others.
        assert!(!self.record[&lease].closed, "lease {lease} was closed");
        self.on_the_way.push((lease, now_ms));
        true
    }

    fn arrive(&mut self, index: usize) {
        let index = index % self.on_the_way.len();
        let (lease, since_ms) = self.on_the_way.swap_remove(index);
        let is_late = self.now_ms - since_ms > IN_FLIGHT_MS;
        match self.record.get_mut(&lease) {
            Some(record) if !record.closed => {
                record.seen += 1;
                self.bought += 1;
            }
            _ => assert!(is_late, "a request in time was refused"),
        }
    }

    fn reclaim(&mut self) {
        if self.is_down {
            return;
        }
        for record in self.record.values_mut() {
            if !record.closed && self.now_ms.saturating_sub(record.until_ms) > IN_FLIGHT_MS {
                record.closed = true;
                self.granted -= unspent(record.amount, record.seen);
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Act {
    Poll(usize, bool),
    Request(usize),
    Arrive(usize),
    Cut(usize, bool),
    Down(bool),
    Counted(usize, u64),
    Reclaim,
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0..EDGES, prop::bool::weighted(0.9)).prop_map(|(edge, heard)| Act::Poll(edge, heard)),
        12 => (0..EDGES).prop_map(Act::Request),
        8 => any::<usize>().prop_map(Act::Arrive),
        1 => (0..EDGES, any::<bool>()).prop_map(|(edge, is)| Act::Cut(edge, is)),
        1 => any::<bool>().prop_map(Act::Down),
        1 => (0..EDGES, 1..=EDGES as u64).prop_map(|(edge, n)| Act::Counted(edge, n)),
        2 => Just(Act::Reclaim),
        3 => (1u64..3_000).prop_map(Act::Wait),
        1 => (10_000u64..70_000).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Whatever goes away, alone or together, and however wrong an edge is about
    /// the others: never more than the limit is out, nobody passes on what was
    /// given to others, and with demand left all is sold.
    #[test]
    fn the_limit_holds_while_redis_is_away(
        limit in 1u64..100,
        acts in prop::collection::vec(act(), 1..400),
    ) {
        let mut world = World::new(limit);
        for act in acts {
            match act {
                Act::Poll(edge, is_answered) => world.poll(edge, is_answered),
                Act::Request(edge) => { world.request(edge); }
                Act::Arrive(index) if !world.on_the_way.is_empty() => world.arrive(index),
                Act::Arrive(_) => {}
                Act::Cut(edge, is) => world.edges[edge].is_cut = is,
                Act::Down(is) => world.is_down = is,
                Act::Counted(edge, n) => world.edges[edge].heard.1 = n,
                Act::Reclaim => world.reclaim(),
                Act::Wait(ms) => world.now_ms += ms,
            }
            prop_assert!(world.granted <= limit);
            prop_assert!(world.bought <= world.granted);
        }
        world.is_down = false;
        for edge in 0..EDGES { world.edges[edge].is_cut = false; }
        for _ in 0..10_000 {
            if world.bought == limit { break; }
            for edge in 0..EDGES {
                world.poll(edge, true);
                world.request(edge);
                while !world.on_the_way.is_empty() { world.arrive(0); }
            }
            world.now_ms += 250;
            world.reclaim();
        }
        prop_assert_eq!(world.bought, limit);
        prop_assert_eq!(world.granted, limit);
    }
}
