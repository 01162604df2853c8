//! Tells the buyers' records that their orders are in the database.

use redis::{ErrorKind, Pipeline, RedisError, ServerErrorKind};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::message::OrderMessage;
use seckill_core::order::OrderId;

use crate::redis_link::{RedisLink, RedisLinkError, scripts};
use crate::segments::Segments;

/// A placed order and the purchase it was made from.
pub(super) struct Told<'a> {
    pub(super) purchase: &'a OrderMessage,
    pub(super) order: OrderId,
}

/// Runs `ordered.lua` for each, all of one master in one round trip.
pub(super) async fn tell(segments: &Segments, orders: &[Told<'_>]) -> Result<(), RedisLinkError> {
    // Ids that are no ids have no record; the order stands all the same.
    let told = orders.iter().filter_map(|told| {
        let item = Item::new(&told.purchase.round, &told.purchase.product)?;
        Some((item, told))
    });
    let sorted = segments
        .by_master(told.collect(), |(item, told)| (item, told.purchase.segment))
        .await?;
    for (link, orders) in sorted {
        tell_master(&link, &orders).await?;
    }
    Ok(())
}

async fn tell_master(link: &RedisLink, orders: &[(Item, &Told<'_>)]) -> Result<(), RedisLinkError> {
    let mut conn = link.conn().await?;
    let mut pipe = Pipeline::with_capacity(orders.len());
    for (item, Told { purchase, order }) in orders {
        pipe.cmd("EVALSHA")
            .arg(scripts::ORDERED.get_hash())
            .arg(1)
            .arg(keys::buyers(item, purchase.segment))
            .arg(&purchase.user)
            .arg(&purchase.request)
            .arg(order.to_string());
    }
    let replies: Result<Vec<i64>, RedisError> = pipe.query_async(&mut conn).await;
    let replies = match replies {
        Err(error) if is_unknown_script(&error) => {
            scripts::ORDERED.load_async(&mut conn).await?;
            pipe.query_async(&mut conn).await?
        }
        replies => replies?,
    };
    let untold = replies.iter().filter(|reply| **reply < 0).count();
    if untold > 0 {
        // An order without its record: Redis lost data that the queue kept.
        tracing::warn!(untold, "placed orders have no purchase on record");
    }
    Ok(())
}

/// Whether Redis has not been told the script yet, or has forgotten it.
fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) || error.code() == Some("NOSCRIPT")
}
