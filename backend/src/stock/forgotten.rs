//! What a segment has forgotten of its sales, and journals will make again: a set of its own,
//! so that whichever process has such a purchase in its journal, no other takes the item
//! before (`lua/stock/replay.lua`).

use std::collections::HashMap;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use seckill_core::journal::Id;
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

/// Whether the segment knows of each of these that it waits to be made again, or that it is
/// not waited for any more (`lua/stock/resume.lua`).
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
    let names = names(purchases);
    for key in [
        keys::forgotten(item, *number),
        keys::given_up(item, *number),
    ] {
        read.cmd("SMISMEMBER").arg(key).arg(&names);
    }
    let (noted, given_up): (Vec<bool>, Vec<bool>) = read.query_async(conn).await?;
    Ok(noted
        .iter()
        .zip(given_up)
        .all(|(noted, given_up)| *noted || given_up))
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

/// Number of the last record of each journal's file that was replayed on a segment.
///
/// # Errors
/// Redis is away, or refuses.
pub(crate) async fn replayed(
    conn: &mut MultiplexedConnection,
    segment: &Segment,
) -> RedisResult<HashMap<Id, u64>> {
    let fields: HashMap<String, u64> = redis::cmd("HGETALL")
        .arg(keys::journals(&segment.item, segment.number))
        .query_async(conn)
        .await?;
    let known = fields.into_iter();
    Ok(known
        .filter_map(|(file, seq)| Some((Id::parse(&file)?, seq)))
        .collect())
}

fn names<'a>(purchases: impl IntoIterator<Item = &'a Request>) -> Vec<String> {
    let purchases = purchases.into_iter();
    purchases
        .map(|it| format!("{}|{}", it.user, it.request))
        .collect()
}
