//! Moves stock between the segments of a product (course §132).
//!
//! A transfer leaves its source, arrives at its destination, and is then marked done at
//! the source. Each step is one run of `transfer.lua` that may be repeated, so that any
//! process that finds an unfinished transfer can finish it: while it is on the way, the
//! source's transit hash says how many items go to which segment.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;
use tokio_util::sync::CancellationToken;

use crate::redis::scripts::stock::TransferStep;
use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::sale::catalogue;
use crate::time::periodic::Passes;

/// How long after they have left items may still be sent to where they arrive. A source that has gone back to before
/// they left is healed one second after it was halted, and then they are for sale there.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// When unfinished transfers are finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Longest time of a transfer; the process that made an older one is gone.
    pub in_flight: Duration,
    /// Pause between two passes.
    pub every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            in_flight: Duration::from_secs(2),
            every: Duration::from_secs(1),
        }
    }
}

/// What a segment can give to others at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentOffer {
    /// Items for sale; `None` if the segment has no stock at all, which means
    /// that it lost its data.
    pub sale: Option<u64>,
    /// Whether its stock is older than what was sold from it, so that it neither gives nor
    /// takes.
    pub is_halted: bool,
    /// Transfers on their way from here.
    pub leaving: u64,
    /// Transfers from or to here that have ever arrived.
    pub moved: u64,
}

/// Reads what a segment can give, in one atomic step.
///
/// # Errors
/// Its master is away or refuses.
pub async fn offer(segments: &Segments, segment: &Segment) -> Result<SegmentOffer, RedisLinkError> {
    let Segment { item, number } = segment;
    let mut conn = segments.conn(item, *number).await?;
    let mut read = redis::pipe();
    read.hmget(
        keys::stock(item, *number),
        &["sale_stock_amount", keys::STOCK_HALTED],
    )
    .hlen(keys::transit(item, *number))
    .hlen(keys::transfers(item, *number));
    let read = scripts::together(&read);
    let ((sale, halted), leaving, moved): ((Option<u64>, Option<String>), u64, u64) =
        read.run(&mut conn).await?;
    Ok(SegmentOffer {
        sale,
        is_halted: halted.is_some_and(|why| !why.starts_with(keys::HALTED_REPLAYS)),
        leaving,
        moved,
    })
}

/// Moves stock from segment `from` to segment `to` of an item: at least `items`,
/// half of what is there if that is more, or what there is. Returns how many
/// items arrived.
///
/// # Errors
/// A master is away or refuses. Items that have left their segment by then are delivered
/// by [`run`].
pub async fn transfer(
    segments: &Segments,
    item: &Item,
    from: u16,
    to: u16,
    items: u64,
) -> Result<u64, RedisLinkError> {
    let (id, since) = (fresh_id(), Instant::now());
    let moved = withdraw(segments, item, (from, to), &id, items).await?;
    if moved > 0 {
        deliver_since(since, segments, item, (from, to), &id, moved).await?;
    }
    Ok(moved)
}

/// The first half: takes stock out of segment `from`, under a transfer id that
/// was never used before. Returns how many items are on their way.
///
/// # Errors
/// The master is away or refuses.
pub async fn withdraw(
    segments: &Segments,
    item: &Item,
    (from, to): (u16, u16),
    id: &str,
    items: u64,
) -> Result<u64, RedisLinkError> {
    let out = TransferStep::Out { wanted: items };
    let left = step(segments, item, (from, to), out, id).await?;
    if left > 0 {
        segments.learn(item, from, id);
    }
    Ok(left)
}

/// The second half: puts the `items` of transfer `id` up for sale in segment
/// `to`, and notes at the source that they arrived. May be repeated. To be called as soon as
/// it is known that they have left.
///
/// # Errors
/// A master is away or refuses; the destination's took too long to be reached.
pub async fn deliver(
    segments: &Segments,
    item: &Item,
    ends: (u16, u16),
    id: &str,
    items: u64,
) -> Result<(), RedisLinkError> {
    deliver_since(Instant::now(), segments, item, ends, id, items).await
}

/// The same of items that had left at `since`.
async fn deliver_since(
    since: Instant,
    segments: &Segments,
    item: &Item,
    (from, to): (u16, u16),
    id: &str,
    items: u64,
) -> Result<(), RedisLinkError> {
    let destination = segments.link(item, to).await?;
    // It may have to be checked first.
    let mut conn = segments.conn(item, to).await?;
    if since.elapsed() > ON_THE_WAY {
        return Err(RedisLinkError::Away {
            address: destination.address().to_owned(),
            reason: format!("it took more than {ON_THE_WAY:?}, for items of transfer {id}"),
        });
    }
    let arrive = TransferStep::In { items };
    let arrive = scripts::stock::transfer(item, (to, from), id, arrive);
    arrive.run(&mut conn).await?;
    segments.learn(item, to, id);
    step(segments, item, (from, to), TransferStep::Done, id).await?;
    Ok(())
}

