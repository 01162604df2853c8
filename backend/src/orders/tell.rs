//! Tells the buyers' records that their orders are in the database.

use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::message::OrderMessage;
use seckill_core::order::OrderId;

use crate::redis_link::{RedisLink, RedisLinkError, scripts};

/// A placed order and the purchase it was made from.
pub(super) struct Told<'a> {
    pub(super) purchase: &'a OrderMessage,
    pub(super) order: OrderId,
}

/// Runs `ordered.lua` for each, all in one round trip.
pub(super) async fn tell(redis: &RedisLink, orders: &[Told<'_>]) -> Result<(), RedisLinkError> {
    if orders.is_empty() {
        return Ok(());
    }
    let mut conn = redis.conn().await?;
    let calls: Vec<_> = orders.iter().filter_map(call).collect();
    let replies = scripts::run_all::<i64>(&mut conn, &scripts::ORDERED, &calls).await?;
    let replies: Vec<i64> = replies.into_iter().collect::<Result<_, _>>()?;
    let untold = replies.iter().filter(|reply| **reply < 0).count();
    if untold > 0 {
        // An order without its record: Redis lost data that the queue kept.
        tracing::warn!(untold, "placed orders have no purchase on record");
    }
    Ok(())
}

/// One call of the script. Ids that are no ids have no record; the order stands
/// all the same.
fn call(Told { purchase, order }: &Told<'_>) -> Option<redis::Cmd> {
    let item = Item::new(&purchase.round, &purchase.product)?;
    let mut call = scripts::call(&scripts::ORDERED, &[keys::buyers(&item, purchase.segment)]);
    call.arg(&purchase.user)
        .arg(&purchase.request)
        .arg(order.to_string())
        .arg(purchase.at_ms);
    Some(call)
}
