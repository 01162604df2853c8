//! Edges, one Redis that stalls and loses connections, and a back end that may refuse,
//! or never answer: whatever happens, once it is quiet every permit that is out is used,
//! in a hand, or on its way; and "sold out" is never told while one is not used.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::permits::lease::{Word, ask, clip};
use crate::permits::outcome::Outcome;

/// Permits of a lease on record: what is left of the granted, and the totals reported.
#[derive(Default)]
struct Record {
    amount: u64,
    reported: Tally,
}

/// A command on its way to Redis, from this edge.
#[derive(Clone, Copy)]
enum Command {
    Take { number: u64, amount: u64 },
    Report { number: u64, tally: Tally },
}

#[derive(Default)]
struct Edge {
    /// Commands that Redis has not executed yet, in the order of the connection.
    sent: VecDeque<Command>,
    hand: Vec<Word>,
    places: Vec<Place>,
    /// Leases to be reported.
    due: BTreeSet<u64>,
    is_taking: bool,
}

impl Edge {
    fn tallies(&self) -> Tallies<'_> {
        Tallies::new(&self.places)
    }

    fn count(&mut self, number: u64, used: u64, returned: u64) {
        if self.tallies().add(number, used, returned) {
            self.due.insert(number);
        }
    }

    fn send_reports(&mut self) {
        for number in std::mem::take(&mut self.due) {
            if let Some(tally) = self.tallies().read(number) {
                self.sent.push_back(Command::Report { number, tally });
            }
        }
    }
}

/// An admitted request on its way: its edge, its lease, and whether it bought.
struct Request {
    edge: usize,
    lease: u64,
    bought: bool,
}

#[derive(Default)]
struct World {
    limit: u64,
    out: u64,
    record: BTreeMap<u64, Record>,
    edges: Vec<Edge>,
    numbers: u64,
    under_way: Vec<Request>,
    used: u64,
    /// Requests of which nobody will ever say what became of them; of these, bought.
    unknown: (u64, u64),
}

impl World {
    fn new(edges: usize, limit: u64) -> Self {
        let edge = || Edge {
            places: super::places(TALLIES),
            ..Edge::default()
        };
        Self {
            limit,
            edges: (0..edges).map(|_| edge()).collect(),
            ..Self::default()
        }
    }

    fn click(&mut self, edge: usize, block: u64) {
        let left = self.limit.saturating_sub(self.out);
        let amount = ask(block, 1, left, self.edges.len() as u64);
        let own = &mut self.edges[edge];
        for word in &mut own.hand {
            if let Some(spent) = word.spend(1) {
                *word = spent.word;
                self.under_way.push(Request {
                    edge,
                    lease: spent.lease,
                    bought: false,
                });
                return;
            }
        }
        if !own.is_taking {
            self.numbers += 1;
            own.tallies().open(self.numbers);
            own.is_taking = true;
            own.send_reports();
            let number = self.numbers;
            own.sent.push_back(Command::Take { number, amount });
        }
    }

    /// Redis executes the next command of an edge; the reply comes if `answers`.
    fn execute(&mut self, edge: usize, answers: bool) {
        let Some(command) = self.edges[edge].sent.pop_front() else {
            return;
        };
        match command {
            Command::Take { number, amount } => {
                let granted = clip(amount, self.out, self.limit);
                self.out += granted;
                if granted > 0 {
                    let amount = granted;
                    let reported = Tally::default();
                    self.record.insert(number, Record { amount, reported });
                }
                if answers {
                    self.edges[edge].is_taking = false;
                    self.edges[edge].hand.push(Word::new(number, granted));
                    self.assert_sold_out_is_true();
                }
            }
            Command::Report { number, tally } => self.report(number, tally),
        }
    }

    /// `lua/permits/report.lua`
    fn report(&mut self, number: u64, tally: Tally) {
        let Some(record) = self.record.get_mut(&number) else {
            return;
        };
        let used = record.reported.used.max(tally.used);
        let more = tally.returned.saturating_sub(record.reported.returned);
        let back = more.min(record.amount - used).min(self.out);
        self.out -= back;
        record.amount -= back;
        record.reported = Tally {
            used,
            returned: record.reported.returned.max(tally.returned),
        };
        if record.amount <= used {
            self.record.remove(&number);
        }
    }

    /// What an edge concludes from a reply: as many out as the limit says, and no lease
    /// open, is sold out. Then every permit was used.
    fn assert_sold_out_is_true(&self) {
        if self.out >= self.limit && self.record.is_empty() {
            assert_eq!(
                self.used, self.limit,
                "sold out is told while items are left"
            );
        }
    }

