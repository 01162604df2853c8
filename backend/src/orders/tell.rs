//! Tells the buyers' records that their orders are in the database.

use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::message::OrderMessage;
use seckill_core::order::OrderId;

use crate::redis_link::{RedisLinkError, scripts};
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
    let mut untold = 0;
    for (link, orders) in sorted {
        let mut conn = link.conn().await?;
        let calls: Vec<_> = orders.iter().map(call).collect();
        let replies = scripts::run_all::<i64>(&mut conn, &scripts::ORDERED, &calls).await?;
        let replies: Vec<i64> = replies.into_iter().collect::<Result<_, _>>()?;
        untold += replies.iter().filter(|reply| **reply < 0).count();
    }
    if untold > 0 {
        // An order without its record: Redis lost data that the queue kept.
        tracing::warn!(untold, "placed orders have no purchase on record");
    }
    Ok(())
}

fn call((item, Told { purchase, order }): &(Item, &Told<'_>)) -> redis::Cmd {
    let mut call = scripts::call(&scripts::ORDERED, &[keys::buyers(item, purchase.segment)]);
    call.arg(&purchase.user)
        .arg(&purchase.request)
        .arg(order.to_string())
        .arg(purchase.at_ms);
    call
}
