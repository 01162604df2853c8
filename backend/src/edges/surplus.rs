//! Permits beyond the items.
//!
//! As many permits are out as there are items, unless an amount was lowered, items went to
//! another site, or Redis forgot some that edges had. Whoever holds one of those meets empty
//! stock. Such a permit goes back: were it spent, an item that comes back later, from an
//! order that is cancelled, would find no permit, and never be sold.

use seckill_core::ids::Item;
use seckill_core::keys;

use crate::redis::scripts::stock::WhenGone;
use crate::redis::{RedisLink, RedisLinkError};

/// What becomes of a permit that met stock that is gone everywhere. While Redis does not say
/// how many are out, it is spent.
pub async fn of_permit(redis: &RedisLink, item: &Item) -> WhenGone {
    match is_there(redis, item).await {
        Ok(true) => WhenGone::LeavePermit,
        Ok(false) => WhenGone::SpendPermit,
        Err(error) => {
            tracing::debug!(%item, %error, "the permits that are out cannot be counted");
            WhenGone::SpendPermit
        }
    }
}

/// Whether more permits of a product are out than its limit says.
async fn is_there(redis: &RedisLink, item: &Item) -> Result<bool, RedisLinkError> {
    let mut conn = redis.conn().await?;
    let (granted, limit): (Option<u64>, Option<u64>) = redis::pipe()
        .get(keys::permits(item))
        .hget(keys::info(item), "limit")
        .query_async(&mut conn)
        .await?;
    Ok(limit.is_some_and(|limit| granted.unwrap_or(0) > limit))
}
