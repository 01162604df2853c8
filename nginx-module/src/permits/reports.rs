//! Reports to Redis what became of permits: used, or returned.
//!
//! The totals are in `seckill_core::permits::tally`; here is when they are sent. A used
//! permit may wait for others, a returned one is wanted by somebody. A report that
//! failed is sent again, until Redis has it or the edge has forgotten the lease.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis::RedisResult;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::permits::lease::Spent;
use seckill_core::permits::outcome::Outcome;
use seckill_core::permits::tally::Tally;

use super::winners::{self, Batch};
use super::{lease_id, tallies};
use crate::conf::Edge;
use crate::link::{self, Link};
use crate::rt;

/// How long used permits are gathered before they are reported, while others are free:
/// far less than the back end leaves a lease open.
const GATHER: Duration = Duration::from_secs(1);
/// How often meanwhile a worker looks whether it is leaving: then it reports at once.
const GATHER_TURNS: u32 = 20;
/// Pause before a report that failed is sent again.
const RETRY: Duration = Duration::from_millis(100);
/// Leases in one report.
const MOST: usize = 256;
/// Products whose reports are under way at the same time.
const AT_ONCE: usize = 256;

#[derive(Default)]
struct Due {
    // A few products are on sale at once: comparing their ids costs less than a hash.
    leases: BTreeMap<Item, BTreeSet<u64>>,
    /// Whether a task waits to send them.
    is_gathering: bool,
    /// Whether a task is sending them, or tries to.
    is_sending: bool,
}

thread_local! {
    static DUE: RefCell<Due> = RefCell::default();
}

/// Counts what became of the `n` permits of one request of `user`; `None` if that is not
/// known, and the buyer may have won. Whoever `has_one` bought by another request before.
pub(crate) fn concluded(
    edge: &Edge,
    item: &Item,
    (user, has_one): (&str, bool),
    (spent, n): (Spent, u64),
    outcome: Option<Outcome>,
) {
    let used = match outcome {
        Some(Outcome::Unused) => {
            winners::unused(edge, item, user, has_one);
            return returned(edge, item, &[(spent.lease, n)]);
        }
        Some(Outcome::Used) => Some((spent.lease, n)),
        None => None,
    };
    winners::add(edge, item, user, used);
    // When nothing is left, others wait to hear that all was used.
    note(
        edge,
        item,
        used.map(|(lease, _)| lease),
        is_last(edge, item),
    );
}

/// Whether nothing is left to be granted: then others wait to hear that all was used.
fn is_last(edge: &Edge, item: &Item) -> bool {
    let found = edge.zone.products().find(item.round(), item.product());
    found.is_none_or(|found| found.is_granted_out())
}

/// Counts permits that will not be spent, as pairs of lease number and count, and returns
/// them.
pub(crate) fn returned(edge: &Edge, item: &Item, leases: &[(u64, u64)]) {
    for (number, n) in leases {
        if tallies::count(edge, item, *number, (0, *n)) {
            note(edge, item, Some(*number), true);
        }
    }
}

/// Reports again what became of leases that are open in Redis. Behind a new connection may
/// be a Redis that forgot what was reported to the one before, restored or promoted while it
/// was behind: permits would wait there as long as a lease is kept, and nobody has them.
///
/// # Errors
/// The connection's error. A product whose leases cannot be read is passed over.
pub(crate) async fn compare(link: &mut Link, edge: &Edge, items: &[&Item]) -> RedisResult<()> {
    let mut pipe = redis::Pipeline::with_capacity(items.len());
    pipe.ignore_errors();
    for item in items {
        pipe.cmd("HKEYS").arg(keys::leases(item));
    }
    let open: Vec<RedisResult<Vec<String>>> = pipe.query_async(&mut link.connection).await?;
    for (item, open) in items.iter().zip(open) {
        for id in open.unwrap_or_default() {
            let number = edge.lease_number(&id);
            if let Some(number) = number.filter(|it| tallies::read(edge, item, *it).is_some()) {
                note(edge, item, Some(number), true);
            }
        }
    }
    Ok(())
}

/// Sends what is due of products of which nothing is left: whether they are sold out is
/// known when all is reported. To be called now and then in every worker.
pub(crate) fn hurry(edge: &Edge) {
    let is_last = |item: &Item| is_last(edge, item);
    let send = DUE.with_borrow_mut(|due| {
        let send = !due.is_sending && due.leases.keys().any(is_last);
        due.is_sending |= send;
        send
    });
    if send {
        let edge = edge.clone();
        rt::spawn(async move { send_all(&edge).await }).detach();
    }
}

/// Whether every report has been sent.
pub(super) fn is_idle() -> bool {
    DUE.with_borrow(|due| due.leases.is_empty() && !due.is_sending)
}

/// Sends all that is due, at once.
pub(super) fn send_now(edge: &Edge) {
    let send = DUE.with_borrow_mut(|due| !std::mem::replace(&mut due.is_sending, true));
    if send {
        let edge = edge.clone();
        rt::spawn(async move { send_all(&edge).await }).detach();
    }
}

