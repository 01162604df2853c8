//! What a segment has forgotten of its sales, and journals will make again: a set of its own,
//! so that whichever process has such a purchase in its journal, no other takes the item
//! before (`lua/stock/replay.lua`).

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use seckill_core::journal::request::Request;
use seckill_core::keys;

use crate::redis::segments::Segment;

/// For how long they are waited for, in seconds, unless they are made again: as long as
/// a segment remembers what was replayed.
const KEEP_S: i64 = 7 * 86_400;

/// Notes that these purchases will be made again.
///
/// # Errors
/// Redis is away, or refuses.
pub(super) async fn note(
    conn: &mut MultiplexedConnection,
    segment: &Segment,
    purchases: impl IntoIterator<Item = &Request>,
) -> RedisResult<()> {
    let names = names(purchases);
    if names.is_empty() {
        return Ok(());
    }
    let key = keys::forgotten(&segment.item, segment.number);
    let mut pipe = redis::pipe();
    pipe.sadd(&key, names).expire(&key, KEEP_S);
    pipe.exec_async(conn).await
}

/// Whether the segment knows that all of these wait to be made again, or has ended waiting
/// for some (`lua/stock/resume.lua`).
///
/// # Errors
/// Redis is away, or refuses.
pub(super) async fn are_known(
    conn: &mut MultiplexedConnection,
    segment: &Segment,
    purchases: &[Request],
) -> RedisResult<bool> {
    if purchases.is_empty() {
        return Ok(true);
    }
    let Segment { item, number } = segment;
    let mut read = redis::pipe();
    read.cmd("SMISMEMBER")
        .arg(keys::forgotten(item, *number))
        .arg(names(purchases));
    read.hexists(keys::stock(item, *number), keys::STOCK_GAVE_UP);
    let (noted, gave_up): (Vec<bool>, bool) = read.query_async(conn).await?;
    Ok(gave_up || !noted.contains(&false))
}

/// Notes that these will not be made again.
///
/// # Errors
/// Redis is away, or refuses.
pub(super) async fn strike(
    conn: &mut MultiplexedConnection,
    segment: &Segment,
    purchases: impl IntoIterator<Item = &Request>,
) -> RedisResult<()> {
    let key = keys::forgotten(&segment.item, segment.number);
    let mut pipe = redis::pipe();
    pipe.srem(&key, names(purchases));
    pipe.exec_async(conn).await
}

fn names<'a>(purchases: impl IntoIterator<Item = &'a Request>) -> Vec<String> {
    let purchases = purchases.into_iter();
    purchases
        .map(|it| format!("{}|{}", it.user, it.request))
        .collect()
}
