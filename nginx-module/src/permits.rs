//! Takes leases of permits, and returns unspent permits.
//!
//! The rules are in `seckill_core::permits::lease`; here are the commands.

pub(crate) mod queue;
pub(crate) mod standby;

use std::io;
use std::time::{Duration, Instant};

use redis::RedisResult;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::permits::{lease, standby as rules};
use seckill_core::shared::products::Found;

use crate::conf::Edge;
use crate::{clock, error_log, link, rt};

/// How much longer than a command's timeout its claim lasts, in ms.
const CLAIM_GRACE_MS: u64 = 100;

/// The outcome of a request for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Redis replied, and the granted permits are in the hand.
    Replied,
    /// Redis is away. Permits that it may have granted are not spent, and the back end
    /// reclaims them.
    Away,
    /// Redis replied with an error, or the product was withdrawn: no request may pass.
    Failed,
}

/// The lease's id in Redis: `{edge}.{lease}`.
fn lease_id(edge: &Edge, number: u64) -> String {
    format!("{}.{}", edge.node, edge.lease(number))
}

/// Claims the right to request a lease of a product for the whole edge. The claim
/// outlasts the command's timeout, and lapses if the worker dies.
pub(crate) fn claim_flight(product: &Found<'_>, timeout: Duration) -> bool {
    let now_ms = clock::monotonic_ms();
    let until_ms = now_ms + timeout.as_millis() as u64 + CLAIM_GRACE_MS;
    product
        .hand()
        .claim_flight(std::process::id(), now_ms, until_ms)
}

/// Requests a lease and puts it into the hand of the item. The caller has claimed
/// the flight; it ends here. The queue waits for `waiting` permits, and its first
/// request needs `at_least` on one lease.
pub(crate) async fn fetch(edge: &Edge, item: &Item, (waiting, at_least): (u64, u64)) -> Outcome {
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
        return_unspent(edge, item, &found.standby().take_out(loose)).await;
    }
    let number = edge.zone.counters().leases.next();
    let counters = edge.zone.counters();
    counters.permits_requested.add(amount);
    counters.redis_commands.add(1);
    // Before the command is sent: a lease ends by this edge's clock, whenever Redis
    // recorded its beginning.
    let sent_ms = clock::monotonic_ms();
    let begun = Instant::now();
    let reply = rt::finish(edge.timeout, take(edge, item, number, (amount, 0))).await;
    counters.redis_took(begun.elapsed().as_micros() as u64);
    let outcome = match reply {
        Some(Ok((granted, out, limit))) => {
            counters.permits_granted.add(granted);
            if !add_to_hand(edge, item, (granted, out, limit), (number, sent_ms)) {
                return_unspent(edge, item, &[(number, granted)]).await;
            }
            Outcome::Replied
        }
        Some(Err(error)) => {
            counters.redis_failures.add(1);
            if error.is_io_error() {
                Outcome::Away
            } else {
                error_log::warn(&format!("permits of {item} cannot be taken: {error}"));
                Outcome::Failed
            }
        }
        None => {
            counters.redis_failures.add(1);
            Outcome::Away
        }
    };
    hand.end_flight();
    outcome
}

/// Puts a lease into the hand of its product, and records the product's counts. False
/// if the lease must be returned: the hand is full, or the product was withdrawn
/// meanwhile.
fn add_to_hand(
    edge: &Edge,
    item: &Item,
    (granted, out, limit): (u64, u64, u64),
    (number, sent_ms): (u64, u64),
) -> bool {
    // Looked up again: its slot in the table may be another product's by now.
    let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
        return granted == 0;
    };
    found.set_granted(out, limit);
    found.hand().adapt(clock::monotonic_ms());
    granted == 0 || found.hand().put(number, granted, sent_ms)
}

/// Takes a lease; `hold_ms` is how much longer than others it stays on record.
/// Returns the number of permits granted to it, those granted in all, and the limit.
///
/// # Errors
/// Redis is away, or replied with an error.
async fn take(
    edge: &Edge,
    item: &Item,
    number: u64,
    (amount, hold_ms): (u64, u64),
) -> RedisResult<(u64, u64, u64)> {
    let away = || redis::RedisError::from(io::Error::from(io::ErrorKind::NotConnected));
    let mut link = link::ready().await.ok_or_else(away)?;
    redis::cmd("EVALSHA")
        .arg(&link.scripts.take)
        .arg(3)
        .arg(keys::info(item))
        .arg(keys::permits(item))
        .arg(keys::leases(item))
        .arg(lease_id(edge, number))
        .arg(amount)
        .arg(hold_ms)
        .query_async(&mut link.connection)
        .await
}

/// Returns unspent permits, as pairs of lease number and count. Sent once: if the reply is
/// lost, the back end closes the leases a little later.
pub(crate) async fn return_unspent(edge: &Edge, item: &Item, leases: &[(u64, u64)]) {
    if leases.is_empty() {
        return;
    }
    let returned = rt::finish(edge.timeout, async {
        let mut link = link::ready().await?;
        let mut command = redis::cmd("EVALSHA");
        command
            .arg(&link.scripts.give_back)
            .arg(2)
            .arg(keys::permits(item))
            .arg(keys::leases(item));
        for (number, left) in leases {
            command.arg(lease_id(edge, *number)).arg(*left);
        }
        command.query_async(&mut link.connection).await.ok()
    });
    if let Some(Some(returned)) = returned.await {
        edge.zone.counters().permits_returned.add(returned);
    }
}
