//! Keeps this edge's share of what is left for when Redis is away.
//!
//! The rules are in `seckill_core::permits::standby`; here are the commands.

use redis::RedisResult;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::permits::standby::{HOLD_MS, Step, share, step};
use seckill_core::shared::products::Found;

use super::{lease_id, reports, take};
use crate::clock;
use crate::conf::Edge;
use crate::link::Link;

/// Most products whose share changes in one pass, so that a pass stays short.
const MOST_STEPS: usize = 200;

/// One pass: brings the share of each product to its target. `items` pairs a product
/// with whether it is on sale now or about to be; the shares of others are returned, and
/// all shares of an edge that ends.
/// With `all` set every lease is renewed, also those that are used up: purchases
/// admitted while Redis was away have that long to arrive.
///
/// # Errors
/// The connection's error.
pub(crate) async fn adjust<'a>(
    link: &mut Link,
    edge: &Edge,
    items: impl Iterator<Item = (&'a Item, bool)>,
    all: bool,
) -> RedisResult<()> {
    let keeps_share = edge.keeps_share && !edge.is_ending();
    let mut steps = 0;
    for (item, sells) in items {
        let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
            continue;
        };
        let due = found.standby().due(clock::monotonic_ms(), all);
        if !due.is_empty() {
            renew(link, edge, (item, &found), &due).await?;
            steps += 1;
        }
        if adjust_one(edge, item, &found, sells && keeps_share).await {
            steps += 1;
        }
        if steps >= MOST_STEPS {
            break;
        }
    }
    Ok(())
}

/// Keeps leases on record. A lease that is no longer on record must not be spent.
async fn renew(
    link: &mut Link,
    edge: &Edge,
    (item, found): (&Item, &Found<'_>),
    leases: &[u64],
) -> RedisResult<()> {
    let sent_ms = clock::monotonic_ms();
    let mut command = redis::cmd("EVALSHA");
    command
        .arg(&link.scripts.renew)
        .arg(1)
        .arg(keys::leases(item))
        .arg(HOLD_MS);
    for number in leases {
        command.arg(lease_id(edge, *number));
    }
    let kept: Vec<u64> = command.query_async(&mut link.connection).await?;
    for (number, kept) in leases.iter().zip(kept) {
        if kept == 1 {
            found.standby().renewed(*number, sent_ms);
        } else {
            found.standby().lost(*number);
        }
    }
    Ok(())
}

/// Takes the permits that the share lacks, or returns its excess; whether it did.
async fn adjust_one(edge: &Edge, item: &Item, found: &Found<'_>, sells: bool) -> bool {
    let standby = found.standby();
    let held = standby.held();
    let target = match sells && !found.is_unknown() {
        true => share(found.entry.limit, found.granted(), held, edge.zone.edges()),
        false => 0,
    };
    let back = match step(held, target, standby.has_rested(clock::monotonic_ms())) {
        Step::Keep => return false,
        Step::Shrink(n) => standby.take_out(n),
        Step::Grow(n) if standby.has_place() => {
            grow(edge, item, n).await;
            return true;
        }
        // The smaller lease makes room for one that holds both.
        Step::Grow(_) => standby.take_out(1.max(standby.smallest())),
    };
    reports::returned(edge, item, &back);
    true
}

async fn grow(edge: &Edge, item: &Item, amount: u64) {
    let number = edge.zone.counters().leases.next();
    let Ok(reply) = take(edge, item, number, (amount, HOLD_MS)).await else {
        return;
    };
    // Looked up again: its slot in the table may be another product's by now.
    let found = edge.zone.products().find(item.round(), item.product());
    let is_kept = found.is_some_and(|found| {
        found.set_counted(Some(reply.counted), reply.sent_ms);
        let latest = edge.zone.tallies();
        reply.granted == 0
            || found
                .standby()
                .put(number, reply.granted, reply.sent_ms, latest)
    });
    if !is_kept && reply.granted > 0 {
        reports::returned(edge, item, &[(number, reply.granted)]);
    }
}
