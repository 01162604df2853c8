//! `seckill verify --archived`: replays the ledgers of rounds that have left Redis, and
//! compares them with what their segments held at the end, and with the orders.

use std::collections::{HashMap, HashSet};

use seckill_core::ids::Item;
use seckill_core::orders::order::{OrderId, State};
use seckill_core::orders::purchase::Reason;
use seckill_core::stock::ledger::{self, PurchaseId, Replay};

use super::{Breach, Counts, Report, VerifyError, lines};
use crate::stock::retire;
use crate::store::Store;
use crate::store::orders::Order;
use crate::store::retention::Part;
use crate::store::retired::RetiredSegment;

/// Segments that are read at once.
const PAGE: u32 = 100;

/// Verifies every retired round.
///
/// # Errors
/// The database is away.
pub async fn verify_archived(store: &Store) -> Result<Report, VerifyError> {
    let (mut counts, mut breaches) = (Counts::default(), Vec::new());
    let mut after: Option<(Item, u16)> = None;
    let mut orders: Option<Ordered> = None;
    loop {
        let behind = after.as_ref().map(|(item, number)| (item, *number));
        let page = store.retired_segments(behind, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for segment in page {
            let Some(item) = Item::new(&segment.round, &segment.product) else {
                continue;
            };
            after = Some((item.clone(), segment.segment));
            counts.segments += 1;
            // What retention has exported and removed cannot be compared any more.
            if store.removed(item.round(), Part::Ledger).await?.is_some() {
                continue;
            }
            let has_orders = store.removed(item.round(), Part::Orders).await?.is_none();
            if orders.as_ref().is_none_or(|ordered| ordered.item != item) {
                let ordered = Ordered {
                    item: item.clone(),
                    all: store.all_orders(&item).await?,
                    cancelled_since: store.cancelled_since_retirement(&item).await?,
                };
                counts.products += 1;
                counts.orders += ordered.all.len();
                orders = Some(ordered);
            }
            let of_item = orders.as_ref().filter(|_| has_orders);
            let events = store.ledger(&item, segment.segment).await?;
            let replay = ledger::replay(&events);
            counts.events += events.len();
            counts.purchases += replay.purchases.len();
            counts.items += replay.total;
            check(&item, &segment, &events, &replay, of_item, &mut breaches);
        }
    }
    Ok(Report {
        pass: breaches.is_empty(),
        counts,
        breaches,
    })
}

/// The orders for a product.
struct Ordered {
    item: Item,
    all: Vec<Order>,
    /// Those that were cancelled after the round had retired.
    cancelled_since: HashSet<OrderId>,
}

fn check(
    item: &Item,
    segment: &RetiredSegment,
    events: &[ledger::Event],
    replay: &Replay,
    orders: Option<&Ordered>,
    breaches: &mut Vec<Breach>,
) {
    let place = format!("{item}::{:02}", segment.segment);
    let mut tell = |invariant, kind, subject: &str, what: String, at: &[usize]| {
        breaches.push(Breach {
            invariant,
            kind,
            place: place.clone(),
            subject: subject.to_owned(),
            what,
            events: lines(at.iter().filter_map(|at| events.get(*at))),
        });
    };
    for fault in &replay.faults {
        tell(1, fault.kind, "", fault.what.clone(), &fault.events);
    }
    if retire::digest(events) != segment.digest || events.len() as u64 != segment.events {
        let what = format!(
            "the archive has {} events that are not the {} of its retirement",
            events.len(),
            segment.events
        );
        tell(1, "archive_changed", "", what, &[]);
    }
    let held = replay.amounts;
    let ended = (signed(segment.sale), 0, signed(segment.saled));
    if (held.sale, held.locked, held.saled) != ended {
        let what = format!(
            "its ledger ends with {held}, and it retired with {} for sale and {} sold",
            segment.sale, segment.saled
        );
        tell(1, "stock_differs", "", what, &[]);
    }
    let Some(orders) = orders else {
        return;
    };
    let by_purchase: HashMap<PurchaseId, &Order> = orders
        .all
        .iter()
        .filter(|order| order.segment == segment.segment)
        .map(|order| (super::check_orders::purchase_of(order), order))
        .collect();
    for (purchase, life) in &replay.purchases {
        let sold = life.confirmed.is_some() && life.released.is_none();
        let order = by_purchase.get(purchase);
        let paid = order.is_some_and(|order| order.state == State::Paid);
        // Whether a refunded order's items are for sale again is the operator's choice.
        let is_refunded = order.is_some_and(|order| order.reason == Some(Reason::Refunded));
        // The ledger had ended before these orders did.
        let is_later = order.is_some_and(|order| orders.cancelled_since.contains(&order.id));
        if sold != paid && !is_refunded && !is_later {
            let state = order.map_or("missing", |order| order.state.as_str());
            let user = &purchase.user;
            let what = format!("buyer {user}'s purchase is sold: {sold}, and its order {state}");
            tell(5, "order_differs", user, what, &[life.made]);
        }
    }
}

fn signed(items: u64) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}
