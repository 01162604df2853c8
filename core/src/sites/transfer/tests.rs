//! Two sites with their databases, Redis and messages, in every order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::sites::share;

/// A row of a site's database.
#[derive(Debug, Clone)]
struct Row {
    asks: bool,
    wanted: u64,
    items: u64,
    state: State,
}

/// One site: what its database and its Redis hold.
#[derive(Debug, Clone, Default)]
struct Site {
    set_aside: u64,
    rows: BTreeMap<u32, Row>,
    sale: u64,
    sold: u64,
    /// The script's memory: the change that each transfer made.
    changed: BTreeMap<u32, i64>,
}

impl Site {
    fn holds(&self) -> u64 {
        self.sale + self.sold
    }

    /// The stock script: once for each id, and never below nothing for sale.
    fn change(&mut self, id: u32, change: i64) -> i64 {
        if let Some(before) = self.changed.get(&id) {
            return *before;
        }
        let change = change.max(-i64::try_from(self.sale).unwrap());
        self.sale = self.sale.checked_add_signed(change).unwrap();
        self.changed.insert(id, change);
        change
    }

    /// Stock is put back from the database; with `is_lost` Redis has lost it, and with it
    /// what the script remembers.
    fn rebuild(&mut self, is_lost: bool) {
        if is_lost {
            self.changed.clear();
        }
        let mut amount = i64::try_from(self.set_aside).unwrap();
        for (id, row) in self
            .rows
            .iter_mut()
            .filter(|(_, row)| row.state.is_between())
        {
            match row.state {
                State::Granted => {
                    let items = i64::try_from(row.items).unwrap();
                    self.changed.entry(*id).or_insert(items);
                    row.state = State::Arrived;
                    self.set_aside += row.items;
                    amount += items;
                }
                _ => amount += *self.changed.entry(*id).or_insert(0),
            }
        }
        self.sale = u64::try_from(amount).unwrap() - self.sold;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Message {
    /// To the other site: give so many.
    Ask { id: u32, to: usize, wanted: u64 },
    /// To the site that asked: so many are yours.
    Answer { id: u32, to: usize, items: u64 },
}

/// All that happens, and may happen in any order.
#[derive(Debug, Clone)]
enum Event {
    Ask(usize),
    /// One step of one row; with `true` the process dies between Redis and the database.
    Step(usize, usize, bool),
    /// A message arrives; with `true` it will arrive again.
    Deliver(usize, bool),
    Lose(usize),
    Sell(usize, u64),
    Rebuild(usize, bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0usize..2).prop_map(Event::Ask),
        6 => (0usize..2, any::<usize>(), any::<bool>()).prop_map(|(a, b, c)| Event::Step(a, b, c)),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(a, b)| Event::Deliver(a, b)),
        1 => any::<usize>().prop_map(Event::Lose),
        3 => (0usize..2, 1u64..20).prop_map(|(a, b)| Event::Sell(a, b)),
        1 => (0usize..2, any::<bool>()).prop_map(|(a, b)| Event::Rebuild(a, b)),
    ]
}

struct World {
    sites: [Site; 2],
    messages: BTreeSet<Message>,
    next_id: u32,
}

impl World {
    fn of(shares: [u64; 2]) -> Self {
        let site = |share| Site {
            set_aside: share,
            sale: share,
            ..Site::default()
        };
        Self {
            sites: shares.map(site),
            messages: BTreeSet::new(),
            next_id: 0,
        }
    }

