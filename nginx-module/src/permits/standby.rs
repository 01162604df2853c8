//! Keeps this edge's share of what is left for when Redis is away.
//!
//! The rules are in `seckill_core::permits::standby`; here are only their commands.

use redis::RedisResult;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::permits::standby::{HOLD_MS, Step, share, step};
use seckill_core::shared::products::Found;

use super::{ask, give_back, lease_id};
use crate::clock;
use crate::conf::Edge;
use crate::link::Link;

/// Most products whose share changes in one turn, so that a turn stays short.
const MOST_STEPS: usize = 200;

/// One turn: brings the share of each product to what it should be. `sells` tells
/// of a product whether it sells now or is about to; whatever is kept of others
/// goes back. With `all` set every lease is renewed, also those that are used up:
/// what was passed while Redis was away has that long to arrive.
///
/// # Errors
/// The connection's error.
pub(crate) async fn keep<'a>(
    link: &mut Link,
    edge: &Edge,
    items: impl Iterator<Item = (&'a Item, bool)>,
    all: bool,
) -> RedisResult<()> {
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
        if settle(edge, item, &found, sells && edge.keeps_share).await {
            steps += 1;
        }
        if steps >= MOST_STEPS {
            break;
        }
    }
    Ok(())
}

/// Lets leases stay on record. One that is not there any more must not be spent.
async fn renew(
    link: &mut Link,
    edge: &Edge,
    (item, found): (&Item, &Found<'_>),
    leases: &[u64],
) -> RedisResult<()> {
    let asked_ms = clock::monotonic_ms();
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
            found.standby().renewed(*number, asked_ms);
        } else {
            found.standby().lost(*number);
        }
    }
    Ok(())
}

/// Takes or gives back what the share lacks or has too much; whether it did.
async fn settle(edge: &Edge, item: &Item, found: &Found<'_>, sells: bool) -> bool {
    let standby = found.standby();
    let held = standby.held();
    let target = match sells && !found.is_unknown() {
        true => share(found.entry.limit, found.granted(), held, edge.zone.edges()),
        false => 0,
    };
    let back = match step(held, target) {
        Step::Keep => return false,
        Step::Shrink(n) => standby.take_out(n),
        Step::Grow(n) if standby.has_place() => {
            grow(edge, item, n).await;
            return true;
        }
        // The smaller lease makes room for one that holds both.
        Step::Grow(_) => standby.take_out(1.max(standby.smallest())),
    };
    give_back(edge, item, &back).await;
    true
}

async fn grow(edge: &Edge, item: &Item, amount: u64) {
    let number = edge.zone.counters().leases.next();
    let asked_ms = clock::monotonic_ms();
    // A reply that is lost leaves a lease that nobody spends; the back end closes it.
    let Ok((granted, out, limit)) = ask(edge, item, number, (amount, HOLD_MS)).await else {
        return;
    };
    // Found anew: its place in the table may be another's by now.
    let found = edge.zone.products().find(item.round(), item.product());
    let is_kept = found.is_some_and(|found| {
        found.set_granted(out, limit);
        granted == 0 || found.standby().put(number, granted, asked_ms)
    });
    if !is_kept && granted > 0 {
        give_back(edge, item, &[(number, granted)]).await;
    }
}