/// Returns a lease of which it is not known whether it was granted.
pub(super) fn abandoned(edge: &Edge, item: &Item, number: u64) {
    edge.zone.tallies().abandon(number);
    note(edge, item, Some(number), true);
}

/// Has a product's winners sent and a lease of it reported, at once or in a moment.
fn note(edge: &Edge, item: &Item, number: Option<u64>, at_once: bool) {
    let (gather, send) = DUE.with_borrow_mut(|due| {
        match due.leases.get_mut(item) {
            Some(leases) => {
                leases.extend(number);
            }
            None => {
                due.leases
                    .insert(item.clone(), number.into_iter().collect());
            }
        }
        let send = at_once && !due.is_sending;
        let gather = !at_once && !due.is_gathering && !due.is_sending;
        due.is_sending |= send;
        due.is_gathering |= gather;
        (gather, send)
    });
    let edge = edge.clone();
    if send {
        rt::spawn(async move { send_all(&edge).await }).detach();
    } else if gather {
        rt::spawn(async move {
            for _ in 0..GATHER_TURNS {
                rt::hold(GATHER / GATHER_TURNS).await;
                if rt::is_leaving() {
                    break;
                }
            }
            let send = DUE.with_borrow_mut(|due| {
                due.is_gathering = false;
                !std::mem::replace(&mut due.is_sending, true)
            });
            if send {
                send_all(&edge).await;
            }
        })
        .detach();
    }
}

/// Sends reports until none is due, those of many products in one round trip: a worker that
/// ends has little time.
async fn send_all(edge: &Edge) {
    loop {
        let items: Vec<Item> = DUE.with_borrow_mut(|due| {
            let items: Vec<Item> = due.leases.keys().cloned().collect();
            due.is_sending = !items.is_empty();
            items
        });
        if items.is_empty() {
            return;
        }
        let mut is_away = false;
        for items in items.chunks(AT_ONCE) {
            is_away |= !send_many(edge, items).await;
        }
        if is_away {
            rt::sleep(RETRY).await;
        }
    }
}

/// Sends what is due of these products. False if that failed for one of them.
async fn send_many(edge: &Edge, items: &[Item]) -> bool {
    let sending = items.iter().map(|item| send(edge, item));
    let sent = rt::gather(sending, items.len(), |_| true, Duration::ZERO).await;
    sent.into_iter().all(|sent| sent == Some(true))
}

/// Sends what is due of one product: its winners, and behind them what they used. False
/// if that failed, and will be tried again.
pub(super) async fn send(edge: &Edge, item: &Item) -> bool {
    let mut leases = DUE
        .with_borrow_mut(|due| due.leases.remove(item))
        .unwrap_or_default();
    let mut batch = Batch::take(edge, item);
    loop {
        let rest = match leases.iter().nth(MOST).copied() {
            Some(first) => leases.split_off(&first),
            None => BTreeSet::new(),
        };
        let totals = totals(edge, item, &leases);
        let both = rt::both(batch.send(), report(edge, item, &totals));
        match rt::finish(edge.timeout, both).await {
            Some((true, Some(returned))) => {
                edge.zone.counters().permits_returned.add(returned);
                batch.arrived();
                note_behind(edge, item, &totals);
            }
            _ => {
                leases.extend(rest);
                DUE.with_borrow_mut(|due| {
                    due.leases.entry(item.clone()).or_default().extend(leases);
                });
                return false;
            }
        }
        if rest.is_empty() {
            return true;
        }
        leases = rest;
        batch = Batch::take(edge, item);
    }
}

/// The totals of leases, those of winners included who are sent before.
fn totals(edge: &Edge, item: &Item, leases: &BTreeSet<u64>) -> Vec<(u64, Tally)> {
    let total = |number: &u64| {
        // One that is no longer remembered is settled by the back end.
        let mut tally = tallies::read(edge, item, *number)?;
        tally.used += winners::under_way(*number);
        Some((*number, tally))
    };
    leases.iter().filter_map(total).collect()
}

/// Has leases reported again of which more is known than was reported.
fn note_behind(edge: &Edge, item: &Item, reported: &[(u64, Tally)]) {
    for (number, reported) in reported {
        let now = tallies::read(edge, item, *number);
        if now.is_some_and(|now| now.used > reported.used) {
            note(edge, item, Some(*number), true);
        }
    }
}

/// Sends one report; replies how many permits were returned with it, or `None` if Redis
/// may not have it.
async fn report(edge: &Edge, item: &Item, totals: &[(u64, Tally)]) -> Option<u64> {
    if totals.is_empty() {
        return Some(0);
    }
    let mut link = link::ready().await?;
    let mut command = redis::cmd("EVALSHA");
    command
        .arg(&link.scripts.report)
        .arg(3)
        .arg(keys::permits(item))
        .arg(keys::leases(item))
        .arg(keys::reports(item));
    for (number, total) in totals {
        command
            .arg(lease_id(edge, *number))
            .arg(total.used)
            .arg(total.returned);
    }
    match command.query_async(&mut link.connection).await {
        Ok(returned) => Some(returned),
        Err(error) if link::judge(&error) => None,
        // A key of another type: repeating it would not help.
        Err(_) => Some(0),
    }
}