    fn message(&self, at: usize) -> Option<Message> {
        let count = self.messages.len();
        (count > 0).then(|| *self.messages.iter().nth(at % count).unwrap())
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Ask(at) => {
                let wanted = share::wanted(self.sites[at].sale, self.sites[1 - at].sale);
                if wanted > 0 {
                    let row = Row {
                        asks: true,
                        wanted,
                        items: 0,
                        state: State::Asked,
                    };
                    self.sites[at].rows.insert(self.next_id, row);
                    self.next_id += 1;
                }
            }
            Event::Step(at, which, dies) => {
                let open = self.sites[at].rows.iter();
                let open: Vec<u32> = open
                    .filter(|(_, row)| row.state != State::Done)
                    .map(|(id, _)| *id)
                    .collect();
                if !open.is_empty() {
                    self.step(at, open[which % open.len()], dies);
                }
            }
            Event::Deliver(which, again) => {
                if let Some(message) = self.message(which) {
                    if !again {
                        self.messages.remove(&message);
                    }
                    self.arrive(message);
                }
            }
            Event::Lose(which) => {
                if let Some(message) = self.message(which) {
                    self.messages.remove(&message);
                }
            }
            Event::Sell(at, items) => {
                let site = &mut self.sites[at];
                let items = items.min(site.sale);
                site.sale -= items;
                site.sold += items;
            }
            Event::Rebuild(at, is_lost) => self.sites[at].rebuild(is_lost),
        }
    }

    fn step(&mut self, at: usize, id: u32, dies: bool) {
        let site = &mut self.sites[at];
        let row = site.rows[&id].clone();
        let items = i64::try_from(row.items).unwrap();
        let after = match row.state.next() {
            Next::Ask => {
                self.messages.insert(Message::Ask {
                    id,
                    to: 1 - at,
                    wanted: row.wanted,
                });
                return;
            }
            Next::PutOnSale => {
                site.change(id, items);
                if dies {
                    return;
                }
                site.set_aside += row.items;
                Row {
                    state: State::Arrived,
                    ..row
                }
            }
            Next::TakeOffSale => {
                let wanted = share::given(site.sale, row.wanted);
                let taken = site.change(id, -i64::try_from(wanted).unwrap());
                if dies {
                    return;
                }
                let items = taken.unsigned_abs();
                if items > site.set_aside {
                    // Some came with a transfer that is on sale and not yet on record: the
                    // database refuses to set less than nothing aside, until it is.
                    return;
                }
                site.set_aside -= items;
                Row {
                    state: State::Given,
                    items,
                    ..row
                }
            }
            Next::FitLimit => Row {
                state: State::Done,
                ..row
            },
            Next::Nothing => return,
        };
        site.rows.insert(id, after);
    }

    fn arrive(&mut self, message: Message) {
        match message {
            Message::Ask { id, to, wanted } => {
                let row = self.sites[to].rows.entry(id).or_insert(Row {
                    asks: false,
                    wanted,
                    items: 0,
                    state: State::Taking,
                });
                // It is answered once that is on record.
                if row.state != State::Taking {
                    let items = row.items;
                    let to = 1 - to;
                    self.messages.insert(Message::Answer { id, to, items });
                }
            }
            Message::Answer { id, to, items } => {
                if let Some(row) = self.sites[to].rows.get_mut(&id)
                    && row.state == State::Asked
                {
                    row.items = items;
                    row.state = match items {
                        0 => State::Done,
                        _ => State::Granted,
                    };
                }
            }
        }
    }

    /// Items set aside nowhere: given, and not arrived.
    fn under_way(&self) -> u64 {
        let rows = |at: usize| self.sites[at].rows.iter();
        let gave = (0..2).flat_map(|at| rows(at).map(move |(id, row)| (at, id, row)));
        gave.filter(|(_, _, row)| !row.asks && matches!(row.state, State::Given | State::Done))
            .filter(|(at, id, _)| {
                let asked = &self.sites[1 - at].rows[id];
                matches!(asked.state, State::Asked | State::Granted)
            })
            .map(|(_, _, row)| row.items)
            .sum()
    }

    /// What Redis holds more or less than the database has set aside, by transfers that are
    /// between the two.
    fn ahead(&self, at: usize) -> i64 {
        let site = &self.sites[at];
        let between = site.rows.iter().filter(|(_, row)| row.state.is_between());
        between.filter_map(|(id, _)| site.changed.get(id)).sum()
    }

    fn check(&self, amount: u64) -> Result<(), TestCaseError> {
        let aside: u64 = self.sites.iter().map(|site| site.set_aside).sum();
        prop_assert_eq!(aside + self.under_way(), amount);
        for at in 0..2 {
            let site = &self.sites[at];
            let holds = i64::try_from(site.holds()).unwrap();
            let aside = i64::try_from(site.set_aside).unwrap();
            prop_assert_eq!(holds, aside + self.ahead(at));
        }
        let sold: u64 = self.sites.iter().map(|site| site.sold).sum();
        prop_assert!(sold <= amount);
        Ok(())
    }

    /// Every open transfer is carried on until it is done, and all that is left is sold.
    fn end(&mut self) {
        for _ in 0..8 {
            for at in 0..2 {
                let open: Vec<u32> = self.sites[at].rows.keys().copied().collect();
                for id in open {
                    self.step(at, id, false);
                }
            }
            for message in std::mem::take(&mut self.messages) {
                self.arrive(message);
            }
        }
        for at in 0..2 {
            self.happen(&Event::Sell(at, u64::MAX));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever is lost, late, doubled or killed, at every instant the sites and what is
    /// under way between them add up to the amount, and in the end exactly that is sold.
    #[test]
    fn nothing_is_lost_or_doubled(
        shares in [0u64..60, 0u64..60],
        events in prop::collection::vec(event(), 1..150),
    ) {
        let amount = shares.iter().sum();
        let mut world = World::of(shares);
        for event in &events {
            world.happen(event);
            world.check(amount)?;
        }
        world.end();
        world.check(amount)?;
        prop_assert_eq!(world.under_way(), 0);
        let sold: u64 = world.sites.iter().map(|site| site.sold).sum();
        prop_assert_eq!(sold, amount);
    }
}

#[test]
fn what_came_and_is_not_on_record_yet_is_given_away_once_it_is() {
    let mut world = World::of([0, 18]);
    let id = 0;
    let row = |state, asks, items| Row {
        asks,
        wanted: 9,
        items,
        state,
    };
    // Nine came; whoever put them on sale died before that was on record.
    world.sites[1].set_aside = 9;
    world.sites[1].sale = 9;
    world.sites[1].rows.insert(id, row(State::Done, false, 9));
    world.sites[0].rows.insert(id, row(State::Granted, true, 9));
    world.step(0, id, true);
    world.check(18).unwrap();
    // Some of them are asked for.
    world.sites[0].rows.insert(7, row(State::Taking, false, 0));
    world.sites[1].rows.insert(7, row(State::Asked, true, 0));
    world.step(0, 7, false);
    assert_eq!(world.sites[0].rows[&7].state, State::Taking, "it waits");
    world.check(18).unwrap();
    world.step(0, id, false);
    world.step(0, 7, false);
    assert_eq!(world.sites[0].rows[&7].state, State::Given);
    world.check(18).unwrap();
}

#[test]
fn stored_states_read_back() {
    for state in State::ALL {
        assert_eq!(State::parse(state.as_str()), Some(state));
    }
    assert_eq!(State::parse("lost"), None);
}
