//! The ledger: every movement of stock is an event of its segment, and says what
//! the three amounts are after it. Replaying them tells whether one is missing,
//! doubled, or was never decided. After a Redis was lost, a `rebuild` says what the
//! amounts are from there on; what is missing before it was lost with that Redis.
//!
//! Worked example. `preload 10` leaves (10, 0, 0); `purchase 2` leaves (8, 2, 0);
//! `confirm 2` leaves (8, 0, 2). If the purchase is taken out, the confirm's
//! amounts do not follow from the preload's, and belong to no purchase.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Names an event within its segment's stream: milliseconds by Redis's clock,
/// and a number within the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Epoch milliseconds.
    pub ms: u64,
    /// Number within the millisecond.
    pub seq: u64,
}

impl EntryId {
    /// Reads the form that Redis writes, `ms-seq`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (ms, seq) = text.split_once('-')?;
        Some(Self {
            ms: ms.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// An event as it stands in the stream or the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EntryId,
    /// Its fields.
    pub fields: BTreeMap<String, String>,
}

impl Event {
    /// A field; empty if there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// A field that is a number; `None` if it is none.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name).parse().ok()
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("kind")
    }

    /// The purchase it is about: one it made, or one that was made before.
    #[must_use]
    pub fn purchase(&self) -> PurchaseId {
        let at_ms = match self.kind() {
            // Its entry's own time, unless it is a copy of an earlier one.
            "purchase" => self.text("at_ms").parse().unwrap_or(self.id.ms),
            _ => self.text("bought_ms").parse().unwrap_or(0),
        };
        PurchaseId {
            user: self.text("user").to_owned(),
            request: self.text("request").to_owned(),
            at_ms,
        }
    }

    fn amounts(&self) -> Option<Amounts> {
        Some(Amounts {
            sale: self.number("sale")?,
            locked: self.number("locked")?,
            saled: self.number("saled")?,
        })
    }
}

impl fmt::Display for Event {
    /// One line for people: id, kind, and the fields that matter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.kind())?;
        let named = [
            "user", "request", "quantity", "order", "reason", "permit", "other", "sale", "locked",
            "saled",
        ];
        for name in named.iter().filter(|name| !self.text(name).is_empty()) {
            write!(f, " {name}={}", self.text(name))?;
        }
        Ok(())
    }
}

/// A segment's three amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// For sale.
    pub sale: i64,
    /// In orders that are not paid, or not placed yet.
    pub locked: i64,
    /// Paid.
    pub saled: i64,
}

impl fmt::Display for Amounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sale,
            locked,
            saled,
        } = self;
        write!(f, "{sale} for sale, {locked} locked, {saled} sold")
    }
}

/// Names a purchase within its product: a buyer may use a request id again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PurchaseId {
    /// Buyer.
    pub user: String,
    /// Request id.
    pub request: String,
    /// When the stock was locked, epoch milliseconds.
    pub at_ms: u64,
}

/// What became of a purchase, as places in the list of events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Life {
    /// The event that made it.
    pub made: usize,
    /// Items.
    pub quantity: i64,
    /// The event that counted it as sold.
    pub confirmed: Option<usize>,
    /// The event that put it up for sale again.
    pub released: Option<usize>,
}

/// What is wrong with a list of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In one word: `event_missing`, `event_doubled`, `event_unfounded` or
    /// `rebuild_differs`.
    pub kind: &'static str,
    /// As a sentence.
    pub what: String,
    /// The events that show it, as places in the list.
    pub events: Vec<usize>,
}