    /// The connection is lost with all that was sent on it, or only the replies are.
    fn lose_connection(&mut self, edge: usize, executes: bool) {
        let lost: Vec<Command> = self.edges[edge].sent.iter().copied().collect();
        while executes && !self.edges[edge].sent.is_empty() {
            self.execute(edge, false);
        }
        let own = &mut self.edges[edge];
        own.sent.clear();
        own.is_taking = false;
        for command in lost {
            let number = match command {
                Command::Take { number, .. } => {
                    own.tallies().abandon(number);
                    number
                }
                Command::Report { number, .. } => number,
            };
            own.due.insert(number);
        }
    }

    /// A request meets the stock script.
    fn buy(&mut self, index: usize) {
        if !self.under_way.is_empty() {
            let index = index % self.under_way.len();
            let request = &mut self.under_way[index];
            self.used += u64::from(!request.bought);
            request.bought = true;
        }
    }

    /// The edge sees what became of a request; `None`: it never will.
    fn conclude(&mut self, index: usize, is_known: bool) {
        if self.under_way.is_empty() {
            return;
        }
        let request = self.under_way.swap_remove(index % self.under_way.len());
        let outcome = match request.bought {
            true => Outcome::Used,
            false => Outcome::Unused,
        };
        match (is_known, outcome) {
            (true, Outcome::Used) => self.edges[request.edge].count(request.lease, 1, 0),
            (true, Outcome::Unused) => self.edges[request.edge].count(request.lease, 0, 1),
            (false, _) => {
                self.unknown.0 += 1;
                self.unknown.1 += u64::from(request.bought);
            }
        }
    }

    fn lapse(&mut self, edge: usize) {
        for word in std::mem::take(&mut self.edges[edge].hand) {
            self.edges[edge].count(word.lease(), 0, word.left());
        }
    }

    /// Nothing new happens, and what was under way arrives.
    fn become_quiet(&mut self) {
        while !self.under_way.is_empty() {
            self.conclude(0, true);
        }
        for edge in 0..self.edges.len() {
            self.edges[edge].send_reports();
            while !self.edges[edge].sent.is_empty() {
                self.execute(edge, true);
                self.edges[edge].send_reports();
            }
        }
    }

    fn in_hand(&self) -> u64 {
        let hands = self.edges.iter().flat_map(|edge| &edge.hand);
        hands.map(|word| word.left()).sum()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Click(usize, u64),
    Execute(usize),
    Buy(usize),
    Conclude(usize, bool),
    Lapse(usize),
    Report(usize),
    Lose(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0usize..4, 1u64..20).prop_map(|(edge, block)| Step::Click(edge, block)),
        8 => (0usize..4).prop_map(Step::Execute),
        8 => any::<usize>().prop_map(Step::Buy),
        8 => (any::<usize>(), prop::bool::weighted(0.95))
            .prop_map(|(index, known)| Step::Conclude(index, known)),
        1 => (0usize..4).prop_map(Step::Lapse),
        3 => (0usize..4).prop_map(Step::Report),
        1 => (0usize..4, any::<bool>()).prop_map(|(edge, executes)| Step::Lose(edge, executes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_is_stranded_and_sold_out_is_true(
        limit in 1u64..60,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut world = World::new(4, limit);
        for step in steps {
            match step {
                Step::Click(edge, block) => world.click(edge, block),
                Step::Execute(edge) => world.execute(edge, true),
                Step::Buy(index) => world.buy(index),
                Step::Conclude(index, known) => world.conclude(index, known),
                Step::Lapse(edge) => world.lapse(edge),
                Step::Report(edge) => world.edges[edge].send_reports(),
                Step::Lose(edge, executes) => world.lose_connection(edge, executes),
            }
            prop_assert!(world.out <= limit);
        }
        world.become_quiet();
        let known_used = world.used - world.unknown.1;
        let stranded = world.out - known_used - world.in_hand() - world.unknown.0;
        prop_assert_eq!(stranded, 0);
        // With demand left, all that is not unknown is sold in the end.
        for turn in 0..10_000 {
            if world.used - world.unknown.1 == limit - world.unknown.0 {
                break;
            }
            let edge = turn % 4;
            world.click(edge, 4);
            while !world.edges[edge].sent.is_empty() {
                world.execute(edge, true);
            }
            world.click(edge, 4);
            while !world.under_way.is_empty() {
                world.buy(0);
                world.conclude(0, true);
            }
            world.lapse(edge);
            world.edges[edge].send_reports();
        }
        world.become_quiet();
        prop_assert_eq!(world.used - world.unknown.1, limit - world.unknown.0);
    }
}
