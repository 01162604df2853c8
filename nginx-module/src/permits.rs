//! Takes leases of permits.
//!
//! The rules are in `seckill_core::permits`; here are the commands.

pub(crate) mod queue;
pub(crate) mod reports;
pub(crate) mod standby;
mod tallies;
pub(crate) mod winners;

use std::io;
use std::time::{Duration, Instant};

use redis::RedisResult;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::permits::hand::Flight;
use seckill_core::permits::reopening::{self, Supply};
use seckill_core::permits::{lease, standby as rules};
use seckill_core::shared::products::{Counted, Found};

use crate::conf::Edge;
use crate::link::Link;
use crate::{clock, error_log, link, rt};

/// How long the end of a worker waits until Redis has what the edge returns.
const LEAVE: Duration = Duration::from_millis(300);
/// How much longer than a command's timeout its claim lasts, in ms.
const CLAIM_GRACE_MS: u64 = 100;

/// The outcome of a request for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Redis replied.
    Replied(Reply),
    /// Redis is away. Permits that it may have granted are not spent, and are returned
    /// when it is back.
    Away,
    /// Redis replied with an error, or the product was withdrawn: no request may pass.
    Failed,
}

/// What Redis replied to a request for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Permits granted with it; they are in the hand, unless the reply came too late.
    pub(crate) granted: u64,
    /// What Redis counts now, this lease included.
    counted: Counted,
    /// When the lease was requested, monotonic ms.
    sent_ms: u64,
}

impl Reply {
    /// Whether all other permits are spent, and this edge knows who has the items: fewer
    /// are left than this lease got. Those who came after Redis replied hear it too, and so
    /// it holds for a moment, like every reading.
    pub(crate) fn is_the_rest(&self, product: &Found<'_>) -> bool {
        let others = self.counted.open - u64::from(self.granted > 0).min(self.counted.open);
        let is_settled = product.is_settled(Counted {
            open: others,
            ..self.counted
        });
        is_settled && reopening::supply(self.sent_ms, clock::monotonic_ms()) == Supply::SoldOut
    }
}

/// The lease's id in Redis: `{edge}.{lease}`.
fn lease_id(edge: &Edge, number: u64) -> String {
    format!("{}.{}", edge.node, edge.lease(number))
}

/// The edge ends: returns every permit that it has in hand or keeps for when Redis is away,
/// and waits a moment until Redis knows. To be called at the end of a worker.
pub(crate) fn leave(edge: &Edge) {
    if link::is_away() {
        // What stays on record is given back by the back end.
        return;
    }
    for (name, leases) in edge
        .zone
        .products()
        .take_back(|_| true, edge.zone.tallies())
    {
        if let Some(item) = Item::parse(&name) {
            reports::returned(edge, &item, &leases);
        }
    }
    reports::send_now(edge);
    link::go_on(LEAVE, reports::is_idle);
}

/// Claims the right to request a lease of a product for the whole edge. The claim
/// outlasts the command's timeout, is kept while the reply is late, and lapses if the
/// worker dies.
pub(crate) fn claim_flight(product: &Found<'_>, timeout: Duration) -> Option<Flight> {
    let now_ms = clock::monotonic_ms();
    product
        .hand()
        .claim_flight(std::process::id(), now_ms, claim_end(timeout))
}

fn claim_end(timeout: Duration) -> u64 {
    clock::monotonic_ms() + timeout.as_millis() as u64 + CLAIM_GRACE_MS
}