/// A segment's history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replay {
    /// The amounts after the last event.
    pub amounts: Amounts,
    /// All purchases.
    pub purchases: HashMap<PurchaseId, Life>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// Transfers that left, by id.
    pub left: HashMap<String, usize>,
    /// Transfers that arrived, by id.
    pub arrived: HashMap<String, usize>,
    /// Items that there are, by all changes of their number.
    pub total: i64,
    seen: HashMap<(String, PurchaseId), usize>,
    /// Purchases that are not released, by buyer and request id.
    live: HashMap<(String, String), usize>,
    last: Option<usize>,
    /// What finished a purchase that has not been met yet: one that was lost may
    /// be entered again later.
    early: BTreeMap<PurchaseId, usize>,
}

/// Replays a segment's events, oldest first.
#[must_use]
pub fn replay(events: &[Event]) -> Replay {
    let mut replay = Replay::default();
    for at in 1..=events.len() {
        replay.push(&events[..at]);
    }
    replay.close(events);
    replay
}

/// How an event changes the amounts; `None` if it moves no stock.
fn change(event: &Event) -> Option<Amounts> {
    let quantity = event.number("quantity")?;
    let (sale, locked, saled) = match event.kind() {
        "preload" | "transfer_in" | "adjust" => (quantity, 0, 0),
        "transfer_out" => (-quantity, 0, 0),
        "purchase" => (-quantity, quantity, 0),
        "confirm" => (0, -quantity, quantity),
        "release" => (quantity, -quantity, 0),
        _ => return None,
    };
    Some(Amounts {
        sale,
        locked,
        saled,
    })
}

impl Replay {
    /// Goes on by the last of these events; all before it were replayed already.
    pub(crate) fn push(&mut self, events: &[Event]) {
        let Some((event, before)) = events.split_last() else {
            return;
        };
        let at = before.len();
        if event.kind() == "rebuild" {
            self.begin_again(event, at);
            self.last = Some(at);
            return;
        }
        // A redriven event is a copy that was made on purpose; refunds of
        // permits move no stock, and may be asked for again.
        let Some(change) = change(event).filter(|_| event.text("redriven").is_empty()) else {
            return;
        };
        let name = (event.kind().to_owned(), event.purchase());
        let first = self.seen.insert(name, at);
        if let Some(first) = first.or_else(|| self.live_of(event)) {
            let what = format!("the {} is in the ledger twice", event.kind());
            return self.fault("event_doubled", what, vec![first, at]);
        }
        self.follow(events, at, change, self.last);
        self.last = Some(at);
    }

    /// The purchase that this one repeats: a copy is an entry of its own, and so
    /// of another time, but a request buys once for as long as it has what it bought.
    fn live_of(&self, event: &Event) -> Option<usize> {
        if event.kind() != "purchase" {
            return None;
        }
        let id = event.purchase();
        self.live.get(&(id.user, id.request)).copied()
    }

    /// Names what finished a purchase that never came.
    fn close(&mut self, events: &[Event]) {
        for (_, at) in std::mem::take(&mut self.early) {
            let kind = events[at].kind();
            let what = format!("the {kind} belongs to no purchase in the ledger");
            self.fault("event_unfounded", what, vec![at]);
        }
    }

    /// A rebuild says what the amounts are, whatever is missing before it. It has
    /// to agree with the purchases that are on record.
    fn begin_again(&mut self, event: &Event, at: usize) {
        self.total += event.number("quantity").unwrap_or(0);
        let (locked, saled) = self.bound();
        let sale = self.total - locked - saled;
        let follows = Amounts {
            sale,
            locked,
            saled,
        };
        let says = event.amounts().unwrap_or(follows);
        self.faults.retain(|fault| fault.kind != "event_missing");
        if says != follows {
            let what = format!(
                "the rebuild says {says}, and by the purchases before it there are {follows}"
            );
            self.fault("rebuild_differs", what, vec![at]);
        }
        self.amounts = says;
    }

    /// Items in purchases that are not finished, and in those that are paid.
    #[must_use]
    pub fn bound(&self) -> (i64, i64) {
        let mut bound = (0, 0);
        for life in self.purchases.values() {
            match (life.confirmed, life.released) {
                (Some(_), _) => bound.1 += life.quantity,
                (None, None) => bound.0 += life.quantity,
                (None, Some(_)) => {}
            }
        }
        bound
    }

