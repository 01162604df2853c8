//! What happened, by ledger and orders.

use std::collections::HashMap;

use super::record::{Answer, Call, History, Order, What};
use crate::orders::order::State;
use crate::stock::ledger::{self, PurchaseId, Replay};

/// Microseconds in a millisecond.
const MS: u64 = 1_000;
/// What never ends.
const EVER: u64 = u64::MAX;

/// A purchase, with the microseconds between which it certainly and possibly was.
#[derive(Debug)]
pub(super) struct Purchase {
    pub(super) id: PurchaseId,
    pub(super) quantity: i64,
    /// Not before this it was made.
    pub(super) from_us: u64,
    /// When it was counted as sold.
    pub(super) paid_us: Option<u64>,
    /// When its items were for sale again.
    pub(super) released_us: Option<u64>,
}

impl Purchase {
    /// Whether its buyer has the item at some instant of this call.
    pub(super) fn lives_within(&self, call: &Call) -> bool {
        let ended = self.released_us.is_some_and(|at| at + MS < call.called_us);
        self.from_us <= call.returned_us && !ended
    }

    /// Whether its buyer has the item at every instant of this call.
    pub(super) fn lives_throughout(&self, call: &Call) -> bool {
        let ends = self.released_us.is_some_and(|at| at <= call.returned_us);
        self.from_us + MS < call.called_us && !ends
    }

    pub(super) fn is_live(&self) -> bool {
        self.released_us.is_none()
    }
}

/// What happened.
pub(super) struct Facts<'a> {
    pub(super) replays: Vec<Replay>,
    pub(super) purchases: HashMap<&'a str, Vec<Purchase>>,
    pub(super) orders: HashMap<&'a str, Vec<&'a Order>>,
    /// When each buyer clicked first.
    first_click: HashMap<&'a str, u64>,
    /// When each buyer first called to pay or cancel an order that is paid or cancelled in
    /// the end. The database decides; the ledger follows, and if Redis loses that, it
    /// follows once more, later.
    first_decision: HashMap<(&'a str, State), u64>,
    /// Spans in which an item may not have been free: by the amounts, together with the
    /// requests that were admitted and not decided. Sorted, with the fewest free items
    /// in each.
    free: Vec<(u64, i64)>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let replays: Vec<Replay> = history
            .segments
            .iter()
            .map(|events| ledger::replay(events))
            .collect();
        let mut first_click: HashMap<&'a str, u64> = HashMap::new();
        for call in &history.calls {
            if let What::Buy { .. } = call.what {
                let first = first_click.entry(&call.user).or_insert(EVER);
                *first = call.called_us.min(*first);
            }
        }
        let stands: HashMap<&str, State> = history
            .orders
            .iter()
            .map(|order| (order.number.as_str(), order.state))
            .collect();
        let mut first_decision: HashMap<(&'a str, State), u64> = HashMap::new();
        for call in &history.calls {
            let (order, state) = match &call.what {
                What::Pay { order } => (order, State::Paid),
                What::Cancel { order } => (order, State::Cancelled),
                _ => continue,
            };
            if stands.get(order.as_str()) == Some(&state) {
                let first = first_decision.entry((&call.user, state)).or_insert(EVER);
                *first = call.called_us.min(*first);
            }
        }
        let mut purchases: HashMap<&'a str, Vec<Purchase>> = HashMap::new();
        for (events, replay) in history.segments.iter().zip(&replays) {
            for (id, life) in &replay.purchases {
                let user = events[life.made].text("user");
                let at = |index: usize| events[index].id.ms * MS;
                let purchase = Purchase {
                    id: id.clone(),
                    quantity: life.quantity,
                    from_us: id.at_ms * MS,
                    paid_us: life.confirmed.map(at),
                    released_us: life.released.map(at),
                };
                purchases.entry(user).or_default().push(purchase);
            }
        }
        for list in purchases.values_mut() {
            list.sort_by_key(|purchase| purchase.from_us);
        }
        let mut orders: HashMap<&'a str, Vec<&'a Order>> = HashMap::new();
        for order in &history.orders {
            orders.entry(&order.user).or_default().push(order);
        }
        let free = free_items(history, &purchases);
        Self {
            replays,
            purchases,
            orders,
            first_click,
            first_decision,
            free,
        }
    }

    pub(super) fn of_buyer(&self, user: &str) -> &[Purchase] {
        self.purchases.get(user).map_or(&[], Vec::as_slice)
    }

    pub(super) fn orders_of(&self, user: &str) -> &[&'a Order] {
        self.orders.get(user).map_or(&[], Vec::as_slice)
    }

    /// Whether the buyer had clicked before this call ended.
    pub(super) fn was_clicking(&self, call: &Call) -> bool {
        let first = self.first_click.get(call.user.as_str());
        first.is_some_and(|at| *at <= call.returned_us && *at != call.called_us)
    }

    /// Whether the buyer had called, before this call ended, for an order to become what
    /// it is now: paid or cancelled.
    pub(super) fn was_deciding(&self, call: &Call, state: State) -> bool {
        let first = self.first_decision.get(&(call.user.as_str(), state));
        first.is_some_and(|at| *at <= call.returned_us)
    }

    /// Whether at some instant of the call fewer than `quantity` items were free.
    pub(super) fn was_short_within(&self, call: &Call, quantity: u32) -> bool {
        let first = self
            .free
            .partition_point(|(at, _)| *at + MS < call.called_us);
        let from = first.saturating_sub(1);
        let spans = self.free[from..].iter();
        let mut spans = spans.take_while(|(at, _)| *at <= call.returned_us + MS);
        spans.any(|(_, free)| *free < i64::from(quantity))
    }
}

/// The number of free items from each instant on. A request that was admitted holds one
/// from its call until it is decided, since it holds a permit.
fn free_items(history: &History, purchases: &HashMap<&str, Vec<Purchase>>) -> Vec<(u64, i64)> {
    let mut changes: Vec<(u64, i64)> = Vec::new();
    for purchase in purchases.values().flatten() {
        changes.push((purchase.from_us, -purchase.quantity));
        if let Some(at) = purchase.released_us {
            let at = at.saturating_add(history.reopens_within_us);
            changes.push((at, purchase.quantity));
        }
    }
    for call in &history.calls {
        let What::Buy { request, quantity } = &call.what else {
            continue;
        };
        let held = i64::from(*quantity);
        let bought = purchases.get(call.user.as_str()).into_iter().flatten();
        let made = bought.filter(|purchase| purchase.id.request == *request);
        let until = match (&call.answer, made.map(|it| it.from_us).min()) {
            (Answer::Accepted | Answer::Lost, Some(made)) => made,
            // It bought nothing in the end; its permit may be out until its answer.
            (Answer::Accepted | Answer::Lost, None) => EVER,
            // Who is told "sold out" never had a permit.
            (Answer::Refused(code), _) if code == "sold_out" => continue,
            _ => call.returned_us,
        };
        if until > call.called_us {
            changes.push((call.called_us, -held));
            changes.push((until, held));
        }
    }
    changes.sort_unstable();
    let mut free = i64::try_from(history.amount).unwrap_or(i64::MAX);
    let mut spans = vec![(0, free)];
    for (at, change) in changes.into_iter().filter(|(at, _)| *at < EVER) {
        free += change;
        spans.push((at, free));
    }
    spans
}
