//! Checks the state of a product: the ledger against stock, permits and records.

use std::collections::{HashMap, HashSet};

use seckill_core::orders::purchase::{BuyerRecord, State};
use seckill_core::permits::reopening::{refund_id, refund_without_permit};
use seckill_core::stock::ledger::{PurchaseId, Replay, replay};

use super::check_orders;
use super::gather::{ProductState, SegmentState};
use super::{Breach, Counts, lines};

/// How long after its round's end a segment remembers closed leases, in ms, less
/// an hour: later than that, permits can no longer be accounted for.
const LEASES_KEPT_MS: u64 = 7 * 86_400_000 - 3_600_000;
/// How long refunds are remembered at least, in ms, less an hour.
const REFUNDS_KEPT_MS: u64 = 86_400_000 - 3_600_000;

/// Checks a product; returns what was counted and the breaches.
pub(super) fn check(state: &ProductState) -> (Counts, Vec<Breach>) {
    let replays: Vec<Replay> = state
        .segments
        .iter()
        .map(|segment| replay(&segment.events))
        .collect();
    let mut breaches = Vec::new();
    for (segment, replay) in state.segments.iter().zip(&replays) {
        ledger(segment, replay, &mut breaches);
        stock(segment, replay, &mut breaches);
        records(segment, replay, &mut breaches);
    }
    transfers(state, &replays, &mut breaches);
    let on_their_way = check_orders::check(state, &replays, &mut breaches);
    permits(state, &mut breaches);
    let sum = |of: fn(&SegmentState) -> usize| state.segments.iter().map(of).sum();
    let items = state.segments.iter().filter_map(|segment| segment.stock);
    let counts = Counts {
        products: 1,
        segments: state.segments.len(),
        events: sum(|segment| segment.events.len()),
        purchases: replays.iter().map(|replay| replay.purchases.len()).sum(),
        orders: state.orders.len(),
        on_their_way,
        items: items.map(|it| it.sale + it.locked + it.saled).sum(),
        permits: state.permits.granted,
    };
    (counts, breaches)
}

/// Reports faults in a segment's events by themselves.
fn ledger(segment: &SegmentState, replay: &Replay, breaches: &mut Vec<Breach>) {
    for fault in &replay.faults {
        let events: Vec<_> = fault.events.iter().map(|at| &segment.events[*at]).collect();
        breaches.push(Breach {
            invariant: 1,
            kind: fault.kind,
            place: segment.id.to_string(),
            subject: events
                .last()
                .map_or_else(String::new, |it| it.id.to_string()),
            what: fault.what.clone(),
            events: lines(events),
        });
    }
}

/// Checks that the stock is what its events lead to.
fn stock(segment: &SegmentState, replay: &Replay, breaches: &mut Vec<Breach>) {
    let follows = replay.amounts;
    let what = match segment.stock {
        Some(stock) if stock == follows => return,
        Some(stock) => format!("the stock is {stock}, and its events lead to {follows}"),
        None => format!("there is no stock, and its events lead to {follows}"),
    };
    breaches.push(Breach {
        invariant: 1,
        kind: "stock_differs",
        place: segment.id.to_string(),
        subject: String::new(),
        what,
        events: lines(segment.events.last()),
    });
}

/// Checks that each buyer's record is of their latest purchase, in its latest state.
fn records(segment: &SegmentState, replay: &Replay, breaches: &mut Vec<Breach>) {
    let mut latest: HashMap<&str, (&PurchaseId, usize)> = HashMap::new();
    for (purchase, life) in &replay.purchases {
        let last = latest
            .entry(&purchase.user)
            .or_insert((purchase, life.made));
        if life.made > last.1 {
            *last = (purchase, life.made);
        }
    }
    let mut tell = |kind, user: &str, what: String, made: Option<usize>| {
        breaches.push(Breach {
            invariant: 4,
            kind,
            place: segment.id.to_string(),
            subject: user.to_owned(),
            what,
            events: lines(made.map(|at| &segment.events[at])),
        });
    };
    for (user, (purchase, made)) in &latest {
        let Some(text) = segment.buyers.get(*user) else {
            let what = format!("buyer {user} has a purchase in the ledger and no record");
            tell("record_missing", user, what, Some(*made));
            continue;
        };
        let life = &replay.purchases[*purchase];
        let fits = BuyerRecord::parse(text).is_some_and(|record| {
            let stands = match (life.confirmed, life.released) {
                (_, Some(_)) => record.state.may_buy_again(),
                (Some(_), None) => record.state == State::Paid,
                _ => matches!(record.state, State::Succeeded | State::Ordered),
            };
            stands && record.request == purchase.request && record.at_ms == purchase.at_ms
        });
        if !fits {
            let what =
                format!("the record of buyer {user}, \"{text}\", does not match their purchase");
            tell("record_differs", user, what, Some(*made));
        }
    }
    for user in segment
        .buyers
        .keys()
        .filter(|user| !latest.contains_key(user.as_str()))
    {
        let what = format!("buyer {user} has a record and no purchase in the ledger");
        tell("record_unfounded", user, what, None);
    }
}