/// Requests a lease and puts it into the hand of the item. The caller has claimed the
/// flight; it ends here. The queue waits for `waiting` permits, and its first request
/// needs `at_least` on one lease.
///
/// The flight goes on after the timeout, because a late reply has granted its permits all
/// the same; `late` is called once, for those who wait.
pub(crate) async fn fetch(
    edge: &Edge,
    item: &Item,
    mut flight: Flight,
    (waiting, at_least): (u64, u64),
    late: impl FnOnce(),
) -> Outcome {
    let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
        return Outcome::Failed;
    };
    let hand = found.hand();
    let free = found.entry.limit.saturating_sub(found.granted());
    let left = free + found.standby().held();
    let wanted = lease::ask(hand.block(), waiting, left, edge.zone.edges()).max(at_least);
    // Where nothing is free any more, the share kept for when Redis is away is sold.
    let loose = rules::loosen(wanted, waiting.max(at_least), free, found.standby().held());
    let amount = wanted.min((free + loose).max(at_least));
    if loose > 0 {
        reports::returned(edge, item, &found.standby().take_out(loose));
    }
    let number = edge.zone.counters().leases.next();
    let counters = edge.zone.counters();
    counters.permits_requested.add(amount);
    counters.redis_commands.add(1);
    let begun = Instant::now();
    // What is returned goes first, on the same connection, and may come back at once.
    let report = reports::send(edge, item);
    let take = take(edge, item, number, (amount, 0));
    let mut both = std::pin::pin!(rt::both(report, take));
    let mut late = Some(late);
    let reply = loop {
        if let Some((_, reply)) = rt::finish(edge.timeout, both.as_mut()).await {
            break reply;
        }
        if let Some(late) = late.take() {
            counters.redis_failures.add(1);
            late();
        }
        hand.keep_flight(&mut flight, claim_end(edge.timeout));
    };
    counters.redis_took(begun.elapsed().as_micros() as u64);
    let outcome = match reply {
        Ok(reply) => {
            counters.permits_granted.add(reply.granted);
            if !add_to_hand(edge, item, &reply, number) {
                reports::returned(edge, item, &[(number, reply.granted)]);
            }
            Outcome::Replied(reply)
        }
        Err(error) => {
            counters.redis_failures.add(u64::from(late.is_some()));
            if link::judge(&error) {
                Outcome::Away
            } else {
                let why = link::text_of(&error);
                error_log::warn_rarely(&format!("permits of {item} cannot be taken: {why}"));
                Outcome::Failed
            }
        }
    };
    hand.end_flight(flight);
    outcome
}

/// Puts a lease into the hand of its product, and records the product's counts. False
/// if the lease must be returned: the hand is full, the reply came too late for it, or the
/// product was withdrawn meanwhile.
fn add_to_hand(edge: &Edge, item: &Item, reply: &Reply, number: u64) -> bool {
    // A worker that is leaving may have taken it from another Redis than is configured
    // by now.
    if !edge.zone.is_current() {
        return reply.granted == 0;
    }
    // Looked up again: its slot in the table may be another product's by now.
    let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
        return reply.granted == 0;
    };
    let now_ms = clock::monotonic_ms();
    found.set_counted(Some(reply.counted), reply.sent_ms);
    found.hand().adapt(now_ms);
    let is_fresh = lease::may_spend(reply.sent_ms, now_ms);
    reply.granted == 0 || is_fresh && found.hand().put(number, reply.granted, reply.sent_ms)
}

/// Takes a lease; `hold_ms` is how much longer than others it stays on record. If it is
/// not known whether it was granted, it is returned as soon as Redis can be reached.
///
/// # Errors
/// Redis is away, or replied with an error.
async fn take(
    edge: &Edge,
    item: &Item,
    number: u64,
    (amount, hold_ms): (u64, u64),
) -> RedisResult<Reply> {
    // Before the command is sent: a lease ends by this edge's clock, whenever Redis
    // recorded its beginning.
    let sent_ms = clock::monotonic_ms();
    let away = || redis::RedisError::from(io::Error::from(io::ErrorKind::NotConnected));
    let link = link::ready().await.ok_or_else(away)?;
    edge.zone.tallies().open(number);
    let reply = send_take(link, edge, (item, number), (amount, hold_ms), sent_ms).await;
    if reply.as_ref().is_err_and(|error| error.code().is_none()) {
        reports::abandoned(edge, item, number);
    }
    reply
}

async fn send_take(
    mut link: Link,
    edge: &Edge,
    (item, number): (&Item, u64),
    (amount, hold_ms): (u64, u64),
    sent_ms: u64,
) -> RedisResult<Reply> {
    let (granted, out, limit, open, winners) = redis::cmd("EVALSHA")
        .arg(&link.scripts.take)
        .arg(5)
        .arg(keys::info(item))
        .arg(keys::permits(item))
        .arg(keys::leases(item))
        .arg(keys::winners(item))
        .arg(keys::reopening(item))
        .arg(lease_id(edge, number))
        .arg(amount)
        .arg(hold_ms)
        .query_async(&mut link.connection)
        .await?;
    link::works();
    Ok(Reply {
        granted,
        counted: Counted {
            granted: out,
            open,
            winners,
            limit,
        },
        sent_ms,
    })
}
