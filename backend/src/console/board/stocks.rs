//! Stock, permits and queues of all products at once: one pipeline for each
//! Redis, made when the catalogue changes and sent again at every look.

use std::collections::HashMap;
use std::sync::Arc;

use redis::{FromRedisValue, Pipeline, RedisResult, Value};
use seckill_core::ids::Item;
use seckill_core::keys;
use tokio::task::JoinSet;

use super::shelves::Shelf;
use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLink, RedisLinkError};

/// Replies for a product on the main Redis.
const OF_PRODUCT: usize = 4;
/// Replies for a segment on its master.
const OF_SEGMENT: usize = 4;
/// How long after its last heartbeat counts an edge is still asked for, in ms.
const FOREVER: &str = "+inf";

/// One product as it was at this look. Amounts are signed, so that one that
/// fell below zero is seen as that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stock {
    /// Permits granted and not returned.
    pub(super) permits: i64,
    /// How many may be granted.
    pub(super) limit: Option<i64>,
    /// Whether the amount is being adjusted at this moment.
    pub(super) is_adjusting: bool,
    /// Whether it was ever adjusted.
    pub(super) was_adjusted: bool,
    /// Items for sale, in the segments that were read.
    pub(super) sale: i64,
    /// Items in orders that are not paid.
    pub(super) locked: i64,
    /// Items paid.
    pub(super) saled: i64,
    /// Items on their way between segments.
    pub(super) in_transit: i64,
    /// Whether an amount of a segment is below zero.
    pub(super) is_negative: bool,
    /// Events that somebody has still to handle.
    pub(super) outbox: u64,
    /// When the oldest of them was written, epoch ms.
    pub(super) oldest_ms: Option<u64>,
    /// Segments that cannot be read, and why.
    pub(super) missing: Vec<String>,
}

/// The queues, and who else is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Queues {
    /// Messages in the queue of orders, with Redis Streams.
    pub(super) depth: Option<u64>,
    /// Of those that failed, how many wait to be tried again.
    pub(super) delayed: u64,
    /// How long those that were taken last had waited, in ms; `None` if nobody
    /// has looked for ten seconds.
    pub(super) age_ms: Option<u64>,
    /// Dead letters.
    pub(super) dead_letters: u64,
    /// Edges whose heartbeat counts.
    pub(super) living_edges: u64,
    /// Entries on the list of bans.
    pub(super) bans: u64,
}

/// The pipelines of some products.
pub(super) struct Plan {
    items: Vec<Item>,
    main: Pipeline,
    masters: Vec<(RedisLink, Vec<Segment>, Arc<Pipeline>)>,
}

impl Plan {
    /// What to ask for these products.
    ///
    /// # Errors
    /// No node of the Redis Cluster tells who holds a segment.
    pub(super) async fn new(
        segments: &Segments,
        shelves: &[Shelf],
    ) -> Result<Self, RedisLinkError> {
        let mut main = redis::pipe();
        let mut all = Vec::new();
        for Shelf { item, entry, .. } in shelves {
            main.get(keys::permits(item));
            main.hget(keys::info(item), keys::INFO_LIMIT);
            main.exists(keys::adjusting(item));
            main.hlen(keys::adjusted(item));
            all.extend(Segment::all(item, entry));
        }
        let sorted = segments
            .by_master(all, |segment| (&segment.item, segment.number))
            .await?;
        let masters = sorted.into_iter().map(|(link, segments)| {
            let ask = ask_segments(&segments);
            (link, segments, Arc::new(ask))
        });
        main.ignore_errors();
        Ok(Self {
            items: shelves.iter().map(|shelf| shelf.item.clone()).collect(),
            masters: masters.collect(),
            main,
        })
    }

    /// Asks. A segment whose master is away is told as missing.
    ///
    /// # Errors
    /// The main Redis is away.
    pub(super) async fn look(
        &self,
        redis: &RedisLink,
    ) -> Result<HashMap<Item, Stock>, RedisLinkError> {
        let mut asked = JoinSet::new();
        for (at, (link, _, ask)) in self.masters.iter().enumerate() {
            let (link, ask) = (link.clone(), Arc::clone(ask));
            asked.spawn(async move { (at, send(&link, &ask).await) });
        }
        let main = send(redis, &self.main).await?;
        let mut stocks: HashMap<Item, Stock> = self
            .items
            .iter()
            .zip(main.chunks(OF_PRODUCT))
            .map(|(item, told)| (item.clone(), of_product(told)))
            .collect();
        while let Some(answer) = asked.join_next().await {
            let Ok((at, told)) = answer else { continue };
            let Some((_, segments, _)) = self.masters.get(at) else {
                continue;
            };
            add_segments(&mut stocks, segments, told);
        }
        for stock in stocks.values_mut() {
            stock.missing.sort_unstable();
        }
        Ok(stocks)
    }
}

fn ask_segments(segments: &[Segment]) -> Pipeline {
    let fields = [
        "sale_stock_amount",
        "locked_stock_amount",
        "saled_stock_amount",
    ];
    let mut ask = redis::pipe();
    for Segment { item, number } in segments {
        ask.hmget(keys::stock(item, *number), &fields);
        ask.hvals(keys::transit(item, *number));
        ask.xlen(keys::outbox(item, *number));
        // Only its number is wanted; it begins with when the event was written.
        let mut oldest = redis::cmd("XRANGE");
        oldest.arg(keys::outbox(item, *number));
        oldest.arg("-").arg("+").arg("COUNT").arg(1);
        ask.add_command(oldest);
    }
    ask.ignore_errors().clone()
}

