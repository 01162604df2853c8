//! Takes and returns permits.

use std::io;
use std::time::{Duration, Instant};

use redis::RedisResult;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::permit::PermitId;

use super::link;
use crate::rt;
use crate::state::Zone;

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Granted: the request may pass under this name.
    Granted(PermitId),
    /// Nothing is left, as far as Redis knows now.
    NoneLeft,
    /// Redis is away or answers amiss; whether a permit was taken is unknown.
    /// If one was, its lease is settled by the back end.
    Unknown,
}

/// Asks for `amount` permits as one lease, to be used by one request.
pub(crate) async fn take(
    zone: &Zone,
    item: &Item,
    (edge, lease): (&str, &str),
    amount: u32,
    limit: Duration,
) -> Outcome {
    let Some(permit) = PermitId::new(edge, lease, amount) else {
        return Outcome::Unknown;
    };
    let counters = zone.counters();
    counters.permits_asked.add(u64::from(amount));
    counters.redis_commands.add(1);
    let begun = Instant::now();
    let reply = rt::timeout(limit, ask(item, &permit.lease_id(), amount)).await;
    counters
        .redis_micros
        .add(begun.elapsed().as_micros() as u64);
    match reply {
        Some(Ok((granted, out, _limit))) => {
            if let Some(found) = zone.products().find(item.round(), item.product()) {
                found.set_granted(out);
            }
            if granted == u64::from(amount) {
                counters.permits_granted.add(granted);
                Outcome::Granted(permit)
            } else {
                Outcome::NoneLeft
            }
        }
        Some(Err(error)) => {
            counters.redis_failures.add(1);
            if !error.is_io_error() {
                link::warn(&format!("permits of {item} cannot be taken: {error}"));
            }
            Outcome::Unknown
        }
        None => {
            counters.redis_failures.add(1);
            Outcome::Unknown
        }
    }
}

async fn ask(item: &Item, lease: &str, amount: u32) -> RedisResult<(u64, u64, u64)> {
    let away = || redis::RedisError::from(io::Error::from(io::ErrorKind::NotConnected));
    let mut link = link::ready().await.ok_or_else(away)?;
    redis::cmd("EVALSHA")
        .arg(&link.scripts.take)
        .arg(3)
        .arg(keys::info(item))
        .arg(keys::permits(item))
        .arg(keys::leases(item))
        .arg(lease)
        .arg(amount)
        .query_async(&mut link.connection)
        .await
}

/// Gives a whole lease back, because its request left before it could be
/// passed on: the stock script has seen nothing of it. If this fails, the back
/// end settles the lease a little later.
pub(crate) async fn give_back(zone: &Zone, item: &Item, permit: PermitId) {
    let Some(mut link) = link::ready().await else {
        return;
    };
    let reply: RedisResult<Vec<i64>> = redis::cmd("EVALSHA")
        .arg(&link.scripts.settle)
        .arg(2)
        .arg(keys::permits(item))
        .arg(keys::leases(item))
        .arg(permit.lease_id())
        .arg(0)
        .query_async(&mut link.connection)
        .await;
    if let Ok(returned) = reply {
        zone.counters()
            .permits_returned
            .add(returned.iter().map(|n| (*n).max(0) as u64).sum());
    }
}
