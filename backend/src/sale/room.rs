//! Whether every living edge has room for the catalogue with one more round in it.
//!
//! An edge keeps the products in a zone of fixed size. One that finds no place there
//! is not sold, so that the approval is refused beforehand. What is over or withdrawn leaves
//! its place to what may still sell (`core/src/sale/urgency.rs`).

use redis::aio::MultiplexedConnection;
use seckill_core::edge::EdgeLine;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::shared::{ZoneNeeds, zone_for_products};

use super::catalogue;
use crate::redis::{RedisLink, RedisLinkError};
use crate::store::round::Round;

/// An edge that was silent for so long is no longer expected back, in ms.
const GONE_MS: u64 = 5_000;

/// The smallest zone is too small.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the zone of edge {edge} has room for {room} products, and with round \"{round}\" there are {products} that are not over; {cure}"
)]
pub struct NoRoom {
    /// The round.
    pub round: String,
    /// The edge.
    pub edge: String,
    /// Products that its zone is made for.
    pub room: u64,
    /// Products that may still sell, those of the round included.
    pub products: u64,
    cure: String,
}

/// Whether the living edges have room for the round; an edge of an earlier version
/// does not tell, and is left out.
///
/// # Errors
/// Redis is away.
pub async fn check(
    redis: &RedisLink,
    round: &Round,
    now_ms: u64,
) -> Result<Result<(), NoRoom>, RedisLinkError> {
    let mut conn = redis.conn().await?;
    let Some(smallest) = smallest(&mut conn).await? else {
        return Ok(Ok(()));
    };
    let listed = catalogue::read(&mut conn).await?;
    let selling = listed.values().filter(|entry| entry.may_sell(now_ms));
    // Of a round that is edited, what may sell is counted, and the rest was stopped for good.
    let ours = round.products.iter();
    let ours = ours.filter_map(|product| Item::new(&round.id, &product.id));
    let products = selling.count() + ours.filter(|item| !listed.contains_key(item)).count();
    if products as u64 <= smallest.room {
        return Ok(Ok(()));
    }
    Ok(Err(NoRoom {
        round: round.id.clone(),
        edge: smallest.shown(),
        room: smallest.room,
        products: products as u64,
        cure: cure(products),
    }))
}

/// What to do so that so many products fit.
fn cure(products: usize) -> String {
    match zone_for_products(products, &ZoneNeeds::default()) {
        Some(bytes) => format!(
            "give it seckill_zone NAME:{}m, or withdraw what is not to be sold, and try again",
            bytes >> 20
        ),
        None => "no zone holds so many; withdraw what is not to be sold, and try again".to_owned(),
    }
}

/// The living edge with the least room.
async fn smallest(conn: &mut MultiplexedConnection) -> Result<Option<EdgeLine>, RedisLinkError> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(conn).await?;
    let now_ms = seconds * 1_000 + micros / 1_000;
    let lines: Vec<String> = redis::cmd("ZRANGEBYSCORE")
        .arg(keys::EDGES)
        .arg(now_ms.saturating_sub(GONE_MS))
        .arg("+inf")
        .query_async(conn)
        .await?;
    let edges = lines.iter().filter_map(|line| EdgeLine::parse(line));
    Ok(edges.min_by_key(|edge| edge.room))
}
