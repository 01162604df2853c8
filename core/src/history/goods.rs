//! Orders against purchases, stock against the amount.

use std::collections::HashMap;

use super::Lie;
use super::facts::Facts;
use super::record::{History, Order};
use crate::orders::order::State;

pub(super) fn check(history: &History, facts: &Facts<'_>, lies: &mut Vec<Lie>) {
    for (number, replay) in (1..).zip(&facts.replays) {
        for fault in &replay.faults {
            let what = format!("segment {number}: {}", fault.what);
            lies.push(Lie::new(fault.kind, what));
        }
    }
    stock(history, facts, lies);
    let mut of_purchase: HashMap<(&str, &str, u64), &Order> = HashMap::new();
    for order in &history.orders {
        order_of_purchase(order, facts, lies);
        let key = (order.user.as_str(), order.request.as_str(), order.locked_ms);
        if let Some(other) = of_purchase.insert(key, order) {
            let what = format!(
                "one purchase of {} has orders {} and {}",
                order.user, other.number, order.number
            );
            lies.push(Lie::new("two_orders_for_a_purchase", what));
        }
    }
    for (user, purchases) in &facts.purchases {
        let live: Vec<_> = purchases.iter().filter(|it| it.is_live()).collect();
        if live.len() > 1 {
            lies.push(Lie::new(
                "bought_twice",
                format!("{user} has {} purchases", live.len()),
            ));
        }
        for purchase in live {
            let key = (*user, purchase.id.request.as_str(), purchase.id.at_ms);
            if !of_purchase.contains_key(&key) {
                let what = format!(
                    "the purchase {} of {user} has no order",
                    purchase.id.request
                );
                lies.push(Lie::new("purchase_without_order", what));
            }
        }
    }
    for (user, orders) in &facts.orders {
        let lives = |order: &&&Order| matches!(order.state, State::Created | State::Paid);
        let live = orders.iter().filter(lives).count();
        if live > 1 {
            lies.push(Lie::new(
                "two_live_orders",
                format!("{user} has {live} live orders"),
            ));
        }
    }
}

fn stock(history: &History, facts: &Facts<'_>, lies: &mut Vec<Lie>) {
    let amount = i64::try_from(history.amount).unwrap_or(i64::MAX);
    let total: i64 = facts.replays.iter().map(|replay| replay.total).sum();
    if total != amount && !facts.replays.is_empty() {
        let what = format!("there are {total} items in the ledger, and {amount} were for sale");
        lies.push(Lie::new("items_from_nowhere", what));
    }
    let live = facts.purchases.values().flatten().filter(|it| it.is_live());
    let sold: i64 = live.map(|purchase| purchase.quantity).sum();
    if sold > amount {
        let what = format!("{sold} items are sold, of {amount}");
        lies.push(Lie::new("oversold", what));
    }
    let ordered = history.orders.iter();
    let ordered = ordered.filter(|order| matches!(order.state, State::Created | State::Paid));
    let ordered: u64 = ordered.map(|order| u64::from(order.quantity)).sum();
    if ordered > history.amount {
        let what = format!("{ordered} items are ordered, of {amount}");
        lies.push(Lie::new("oversold", what));
    }
}

fn order_of_purchase(order: &Order, facts: &Facts<'_>, lies: &mut Vec<Lie>) {
    let Order { number, user, .. } = order;
    let mut purchases = facts.of_buyer(user).iter();
    let made =
        purchases.find(|it| it.id.request == order.request && it.id.at_ms == order.locked_ms);
    let Some(purchase) = made else {
        let what = format!("order {number} of {user} has no purchase in the ledger");
        return lies.push(Lie::new("order_without_purchase", what));
    };
    if purchase.quantity != i64::from(order.quantity) {
        let what = format!(
            "order {number} is of {} items, and {} were bought",
            order.quantity, purchase.quantity
        );
        lies.push(Lie::new("another_quantity", what));
    }
    if order.stock_due {
        return;
    }
    let (paid, released) = (purchase.paid_us.is_some(), purchase.released_us.is_some());
    let fault = match order.state {
        State::Paid if !paid => Some((
            "paid_not_counted",
            "is paid, and its items are not counted as sold",
        )),
        State::Cancelled | State::Failed if !released => Some((
            "items_not_returned",
            "was given up, and its items are not for sale again",
        )),
        State::Created | State::Paid if released => Some((
            "items_sold_twice",
            "lives, and its items are for sale again",
        )),
        _ => None,
    };
    if let Some((kind, says)) = fault {
        lies.push(Lie::new(kind, format!("order {number} of {user} {says}")));
    }
}