async fn step(
    segments: &Segments,
    item: &Item,
    ends: (u16, u16),
    step: TransferStep,
    id: &str,
) -> Result<u64, RedisLinkError> {
    let mut conn = segments.conn(item, ends.0).await?;
    let call = scripts::stock::transfer(item, ends, id, step);
    Ok(call.run(&mut conn).await?)
}

/// Finishes transfers that were left unfinished, until `stop`. Several instances do no
/// harm.
pub async fn run(redis: RedisLink, segments: Segments, options: Options, stop: CancellationToken) {
    let every = options.every;
    let mut passes = Passes::new(stop, "transfers of stock wait to be finished", every);
    while passes.go_on() {
        let outcome = pass(&redis, &segments, &options).await;
        passes.pause_after(outcome.map(|()| every)).await;
    }
}

/// Reads the transit of every segment once, and finishes overdue transfers.
async fn pass(
    redis: &RedisLink,
    segments: &Segments,
    options: &Options,
) -> Result<(), RedisLinkError> {
    let products = catalogue::read(&mut redis.conn().await?).await?;
    let all: Vec<Segment> = products
        .iter()
        .filter(|(_, entry)| entry.segments > 1)
        .flat_map(|(item, entry)| Segment::all(item, entry).collect::<Vec<_>>())
        .collect();
    for (link, sources) in segments.by_master(all, |it| (&it.item, it.number)).await? {
        // A master that is away keeps what is in its transit until it is back.
        if let Err(error) = finish(&link, segments, sources, options.in_flight).await {
            tracing::debug!(address = link.address(), %error, "transfers wait to be finished");
        }
    }
    Ok(())
}

/// Finishes the overdue transfers from segments of one master.
async fn finish(
    link: &RedisLink,
    segments: &Segments,
    sources: Vec<Segment>,
    in_flight: Duration,
) -> Result<(), RedisLinkError> {
    let mut conn = link.conn().await?;
    for Segment { item, number } in with_transit(&mut conn, sources).await? {
        let since = Instant::now();
        for left in overdue(&mut conn, &item, number, in_flight).await? {
            let Overdue { id, items, to } = left;
            segments.learn(&item, number, &id);
            match deliver_since(since, segments, &item, (number, to), &id, items).await {
                Ok(()) => {
                    tracing::info!(%item, items, from = number, to, "an unfinished transfer of stock was finished");
                }
                Err(error) => {
                    tracing::debug!(%item, items, from = number, to, %error, "a transfer waits");
                }
            }
        }
    }
    Ok(())
}

/// Those that have anything in transit, found in one round trip.
async fn with_transit(
    conn: &mut MultiplexedConnection,
    sources: Vec<Segment>,
) -> Result<Vec<Segment>, RedisLinkError> {
    let mut pipe = redis::Pipeline::with_capacity(sources.len());
    for Segment { item, number } in &sources {
        pipe.exists(keys::transit(item, *number));
    }
    let exists: Vec<bool> = pipe.query_async(conn).await?;
    let found = sources.into_iter().zip(exists);
    Ok(found
        .filter_map(|(it, exists)| exists.then_some(it))
        .collect())
}

/// A transfer that is overdue.
struct Overdue {
    id: String,
    items: u64,
    to: u16,
}

async fn overdue(
    conn: &mut MultiplexedConnection,
    item: &Item,
    segment: u16,
    in_flight: Duration,
) -> Result<Vec<Overdue>, RedisLinkError> {
    let ((seconds, micros), open): ((u64, u64), HashMap<String, String>) = redis::pipe()
        .cmd("TIME")
        .hgetall(keys::transit(item, segment))
        .query_async(conn)
        .await?;
    let now_ms = seconds * 1000 + micros / 1000;
    let in_flight_ms = u64::try_from(in_flight.as_millis()).unwrap_or(u64::MAX);
    let left = open.into_iter().filter_map(|(id, text)| {
        let Some((items, to, at_ms)) = parse_open(&text) else {
            tracing::error!(%item, segment, id, text, "a transfer cannot be read; its items are not for sale until it is mended by hand");
            return None;
        };
        (now_ms.saturating_sub(at_ms) >= in_flight_ms).then_some(Overdue { id, items, to })
    });
    Ok(left.collect())
}

/// Reads `items|destination|at_ms`.
fn parse_open(text: &str) -> Option<(u64, u16, u64)> {
    let mut fields = text.split('|');
    let open = (
        fields.next()?.parse().ok()?,
        fields.next()?.parse().ok()?,
        fields.next()?.parse().ok()?,
    );
    fields.next().is_none().then_some(open)
}

/// An id that no other transfer has.
fn fresh_id() -> String {
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        // Without randomness, the time and an address of this process's memory.
        let here = std::ptr::from_ref(&random) as usize as u64;
        random[..8].copy_from_slice(&crate::now_ms().to_le_bytes());
        random[8..].copy_from_slice(&here.to_le_bytes());
    }
    format!("{:032x}", u128::from_be_bytes(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_transfer_reads_as_the_script_writes_it() {
        assert_eq!(
            parse_open("12|3|1700000000000"),
            Some((12, 3, 1_700_000_000_000))
        );
        assert_eq!(parse_open("12|3"), None);
        assert_eq!(parse_open("12|3|4|5"), None);
    }
}
