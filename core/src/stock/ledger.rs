//! The ledger: every movement of stock is an event of its segment, and says what
//! the three amounts are after it. Replaying them shows whether one is missing,
//! doubled, or without foundation. After a Redis was lost, a `rebuild` says what the
//! amounts are from there on; events that are missing before it were lost with that
//! Redis.
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

    /// A field as a number; `None` if it is missing or no number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name).parse().ok()
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("kind")
    }

    /// The purchase that the event makes, confirms or releases.
    #[must_use]
    pub fn purchase(&self) -> PurchaseId {
        let at_ms = match self.kind() {
            // The time of its own entry, unless it is a copy of an earlier one.
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
    /// Items for sale.
    pub sale: i64,
    /// Items in orders that are not paid, or not placed yet.
    pub locked: i64,
    /// Items in orders that are paid.
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
    /// The buyer's written id.
    pub user: String,
    /// Request id.
    pub request: String,
    /// When the stock was locked, epoch milliseconds.
    pub at_ms: u64,
}

/// The events of one purchase, as indices in the list of events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Life {
    /// The event that made it.
    pub made: usize,
    /// How many items were bought.
    pub quantity: i64,
    /// The event that counted it as sold.
    pub confirmed: Option<usize>,
    /// The event that released its items, or returned them after they were sold.
    pub released: Option<usize>,
}

/// What is wrong with a list of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The kind of fault in one word: `event_missing`, `event_doubled`, `event_unfounded` or
    /// `rebuild_differs`.
    pub kind: &'static str,
    /// The fault as a sentence.
    pub what: String,
    /// The events that show it, as indices in the list.
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
    /// All items, by the events that change their number.
    pub total: i64,
    seen: HashMap<(String, PurchaseId), usize>,
    /// Purchases that are not released, by buyer and request id.
    live: HashMap<(String, String), usize>,
    last: Option<usize>,
    /// Events that finish a purchase which has not been replayed yet: a lost purchase
    /// may be entered again later.
    early: BTreeMap<PurchaseId, Vec<usize>>,
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
        "return" => (quantity, 0, -quantity),
        _ => return None,
    };
    Some(Amounts {
        sale,
        locked,
        saled,
    })
}

impl Replay {
    /// Replays the last of these events; all before it were replayed already.
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
        // permits move no stock, and may be repeated.
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

    /// The purchase that this event repeats: a copy is an entry of its own with
    /// another time, but a request buys at most once until its purchase is released.
    fn live_of(&self, event: &Event) -> Option<usize> {
        if event.kind() != "purchase" {
            return None;
        }
        let id = event.purchase();
        self.live.get(&(id.user, id.request)).copied()
    }

    /// Records a fault for each event that finished an unknown purchase.
    fn close(&mut self, events: &[Event]) {
        for at in std::mem::take(&mut self.early).into_values().flatten() {
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
                (_, Some(_)) => {}
                (Some(_), None) => bound.1 += life.quantity,
                (None, None) => bound.0 += life.quantity,
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
                for early in early.into_iter().flatten() {
                    self.finish(&events[early], early);
                }
            }
            "transfer_out" => {
                self.left.insert(event.text("request").to_owned(), at);
            }
            "transfer_in" => {
                self.arrived.insert(event.text("request").to_owned(), at);
            }
            "confirm" | "release" | "return" => self.finish(event, at),
            _ => {}
        }
    }

    fn finish(&mut self, event: &Event, at: usize) {
        let (kind, quantity) = (event.kind(), event.number("quantity").unwrap_or(0));
        let Some(life) = self.purchases.get_mut(&event.purchase()) else {
            self.early.entry(event.purchase()).or_default().push(at);
            return;
        };
        let made = life.made;
        if kind != "confirm" {
            let id = event.purchase();
            self.live.remove(&(id.user, id.request));
        }
        if kind == "return" && life.confirmed.is_none() {
            let what = "the return is of a purchase that was not sold".to_owned();
            return self.fault("event_unfounded", what, vec![made, at]);
        }
        let before = match kind {
            // What was sold may be returned.
            "return" => life.released,
            _ => life.confirmed.or(life.released),
        };
        if let Some(before) = before {
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
mod tests;