/// Checks that every transfer that left a segment has arrived or is on its way.
fn transfers(state: &ProductState, replays: &[Replay], breaches: &mut Vec<Breach>) {
    let left: HashSet<&String> = replays.iter().flat_map(|it| it.left.keys()).collect();
    let arrived: HashSet<&String> = replays.iter().flat_map(|it| it.arrived.keys()).collect();
    for (segment, replay) in state.segments.iter().zip(replays) {
        let mut tell = |kind, id: &String, at: usize, what: &str| {
            breaches.push(Breach {
                invariant: 1,
                kind,
                place: segment.id.to_string(),
                subject: id.clone(),
                what: format!("transfer {id} {what}"),
                events: lines([&segment.events[at]]),
            });
        };
        for (id, at) in &replay.left {
            if !arrived.contains(id) && !segment.transit.contains_key(id) {
                tell(
                    "transfer_lost",
                    id,
                    *at,
                    "left and neither arrived nor is on its way",
                );
            }
        }
        for (id, at) in &replay.arrived {
            if !left.contains(id) {
                tell(
                    "transfer_unfounded",
                    id,
                    *at,
                    "arrived and never left anywhere",
                );
            }
        }
    }
}

/// Checks that the permits out are those of open leases, and those that were spent of
/// closed ones and not refunded since.
fn permits(state: &ProductState, breaches: &mut Vec<Breach>) {
    let permits = &state.permits;
    let over = |limit: &i64| permits.granted > *limit && !was_adjusted(state);
    if let Some(limit) = permits.limit.filter(over) {
        let granted = permits.granted;
        let what = format!("{granted} permits are out, and the limit is {limit}");
        breaches.push(of_permits(state, "permits_over_limit", what));
    }
    if state.at_ms > state.entry.window.ends_ms.saturating_add(LEASES_KEPT_MS) {
        return;
    }
    let open: i64 = permits.leases.values().sum();
    let spent: i64 = state
        .segments
        .iter()
        .flat_map(|segment| {
            // A lease of which nothing was spent yet may have been taken since.
            let is_old =
                |lease: &str| segment.is_closed(lease) || segment.spent_before.contains(lease);
            let spent = segment.spent_of_leases();
            spent.filter(move |(lease, _)| is_old(lease))
        })
        .filter(|(lease, _)| !permits.leases.contains_key(*lease))
        .map(|(_, seen)| seen)
        .sum();
    let back = refunded(state, breaches);
    let out = open + spent - back.known;
    if !(out - back.perhaps..=out).contains(&permits.granted) {
        let granted = permits.granted;
        let what = format!(
            "{granted} permits are out; open leases have {open}, {spent} were spent, and {} of \
             those refunded, which makes {out}",
            back.known
        );
        breaches.push(of_permits(state, "permits_differ", what));
    }
}

/// How many permits released purchases refunded.
#[derive(Default)]
struct RefundedPermits {
    known: i64,
    /// At most so many more, of purchases without a permit: how many of theirs went back
    /// is no longer on record.
    perhaps: i64,
}

/// The number of permits that released purchases refunded. Reports missing refunds.
fn refunded(state: &ProductState, breaches: &mut Vec<Breach>) -> RefundedPermits {
    let mut back = RefundedPermits::default();
    let done = &state.permits.refunds;
    for segment in &state.segments {
        let mut seen = HashSet::new();
        let releases = segment.events.iter().filter(|event| {
            matches!(event.kind(), "release" | "return") && seen.insert(event.purchase())
        });
        for event in releases {
            let PurchaseId {
                user,
                request,
                at_ms,
            } = event.purchase();
            let is_recent = segment.at_ms < event.id.ms.saturating_add(REFUNDS_KEPT_MS);
            let refund = refund_id(&user, &request, at_ms);
            let has_permit = !event.text("permit").is_empty();
            let quantity = event.number("quantity").unwrap_or(0);
            if !is_recent && !has_permit {
                back.perhaps += quantity;
            } else if !is_recent || done.contains(&refund) && has_permit {
                back.known += quantity;
            } else if done.contains(&refund) {
                let part = |back| refund_without_permit(&refund, back);
                let returned = (0..=quantity.unsigned_abs()).find(|it| done.contains(&part(*it)));
                back.known += returned.map_or(0, u64::cast_signed);
            } else if segment.is_relayed(event) {
                breaches.push(Breach {
                    invariant: 5,
                    kind: "permit_kept",
                    place: segment.id.to_string(),
                    subject: event.id.to_string(),
                    what: format!(
                        "the permit of buyer {user}'s released purchase was not refunded"
                    ),
                    events: lines([event]),
                });
            }
        }
    }
    back
}

fn was_adjusted(state: &ProductState) -> bool {
    let mut events = state.segments.iter().flat_map(|segment| &segment.events);
    events.any(|event| event.kind() == "adjust")
}

fn of_permits(state: &ProductState, kind: &'static str, what: String) -> Breach {
    Breach {
        invariant: 2,
        kind,
        place: state.item.to_string(),
        subject: String::new(),
        what,
        events: Vec::new(),
    }
}
