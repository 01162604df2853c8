//! Takes leases of permits, and gives back what was not spent.
//!
//! The rules are in `seckill_core::permits::lease`; here are only their commands.

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

/// How much longer than a command's time limit its claim lasts, in ms.
const CLAIM_GRACE_MS: u64 = 100;

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Redis answered; what it granted is in the hand.
    Answered,
    /// Redis is away. Should it have granted something, nobody spends it, and the
    /// back end gives it back.
    Away,
    /// Redis answers amiss, or the product was withdrawn: nobody may pass.
    Amiss,
}

/// The lease's id in Redis: `{edge}.{lease}`.
fn lease_id(edge: &Edge, number: u64) -> String {
    format!("{}.{}", edge.node, edge.lease(number))
}

/// Claims the right to ask Redis for a product. The claim outlasts the command's
/// time limit, and lapses if the worker dies.
pub(crate) fn claim_flight(product: &Found<'_>, timeout: Duration) -> bool {
    let now_ms = clock::monotonic_ms();
    let until_ms = now_ms + timeout.as_millis() as u64 + CLAIM_GRACE_MS;
    product
        .hand()
        .claim_flight(std::process::id(), now_ms, until_ms)
}

/// Asks for a lease and puts it into the hand of the item. The caller has
/// claimed the flight; it ends here. `waiting` permits are waited for, the first
/// request in the queue needs `at_least` on one lease.
pub(crate) async fn fetch(edge: &Edge, item: &Item, (waiting, at_least): (u64, u64)) -> Outcome {
    let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
        return Outcome::Amiss;
    };
    let hand = found.hand();
    let free = found.entry.limit.saturating_sub(found.granted());
    let left = free + found.standby().held();
    let wanted = lease::ask(hand.block(), waiting, left, edge.zone.edges()).max(at_least);
    // Where nothing is free any more, what is kept for when Redis is away is sold.
    let loose = rules::loosen(wanted, waiting.max(at_least), free, found.standby().held());
    let amount = wanted.min((free + loose).max(at_least));
    if loose > 0 {
        give_back(edge, item, &found.standby().take_out(loose)).await;
    }
    let number = edge.zone.counters().leases.next();
    let counters = edge.zone.counters();
    counters.permits_asked.add(amount);
    counters.redis_commands.add(1);
    // Before the question: a lease ends by this edge's clock, whenever Redis
    // thinks that it began.
    let asked_ms = clock::monotonic_ms();
    let begun = Instant::now();
    let reply = rt::finish(edge.timeout, ask(edge, item, number, (amount, 0))).await;
    counters.redis_took(begun.elapsed().as_micros() as u64);
    let outcome = match reply {
        Some(Ok((granted, out, limit))) => {
            counters.permits_granted.add(granted);
            if !keep(edge, item, (granted, out, limit), (number, asked_ms)) {
                give_back(edge, item, &[(number, granted)]).await;
            }
            Outcome::Answered
        }
        Some(Err(error)) => {
            counters.redis_failures.add(1);
            if error.is_io_error() {
                Outcome::Away
            } else {
                error_log::warn(&format!("permits of {item} cannot be taken: {error}"));
                Outcome::Amiss
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

/// Puts a lease into the hand of its product, and records what Redis said of it.
/// False if it has to go back: the hand is full, or the product was withdrawn
/// meanwhile.
fn keep(
    edge: &Edge,
    item: &Item,
    (granted, out, limit): (u64, u64, u64),
    (number, asked_ms): (u64, u64),
) -> bool {
    // Found anew: its place in the table may be another's by now.
    let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
        return granted == 0;
    };
    found.set_granted(out, limit);
    found.hand().adapt(clock::monotonic_ms());
    granted == 0 || found.hand().put(number, granted, asked_ms)
}

/// Asks for a lease; `hold_ms` is how long it stays on record for longer than
/// others. Replies what was granted, what is out, and the limit.
async fn ask(
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

/// Gives back what was taken out of the hand. Asked once: if the answer is lost,
/// the back end closes the leases a little later.
pub(crate) async fn give_back(edge: &Edge, item: &Item, leases: &[(u64, u64)]) {
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