fn of_product(told: &[RedisResult<Value>]) -> Stock {
    Stock {
        permits: read::<Option<i64>>(told, 0).flatten().unwrap_or(0),
        limit: read::<Option<i64>>(told, 1).flatten(),
        is_adjusting: read::<bool>(told, 2).unwrap_or(false),
        was_adjusted: read::<u64>(told, 3).unwrap_or(0) > 0,
        ..Stock::default()
    }
}

fn add_segments(
    stocks: &mut HashMap<Item, Stock>,
    segments: &[Segment],
    told: Result<Vec<RedisResult<Value>>, RedisLinkError>,
) {
    for (at, segment) in segments.iter().enumerate() {
        let Some(stock) = stocks.get_mut(&segment.item) else {
            continue;
        };
        let replies = told.as_ref().map(|all| {
            all.get(at * OF_SEGMENT..(at + 1) * OF_SEGMENT)
                .unwrap_or(&[])
        });
        match replies {
            Ok(replies) if add_segment(stock, replies).is_some() => {}
            Ok(_) => stock.missing.push(format!(
                "{segment}: {}",
                RedisLinkError::NoStock(segment.to_string())
            )),
            Err(error) => stock.missing.push(format!("{segment}: {error}")),
        }
    }
}

/// `None` if the segment has no stock that could be read.
fn add_segment(stock: &mut Stock, told: &[RedisResult<Value>]) -> Option<()> {
    let (sale, locked, saled) = read::<(i64, i64, i64)>(told, 0)?;
    let items = |open: &String| open.split('|').next()?.parse::<i64>().ok();
    let transit: Vec<String> = read(told, 1)?;
    stock.sale += sale;
    stock.locked += locked;
    stock.saled += saled;
    stock.in_transit += transit.iter().filter_map(items).sum::<i64>();
    stock.is_negative |= sale < 0 || locked < 0 || saled < 0;
    stock.outbox += read::<u64>(told, 2)?;
    let oldest = told
        .get(3)
        .and_then(|reply| oldest_ms(reply.as_ref().ok()?));
    stock.oldest_ms = [stock.oldest_ms, oldest].into_iter().flatten().min();
    Some(())
}

/// When the first entry of a stream was written, by its number.
fn oldest_ms(entries: &Value) -> Option<u64> {
    let Value::Array(entries) = entries else {
        return None;
    };
    let Value::Array(entry) = entries.first()? else {
        return None;
    };
    let id = String::from_redis_value_ref(entry.first()?).ok()?;
    id.split('-').next()?.parse().ok()
}

/// Reads the queues and the numbers of the site as a whole.
///
/// # Errors
/// Redis is away.
pub(super) async fn queues(
    redis: &RedisLink,
    in_streams: bool,
    now_ms: u64,
) -> Result<Queues, RedisLinkError> {
    let mut ask = redis::pipe();
    ask.xlen(keys::QUEUE_ORDERS);
    ask.zcard(keys::delayed(keys::QUEUE_ORDERS));
    ask.get(keys::QUEUE_AGE);
    ask.xlen(keys::QUEUE_DEAD_LETTERS);
    ask.zcount(keys::EDGES, now_ms, FOREVER);
    ask.hlen(keys::BANS);
    ask.ignore_errors();
    let told = send(redis, &ask).await?;
    Ok(Queues {
        depth: read::<u64>(&told, 0).filter(|_| in_streams),
        delayed: read(&told, 1).unwrap_or(0),
        age_ms: read::<Option<u64>>(&told, 2).flatten(),
        dead_letters: read(&told, 3).unwrap_or(0),
        living_edges: read(&told, 4).unwrap_or(0),
        bans: read(&told, 5).unwrap_or(0),
    })
}

async fn send(link: &RedisLink, ask: &Pipeline) -> Result<Vec<RedisResult<Value>>, RedisLinkError> {
    if ask.is_empty() {
        return Ok(Vec::new());
    }
    let mut conn = link.conn().await?;
    // Errors are ignored: a key that holds something else must not hide all others.
    Ok(ask.query_async(&mut conn).await?)
}

fn read<T: FromRedisValue>(told: &[RedisResult<Value>], at: usize) -> Option<T> {
    let value = told.get(at)?.as_ref().ok()?;
    T::from_redis_value_ref(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn segment(sale: &str, transit: &[&str]) -> Vec<RedisResult<Value>> {
        vec![
            Ok(Value::Array(vec![text(sale), text("2"), text("3")])),
            Ok(Value::Array(transit.iter().map(|it| text(it)).collect())),
            Ok(Value::Int(4)),
            Ok(Value::Array(vec![Value::Array(vec![
                text("1700-3"),
                Value::Array(vec![]),
            ])])),
        ]
    }

    #[test]
    fn segments_add_up() {
        let mut stock = Stock::default();
        assert!(add_segment(&mut stock, &segment("5", &["7|2|1000"])).is_some());
        assert!(add_segment(&mut stock, &segment("-1", &[])).is_some());
        assert_eq!((stock.sale, stock.locked, stock.saled), (4, 4, 6));
        assert_eq!((stock.in_transit, stock.outbox), (7, 8));
        assert_eq!(stock.oldest_ms, Some(1_700));
        assert!(stock.is_negative);
    }

    #[test]
    fn a_segment_without_stock_is_missing() {
        let mut stock = Stock::default();
        let mut told = segment("5", &[]);
        told[0] = Ok(Value::Array(vec![Value::Nil, Value::Nil, Value::Nil]));
        assert!(add_segment(&mut stock, &told).is_none());
        assert!(add_segment(&mut stock, &[]).is_none());
        assert_eq!(stock, Stock::default());
    }
}
