//! Preloads the stock of a round into its segments, each once.

use std::collections::HashMap;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, Value, from_redis_value};
use seckill_core::ids::Item;
use seckill_core::keys;

use super::{BATCH, PublishError};
use crate::redis::scripts;
use crate::redis::segments::{Segment, Segments};
use crate::store::round::Product;

/// A segment, and the part of a product's stock that it is to hold.
struct PlannedSegment<'a> {
    item: &'a Item,
    number: u16,
    amount: u64,
}

impl PlannedSegment<'_> {
    fn read(&self, pipe: &mut Pipeline) {
        let fields = [
            "sale_stock_amount",
            "locked_stock_amount",
            "saled_stock_amount",
        ];
        pipe.hmget(keys::stock(self.item, self.number), &fields);
        pipe.hgetall(keys::transit(self.item, self.number));
    }
}

/// The content of a segment: its three amounts, and the transfers on their way from it.
type Held = (Vec<Option<u64>>, HashMap<String, String>);

/// Preloads every segment that is empty. With `was_preloaded` none may be; items may
/// have moved between the segments since. Nothing is written if one product has
/// another amount than the round gives it.
pub(super) async fn put_stock(
    segments: &Segments,
    items: &[(Item, &Product)],
    was_preloaded: bool,
) -> Result<(), PublishError> {
    let mut planned = Vec::new();
    for (item, product) in items {
        planned.extend(
            (1..)
                .zip(&product.segments)
                .map(|(number, amount)| PlannedSegment {
                    item,
                    number,
                    amount: *amount,
                }),
        );
    }
    let by_master = segments
        .by_master(planned, |segment| (segment.item, segment.number))
        .await?;
    let mut found: HashMap<&Item, u64> = HashMap::with_capacity(items.len());
    let mut empty = Vec::new();
    for (_, planned) in by_master {
        for (segment, held) in read_held(segments, planned).await? {
            let there = items_held(&held);
            match there {
                None if was_preloaded => {
                    let PlannedSegment { item, number, .. } = segment;
                    let item = item.clone();
                    return Err(PublishError::StockGone {
                        item: Segment { item, number }.to_string(),
                    });
                }
                None => {
                    *found.entry(segment.item).or_default() += segment.amount;
                    empty.push(segment);
                }
                Some(there) => *found.entry(segment.item).or_default() += there,
            }
        }
    }
    for (item, product) in items.iter().filter(|_| !was_preloaded) {
        let found = found.get(item).copied().unwrap_or_default();
        if found != product.amount {
            return Err(PublishError::OtherStock {
                item: item.to_string(),
                found,
                amount: product.amount,
            });
        }
    }
    let by_master = segments
        .by_master(empty, |segment| (segment.item, segment.number))
        .await?;
    for (_, planned) in by_master {
        preload(segments, &planned).await?;
    }
    Ok(())
}

/// Reads what each of these segments of one master holds.
async fn read_held<'a>(
    segments: &Segments,
    planned: Vec<PlannedSegment<'a>>,
) -> Result<Vec<(PlannedSegment<'a>, Held)>, PublishError> {
    let mut held = Vec::with_capacity(planned.len());
    let Some(first) = planned.first() else {
        return Ok(Vec::new());
    };
    let mut conn = own_conn(segments, first).await?;
    for batch in planned.chunks(BATCH) {
        let mut ask = redis::pipe();
        batch.iter().for_each(|segment| segment.read(&mut ask));
        let replies: Vec<Value> = ask.query_async(&mut conn).await?;
        let mut replies = replies.into_iter();
        while let (Some(amounts), Some(transit)) = (replies.next(), replies.next()) {
            let amounts = from_redis_value(amounts).map_err(RedisError::from)?;
            held.push((
                amounts,
                from_redis_value(transit).map_err(RedisError::from)?,
            ));
        }
    }
    Ok(planned.into_iter().zip(held).collect())
}

/// Preloads segments of one master. Each is preloaded once, however many do it at a time.
async fn preload(segments: &Segments, planned: &[PlannedSegment<'_>]) -> Result<(), PublishError> {
    let Some(first) = planned.first() else {
        return Ok(());
    };
    let mut conn = own_conn(segments, first).await?;
    for batch in planned.chunks(BATCH) {
        let call = |segment: &PlannedSegment<'_>| {
            scripts::stock::preload(segment.item, segment.number, segment.amount)
        };
        let calls: Vec<_> = batch.iter().map(call).collect();
        for reply in scripts::run_all(&mut conn, &calls).await? {
            reply?;
        }
    }
    Ok(())
}

/// A dedicated connection to the master that holds this segment.
async fn own_conn(
    segments: &Segments,
    segment: &PlannedSegment<'_>,
) -> Result<MultiplexedConnection, PublishError> {
    // Finds out first which master of a Cluster serves the segment by now.
    segments.conn(segment.item, segment.number).await?;
    let link = segments.link(segment.item, segment.number).await?;
    Ok(link.dedicated().await?)
}

/// The items in a segment and on their way from it; `None` if an amount is missing.
fn items_held((amounts, transit): &Held) -> Option<u64> {
    let there: u64 = amounts.iter().copied().sum::<Option<u64>>()?;
    Some(there + transit.values().filter_map(|it| items_of(it)).sum::<u64>())
}

/// The items of a transfer on its way, `items|destination|at_ms`.
fn items_of(transfer: &str) -> Option<u64> {
    transfer.split('|').next()?.parse().ok()
}
