//! Stock and permits of all products at once: one pipeline for each Redis, built when
//! the catalogue changes and sent at every poll.

use std::collections::HashMap;
use std::sync::Arc;

use redis::{FromRedisValue as _, Pipeline, RedisResult, Value};
use seckill_core::ids::Item;
use seckill_core::keys;
use tokio::task::JoinSet;

use super::pipeline::{read, send};
use super::products::Product;
use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLink, RedisLinkError};

/// Replies for a product on the main Redis.
const OF_PRODUCT: usize = 4;
/// Replies for a segment on its master.
const OF_SEGMENT: usize = 4;

/// One product at this poll. Amounts are signed, so that one that fell below zero is
/// visible.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stock {
    /// Permits granted and not returned.
    pub(super) permits: i64,
    /// How many permits may be granted.
    pub(super) limit: Option<i64>,
    /// Whether the amount is being adjusted now.
    pub(super) is_adjusting: bool,
    /// Whether it was ever adjusted.
    pub(super) was_adjusted: bool,
    /// Items for sale, in the segments that were read.
    pub(super) sale: i64,
    /// Items in orders that are not paid.
    pub(super) locked: i64,
    /// Items paid.
    pub(super) saled: i64,
    /// Items in transit between segments.
    pub(super) in_transit: i64,
    /// Whether an amount of a segment is below zero.
    pub(super) is_negative: bool,
    /// Events that a reader has still to handle.
    pub(super) outbox: u64,
    /// When the oldest of these events was written, epoch ms.
    pub(super) oldest_ms: Option<u64>,
    /// Segments that cannot be read, each with the reason.
    pub(super) missing: Vec<String>,
}

/// The pipelines that read the stock of some products.
pub(super) struct StockPoll {
    items: Vec<Item>,
    main: Pipeline,
    masters: Vec<(RedisLink, Vec<Segment>, Arc<Pipeline>)>,
}

impl StockPoll {
    /// Builds the pipelines for these products.
    ///
    /// # Errors
    /// No node of the Redis Cluster says which master holds a segment.
    pub(super) async fn new(
        segments: &Segments,
        products: &[Product],
    ) -> Result<Self, RedisLinkError> {
        let mut main = redis::pipe();
        let mut all = Vec::new();
        for Product { item, entry, .. } in products {
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
            let query = segments_query(&segments);
            (link, segments, Arc::new(query))
        });
        main.ignore_errors();
        Ok(Self {
            items: products
                .iter()
                .map(|product| product.item.clone())
                .collect(),
            masters: masters.collect(),
            main,
        })
    }

    /// Sends the pipelines. A segment whose master is away is listed as missing.
    ///
    /// # Errors
    /// The main Redis is away.
    pub(super) async fn poll(
        &self,
        redis: &RedisLink,
    ) -> Result<HashMap<Item, Stock>, RedisLinkError> {
        let mut queries = JoinSet::new();
        for (at, (link, _, query)) in self.masters.iter().enumerate() {
            let (link, query) = (link.clone(), Arc::clone(query));
            queries.spawn(async move { (at, send(&link, &query).await) });
        }
        let main = send(redis, &self.main).await?;
        let mut stocks: HashMap<Item, Stock> = self
            .items
            .iter()
            .zip(main.chunks(OF_PRODUCT))
            .map(|(item, replies)| (item.clone(), of_product(replies)))
            .collect();
        while let Some(done) = queries.join_next().await {
            let Ok((at, replies)) = done else { continue };
            let Some((_, segments, _)) = self.masters.get(at) else {
                continue;
            };
            add_segments(&mut stocks, segments, replies);
        }
        for stock in stocks.values_mut() {
            stock.missing.sort_unstable();
        }
        Ok(stocks)
    }
}

fn segments_query(segments: &[Segment]) -> Pipeline {
    let fields = [
        "sale_stock_amount",
        "locked_stock_amount",
        "saled_stock_amount",
    ];
    let mut query = redis::pipe();
    for Segment { item, number } in segments {
        query.hmget(keys::stock(item, *number), &fields);
        query.hvals(keys::transit(item, *number));
        query.xlen(keys::outbox(item, *number));
        // Only its id is needed; it begins with the time when the event was written.
        let mut oldest = redis::cmd("XRANGE");
        oldest.arg(keys::outbox(item, *number));
        oldest.arg("-").arg("+").arg("COUNT").arg(1);
        query.add_command(oldest);
    }
    query.ignore_errors().clone()
}

fn of_product(replies: &[RedisResult<Value>]) -> Stock {
    Stock {
        permits: read::<Option<i64>>(replies, 0).flatten().unwrap_or(0),
        limit: read::<Option<i64>>(replies, 1).flatten(),
        is_adjusting: read::<bool>(replies, 2).unwrap_or(false),
        was_adjusted: read::<u64>(replies, 3).unwrap_or(0) > 0,
        ..Stock::default()
    }
}

fn add_segments(
    stocks: &mut HashMap<Item, Stock>,
    segments: &[Segment],
    replies: Result<Vec<RedisResult<Value>>, RedisLinkError>,
) {
    for (at, segment) in segments.iter().enumerate() {
        let Some(stock) = stocks.get_mut(&segment.item) else {
            continue;
        };
        let of_segment = replies.as_ref().map(|all| {
            all.get(at * OF_SEGMENT..(at + 1) * OF_SEGMENT)
                .unwrap_or(&[])
        });
        match of_segment {
            Ok(of_segment) if add_segment(stock, of_segment).is_some() => {}
            Ok(_) => stock.missing.push(format!(
                "{segment}: {}",
                RedisLinkError::NoStock(segment.to_string())
            )),
            Err(error) => stock.missing.push(format!("{segment}: {error}")),
        }
    }
}

/// `None` if the segment has no stock that could be read.
fn add_segment(stock: &mut Stock, replies: &[RedisResult<Value>]) -> Option<()> {
    let (sale, locked, saled) = read::<(i64, i64, i64)>(replies, 0)?;
    let items = |open: &String| open.split('|').next()?.parse::<i64>().ok();
    let transit: Vec<String> = read(replies, 1)?;
    stock.sale += sale;
    stock.locked += locked;
    stock.saled += saled;
    stock.in_transit += transit.iter().filter_map(items).sum::<i64>();
    stock.is_negative |= sale < 0 || locked < 0 || saled < 0;
    stock.outbox += read::<u64>(replies, 2)?;
    let oldest = replies
        .get(3)
        .and_then(|reply| oldest_ms(reply.as_ref().ok()?));
    stock.oldest_ms = [stock.oldest_ms, oldest].into_iter().flatten().min();
    Some(())
}

/// When the first entry of a stream was written, by its id.
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
        let mut replies = segment("5", &[]);
        replies[0] = Ok(Value::Array(vec![Value::Nil, Value::Nil, Value::Nil]));
        assert!(add_segment(&mut stock, &replies).is_none());
        assert!(add_segment(&mut stock, &[]).is_none());
        assert_eq!(stock, Stock::default());
    }
}