    /// The amounts that an event leads to from here.
    #[must_use]
    pub fn after(&self, event: &Event) -> Amounts {
        let change = change(event).unwrap_or_default();
        Amounts {
            sale: self.amounts.sale + change.sale,
            locked: self.amounts.locked + change.locked,
            saled: self.amounts.saled + change.saled,
        }
    }

    fn fault(&mut self, kind: &'static str, what: String, events: Vec<usize>) {
        self.faults.push(Fault { kind, what, events });
    }

    fn follow(&mut self, events: &[Event], at: usize, change: Amounts, last: Option<usize>) {
        let event = &events[at];
        let follows = self.after(event);
        self.total += change.sale + change.locked + change.saled;
        let says = event.amounts().unwrap_or(follows);
        if says != follows {
            let what = format!(
                "after it there should be {follows}, and it says {says}: an event before it is missing"
            );
            self.fault(
                "event_missing",
                what,
                last.into_iter().chain([at]).collect(),
            );
        }
        self.amounts = says;
        self.note(events, at);
    }

    fn note(&mut self, events: &[Event], at: usize) {
        let event = &events[at];
        let quantity = event.number("quantity").unwrap_or(0);
        match event.kind() {
            "purchase" => {
                let life = Life {
                    made: at,
                    quantity,
                    ..Life::default()
                };
                let purchase = event.purchase();
                let request = (purchase.user.clone(), purchase.request.clone());
                self.live.insert(request, at);
                let early = self.early.remove(&purchase);
                self.purchases.insert(purchase, life);
                if let Some(early) = early {
                    self.finish(&events[early], early);
                }
            }
            "transfer_out" => {
                self.left.insert(event.text("request").to_owned(), at);
            }
            "transfer_in" => {
                self.arrived.insert(event.text("request").to_owned(), at);
            }
            "confirm" | "release" => self.finish(event, at),
            _ => {}
        }
    }

