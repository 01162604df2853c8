//! Orders against the ledger: every purchase has its order or is on its way to
//! one, every order has its purchase, and stock moved as the orders say.

use std::collections::{HashMap, HashSet};

use seckill_core::orders::order::State;
use seckill_core::orders::purchase::Reason;
use seckill_core::stock::ledger::{Life, PurchaseId, Replay};

use super::gather::{ProductState, SegmentState};
use super::{Breach, lines};
use crate::store::orders::{Order, StockDue};

/// Returns how many purchases are on their way to an order.
pub(super) fn check(state: &ProductState, replays: &[Replay], breaches: &mut Vec<Breach>) -> usize {
    live_orders(state, breaches);
    let mut orders: HashMap<(u16, PurchaseId), Vec<&Order>> = HashMap::new();
    for order in &state.orders {
        let key = (order.segment, purchase_of(order));
        orders.entry(key).or_default().push(order);
    }
    let mut on_their_way = 0;
    for (segment, replay) in state.segments.iter().zip(replays) {
        for (purchase, life) in &replay.purchases {
            let key = (segment.id.number, purchase.clone());
            let view = View {
                segment,
                purchase,
                life,
            };
            match orders.get(&key).map(Vec::as_slice) {
                None | Some([]) => match view.is_on_its_way(state) {
                    true => on_their_way += 1,
                    false => breaches.push(view.vanished()),
                },
                Some([order]) => view.agrees(order, breaches),
                Some([order, more @ ..]) => {
                    view.agrees(order, breaches);
                    breaches.push(view.twice(order, more));
                }
            }
        }
    }
    without_purchase(state, replays, breaches);
    on_their_way
}

pub(super) fn purchase_of(order: &Order) -> PurchaseId {
    PurchaseId {
        user: order.user.clone(),
        request: order.request.clone(),
        at_ms: order.locked_ms,
    }
}

/// A buyer has one live order at most.
fn live_orders(state: &ProductState, breaches: &mut Vec<Breach>) {
    let mut live: HashMap<&str, &Order> = HashMap::new();
    for order in &state.orders {
        if !matches!(order.state, State::Created | State::Paid) {
            continue;
        }
        if let Some(other) = live.insert(&order.user, order) {
            let Order { user, id, .. } = order;
            breaches.push(Breach {
                invariant: 3,
                kind: "two_live_orders",
                place: state.item.to_string(),
                subject: user.clone(),
                what: format!("buyer {user} has two live orders, {} and {id}", other.id),
                events: Vec::new(),
            });
        }
    }
}

/// Orders that no purchase in the ledger led to. Those whose purchase came after
/// the ledger was read are left for the next look.
fn without_purchase(state: &ProductState, replays: &[Replay], breaches: &mut Vec<Breach>) {
    let known: HashSet<(u16, &PurchaseId)> = state
        .segments
        .iter()
        .zip(replays)
        .flat_map(|(segment, replay)| {
            replay
                .purchases
                .keys()
                .map(|purchase| (segment.id.number, purchase))
        })
        .collect();
    let read_ms: HashMap<u16, u64> = state
        .segments
        .iter()
        .map(|segment| (segment.id.number, segment.at_ms))
        .collect();
    for order in &state.orders {
        let read_ms = read_ms.get(&order.segment).copied().unwrap_or(u64::MAX);
        if order.locked_ms >= read_ms || known.contains(&(order.segment, &purchase_of(order))) {
            continue;
        }
        let Order { id, user, .. } = order;
        breaches.push(Breach {
            invariant: 3,
            kind: "order_unfounded",
            place: format!("{}::{:02}", state.item, order.segment),
            subject: id.to_string(),
            what: format!("order {id} of buyer {user} has no purchase in the ledger"),
            events: Vec::new(),
        });
    }
}

/// A purchase in the ledger.
struct View<'a> {
    segment: &'a SegmentState,
    purchase: &'a PurchaseId,
    life: &'a Life,
}

impl View<'_> {
    /// Whether its order may still come: the relay has not handed it on, or it
    /// is in the queue or among the dead letters.
    fn is_on_its_way(&self, state: &ProductState) -> bool {
        let made = &self.segment.events[self.life.made];
        if !self.segment.is_relayed(made) {
            return true;
        }
        match &state.under_way {
            Some(under_way) => under_way.contains(self.purchase),
            // Nobody can look into the queue: it has to be trusted.
            None => self.life.confirmed.is_none() && self.life.released.is_none(),
        }
    }

    fn vanished(&self) -> Breach {
        let user = &self.purchase.user;
        let what = format!(
            "buyer {user}'s purchase has no order, and is neither in the outbox nor in the queue \
             nor among the dead letters"
        );
        self.breach(4, "purchase_vanished", user, what)
    }

    fn twice(&self, order: &Order, more: &[&Order]) -> Breach {
        let numbers: Vec<String> = more.iter().map(|order| order.id.to_string()).collect();
        let what = format!(
            "one purchase of buyer {} has the orders {} and {}",
            self.purchase.user,
            order.id,
            numbers.join(", ")
        );
        self.breach(3, "order_twice", &order.id.to_string(), what)
    }

    /// Whether the stock did what the order says, and nothing else.
    fn agrees(&self, order: &Order, breaches: &mut Vec<Breach>) {
        let Order { id, state, .. } = order;
        let subject = id.to_string();
        let made = &self.segment.events[self.life.made];
        if made.number("quantity") != Some(i64::from(order.quantity)) {
            let what = format!("order {id} is of another quantity than was bought");
            breaches.push(self.breach(3, "order_differs", &subject, what));
        }
        if order.stock_due == Some(StockDue::Lost) {
            let what = format!("the stock of order {id} could not follow: its record is not there");
            breaches.push(self.breach(5, "stock_lost", &subject, what));
            return;
        }
        let is_due = order.stock_due.is_some();
        let state = state.as_str();
        let (confirmed, released) = (self.life.confirmed.is_some(), self.life.released.is_some());
        // Its stock stays sold or is for sale again, as the operator said then.
        let is_refunded = order.reason == Some(Reason::Refunded);
        let (wants_confirm, wants_release) = match order.state {
            State::Created => (false, false),
            State::Paid => (true, false),
            State::Cancelled | State::Failed => (false, true),
        };
        if wants_confirm && !confirmed && !is_due {
            let what = format!("order {id} is paid, and its stock does not count as sold");
            breaches.push(self.breach(5, "paid_not_confirmed", &subject, what));
        }
        if wants_release && !released && !is_due && !is_refunded {
            let what = format!("order {id} is {state}, and its stock was not given back");
            breaches.push(self.breach(5, "stock_not_returned", &subject, what));
        }
        let was_paid = order.reason.is_some_and(Reason::cancels_paid);
        if confirmed && !wants_confirm && !is_refunded && !was_paid {
            let what = format!("the stock of order {id} counts as sold, and the order is {state}");
            breaches.push(self.breach(5, "confirmed_undecided", &subject, what));
        }
        if released && !wants_release {
            let what = format!("the stock of order {id} was given back, and the order is {state}");
            breaches.push(self.breach(5, "released_undecided", &subject, what));
        }
    }

    fn breach(&self, invariant: u8, kind: &'static str, subject: &str, what: String) -> Breach {
        let life = [
            Some(self.life.made),
            self.life.confirmed,
            self.life.released,
        ];
        let events = life.iter().flatten().map(|at| &self.segment.events[*at]);
        Breach {
            invariant,
            kind,
            place: self.segment.id.to_string(),
            subject: subject.to_owned(),
            what,
            events: lines(events),
        }
    }
}