    fn finish(&mut self, event: &Event, at: usize) {
        let (kind, quantity) = (event.kind(), event.number("quantity").unwrap_or(0));
        let Some(life) = self.purchases.get_mut(&event.purchase()) else {
            self.early.insert(event.purchase(), at);
            return;
        };
        let made = life.made;
        if kind == "release" {
            let id = event.purchase();
            self.live.remove(&(id.user, id.request));
        }
        if let Some(before) = life.confirmed.or(life.released) {
            let what = format!("the {kind} is of a purchase that was finished before");
            return self.fault("event_unfounded", what, vec![made, before, at]);
        }
        let differs = life.quantity != quantity;
        match kind {
            "confirm" => life.confirmed = Some(at),
            _ => life.released = Some(at),
        }
        if differs {
            let what = format!("the {kind} moves another quantity than was bought");
            self.fault("event_unfounded", what, vec![made, at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, text: &str) -> Event {
        let fields = text.split(' ').filter_map(|pair| pair.split_once('='));
        Event {
            id: EntryId { ms: 1, seq },
            fields: fields
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .collect(),
        }
    }

    fn history() -> Vec<Event> {
        [
            "kind=preload request=preload quantity=10 sale=10 locked=0 saled=0",
            "kind=purchase user=li request=r at_ms=5 quantity=2 sale=8 locked=2 saled=0",
            "kind=purchase user=wang request=r at_ms=6 quantity=1 sale=7 locked=3 saled=0",
            "kind=refund permit=e.l.1 quantity=1",
            "kind=confirm user=li request=r bought_ms=5 quantity=2 sale=7 locked=1 saled=2",
            "kind=release user=wang request=r bought_ms=6 quantity=1 sale=8 locked=0 saled=2",
            "kind=transfer_out request=t quantity=3 sale=5 locked=0 saled=2",
            "kind=adjust request=a quantity=-1 sale=4 locked=0 saled=2",
        ]
        .iter()
        .zip(0..)
        .map(|(text, seq)| event(seq, text))
        .collect()
    }

    #[test]
    fn a_sound_history_replays_to_its_amounts() {
        let replay = replay(&history());
        assert_eq!(replay.faults, []);
        let (sale, locked, saled) = (4, 0, 2);
        let amounts = Amounts {
            sale,
            locked,
            saled,
        };
        assert_eq!(replay.amounts, amounts);
        assert_eq!(replay.purchases.len(), 2);
        assert!(replay.left.contains_key("t"));
    }

    #[test]
    fn every_event_that_moves_stock_is_missed_when_it_is_gone() {
        let whole = history();
        for gone in (0..whole.len() - 1).filter(|at| *at != 3) {
            let mut events = whole.clone();
            events.remove(gone);
            let faults = replay(&events).faults;
            assert!(!faults.is_empty(), "without event {gone}");
            assert_eq!(faults[0].kind, "event_missing", "without event {gone}");
        }
    }

    #[test]
    fn a_purchase_copied_under_another_time_is_named_and_counts_once() {
        let mut events = history();
        let mut copy = events[1].clone();
        copy.fields.insert("at_ms".into(), "32".into());
        events.insert(2, copy);
        let replayed = replay(&events);
        assert_eq!(replayed.faults.len(), 1, "{:?}", replayed.faults);
        assert_eq!(replayed.faults[0].kind, "event_doubled");
        assert_eq!(replayed.faults[0].events, [1, 2]);
        assert_eq!(replayed.amounts, replay(&history()).amounts);
    }

    #[test]
    fn a_doubled_event_is_named_and_counts_once() {
        for doubled in [0, 1, 4, 5, 6, 7] {
            let mut events = history();
            events.push(events[doubled].clone());
            let replayed = replay(&events);
            assert_eq!(replayed.faults.len(), 1);
            assert_eq!(replayed.faults[0].kind, "event_doubled");
            assert_eq!(replayed.faults[0].events, [doubled, 8]);
            assert_eq!(replayed.amounts, replay(&history()).amounts);
            let copy = events.last_mut().unwrap();
            copy.fields.insert("redriven".into(), "1".into());
            assert_eq!(replay(&events).faults, [], "made on purpose");
        }
    }

    #[test]
    fn nothing_is_confirmed_and_released() {
        let mut events = history();
        let both = "kind=release user=li request=r bought_ms=5 quantity=2 sale=6 locked=-2 saled=2";
        events.push(event(9, both));
        let faults = replay(&events).faults;
        assert_eq!(faults[0].kind, "event_unfounded");
        assert_eq!(faults[0].events, [1, 4, 8]);
    }

    #[test]
    fn a_rebuild_begins_again_and_is_held_to_the_purchases_on_record() {
        let mut events = history();
        // li's purchase was lost, and is entered again behind its confirm.
        let lost = events.remove(1);
        assert!(!replay(&events).faults.is_empty());
        let mut again = lost;
        again.id.seq = 10;
        events.push(again);
        events.push(event(11, "kind=rebuild quantity=0 sale=4 locked=0 saled=2"));
        let replayed = replay(&events);
        assert_eq!(replayed.faults, []);
        assert_eq!((replayed.amounts.saled, replayed.total), (2, 6));
        let wrong = "kind=rebuild quantity=0 sale=5 locked=0 saled=2";
        events.push(event(12, wrong));
        assert_eq!(replay(&events).faults[0].kind, "rebuild_differs");
    }

    #[test]
    fn an_id_reads_back_as_written() {
        let id = EntryId::parse("1700000000000-7").unwrap();
        assert_eq!(id.to_string(), "1700000000000-7");
        assert!(id < EntryId::parse("1700000000000-10").unwrap());
        assert_eq!(EntryId::parse("7"), None);
    }
}
