//! Writes an approved round to Redis (course §066, §128).
//!
//! Keys of different slots cannot be written in one transaction, so that the
//! order matters: the stock first, what shoppers see next, then the catalogue, by
//! which the edges begin to sell, and last the message that has the pages
//! rendered. Every step may be repeated. Products go out by the batch, so that a
//! round of ten thousand costs some hundred round trips.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Cmd, Pipeline, RedisError, Value, from_redis_value};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::window::Window;
use tokio::time::timeout;

use crate::redis::scripts;
use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLink, RedisLinkError};
use crate::sale::message;
use crate::store::round::{Product, Round};

/// Products, or segments, that one round trip is about.
const BATCH: usize = 256;
/// How long all of it may take. It goes over connections of its own: ten thousand
/// products take longer than a purchase may wait for its answer, and no purchase
/// is to wait behind them.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a round was not, or not wholly, written to Redis.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// An id that no key can be built of.
    #[error("round \"{round}\", product \"{product}\": these ids cannot stand in a key")]
    Ids {
        /// The round's id.
        round: String,
        /// The product's id.
        product: String,
    },
    /// A start that no calendar has.
    #[error("round \"{0}\" starts at a time that no calendar has; import it again")]
    Start(String),
    /// The stock was preloaded before and is no longer there.
    #[error(
        "the stock of {item} was put into Redis before and is no longer there; preloading it \
         again could sell it twice. Put back what is left: seckill stock rebuild"
    )]
    StockGone {
        /// Whose stock.
        item: String,
    },
    /// Redis holds another amount under this name.
    #[error(
        "Redis already holds {found} items of {item} where the round has {amount}: they are left \
         from another sale of the same name. Give the round another id"
    )]
    OtherStock {
        /// Whose stock.
        item: String,
        /// What Redis holds: for sale, locked and sold together.
        found: u64,
        /// What the round has.
        amount: u64,
    },
    /// Redis is too busy, or stands still.
    #[error("Redis did not take the round within {} s; approve it again, which can do no harm", PATIENCE.as_secs())]
    Slow,
    /// No connection.
    #[error(transparent)]
    Link(#[from] RedisLinkError),
    /// Redis refused.
    #[error("Redis did not take the round: {0}; approve it again, which can do no harm")]
    Redis(#[from] RedisError),
}

/// Writes the whole round. `stock_is_there` says that it was published before:
/// then the stock must be in Redis, and is not preloaded again.
///
/// # Errors
/// [`PublishError`]; what was written stays, and a repetition completes it.
pub async fn publish(
    redis: &RedisLink,
    segments: &Segments,
    round: &Round,
    zone: &TimeZone,
    stock_is_there: bool,
) -> Result<(), PublishError> {
    let items = items(round)?;
    let date =
        date_of(round.opens_ms, zone).ok_or_else(|| PublishError::Start(round.id.clone()))?;
    let write = async {
        let mut conn = redis.dedicated().await?;
        put_stock(segments, &items, stock_is_there).await?;
        put_items(&mut conn, round, &items).await?;
        put_round(&mut conn, round, &date).await?;
        let day = keys::rounds(&date);
        let _: i64 = conn.zadd(day, &round.id, round.opens_ms).await?;
        put_catalogue(&mut conn, round, &items).await?;
        Ok::<(), PublishError>(())
    };
    let written = timeout(PATIENCE, write).await;
    written.unwrap_or(Err(PublishError::Slow))?;
    // Last: who hears it reads all of the above.
    message::announce(redis, &round.id).await?;
    Ok(())
}

fn items(round: &Round) -> Result<Vec<(Item, &Product)>, PublishError> {
    round
        .products
        .iter()
        .map(|product| match Item::new(&round.id, &product.id) {
            Some(item) => Ok((item, product)),
            None => {
                let (round, product) = (round.id.clone(), product.id.clone());
                Err(PublishError::Ids { round, product })
            }
        })
        .collect()
}

/// The day of `at_ms` in `zone`, as `YYYY-MM-DD`.
#[must_use]
pub fn date_of(at_ms: u64, zone: &TimeZone) -> Option<String> {
    let moment = Timestamp::from_millisecond(i64::try_from(at_ms).ok()?).ok()?;
    Some(moment.to_zoned(zone.clone()).date().to_string())
}

/// How many segments a product's stock has.
fn count(product: &Product) -> u16 {
    u16::try_from(product.segments.len()).unwrap_or(1).max(1)
}

/// A segment that is to hold part of a product's stock.
struct Shelf<'a> {
    item: &'a Item,
    number: u16,
    amount: u64,
}

impl Shelf<'_> {
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

/// What a segment holds: its three amounts, and what is on its way from it.
type Held = (Vec<Option<u64>>, HashMap<String, String>);

/// Puts every segment's stock in its place. If that was done before, all of it must
/// be there; it may have moved between the segments since. Nothing is written if
/// one product has other stock than it should.
async fn put_stock(
    segments: &Segments,
    items: &[(Item, &Product)],
    is_there: bool,
) -> Result<(), PublishError> {
    let mut shelves = Vec::new();
    for (item, product) in items {
        shelves.extend((1..).zip(&product.segments).map(|(number, amount)| Shelf {
            item,
            number,
            amount: *amount,
        }));
    }
    let by_master = segments
        .by_master(shelves, |shelf| (shelf.item, shelf.number))
        .await?;
    let mut found: HashMap<&Item, u64> = HashMap::with_capacity(items.len());
    let mut empty = Vec::new();
    for (_, shelves) in by_master {
        for (shelf, held) in look(segments, shelves).await? {
            let there = on(&held);
            match there {
                None if is_there => {
                    let Shelf { item, number, .. } = shelf;
                    let item = item.clone();
                    return Err(PublishError::StockGone {
                        item: Segment { item, number }.to_string(),
                    });
                }
                None => {
                    *found.entry(shelf.item).or_default() += shelf.amount;
                    empty.push(shelf);
                }
                Some(there) => *found.entry(shelf.item).or_default() += there,
            }
        }
    }
    for (item, product) in items.iter().filter(|_| !is_there) {
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
        .by_master(empty, |shelf| (shelf.item, shelf.number))
        .await?;
    for (_, shelves) in by_master {
        preload(segments, &shelves).await?;
    }
    Ok(())
}

/// What each of a master's segments holds.
async fn look<'a>(
    segments: &Segments,
    shelves: Vec<Shelf<'a>>,
) -> Result<Vec<(Shelf<'a>, Held)>, PublishError> {
    let mut held = Vec::with_capacity(shelves.len());
    let Some(first) = shelves.first() else {
        return Ok(Vec::new());
    };
    let mut conn = own_conn(segments, first).await?;
    for batch in shelves.chunks(BATCH) {
        let mut ask = redis::pipe();
        batch.iter().for_each(|shelf| shelf.read(&mut ask));
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
    Ok(shelves.into_iter().zip(held).collect())
}

/// Preloads a master's segments. Each gets its stock once, whoever else is at it.
async fn preload(segments: &Segments, shelves: &[Shelf<'_>]) -> Result<(), PublishError> {
    let Some(first) = shelves.first() else {
        return Ok(());
    };
    let mut conn = own_conn(segments, first).await?;
    for batch in shelves.chunks(BATCH) {
        let call =
            |shelf: &Shelf<'_>| scripts::preload_call(shelf.item, shelf.number, shelf.amount);
        let calls: Vec<Cmd> = batch.iter().map(call).collect();
        for reply in scripts::run_all::<bool>(&mut conn, &scripts::PRELOAD, &calls).await? {
            reply?;
        }
    }
    Ok(())
}

/// A connection of its own to the master that holds this shelf.
async fn own_conn(
    segments: &Segments,
    shelf: &Shelf<'_>,
) -> Result<MultiplexedConnection, PublishError> {
    // Finds out first where a segment of a Cluster lives by now.
    segments.conn(shelf.item, shelf.number).await?;
    let link = segments.link(shelf.item, shelf.number).await?;
    Ok(link.dedicated().await?)
}

/// All that a segment holds, with what is on its way from it; `None` if its stock,
/// or part of it, is missing.
fn on((amounts, transit): &Held) -> Option<u64> {
    let there: u64 = amounts.iter().copied().sum::<Option<u64>>()?;
    Some(there + transit.values().filter_map(|it| items_of(it)).sum::<u64>())
}

/// The items of a transfer on its way, `items|destination|at_ms`.
fn items_of(transfer: &str) -> Option<u64> {
    transfer.split('|').next()?.parse().ok()
}

async fn put_items(
    conn: &mut MultiplexedConnection,
    round: &Round,
    items: &[(Item, &Product)],
) -> Result<(), RedisError> {
    let placed: Vec<_> = (1_u64..).zip(items).collect();
    for batch in placed.chunks(BATCH) {
        let mut write = redis::pipe();
        for (position, (item, product)) in batch {
            let fields = info(round, item, product, *position);
            write.hset_multiple(keys::info(item), &fields).ignore();
        }
        write.exec_async(conn).await?;
    }
    Ok(())
}

/// What shoppers and edges read of a product.
fn info(
    round: &Round,
    item: &Item,
    product: &Product,
    position: u64,
) -> [(&'static str, String); 14] {
    [
        ("round", item.round().to_owned()),
        ("product", item.product().to_owned()),
        ("title", product.title.clone()),
        ("amount", product.amount.to_string()),
        ("limit", product.amount.to_string()),
        ("per_buyer", product.per_buyer.to_string()),
        ("segments", count(product).to_string()),
        ("price_cents", product.price_cents.to_string()),
        ("list_price_cents", product.list_price_cents.to_string()),
        ("position", position.to_string()),
        ("text", product.text.clone()),
        ("picture", product.picture.clone()),
        ("starts_ms", round.opens_ms.to_string()),
        ("ends_ms", round.ends_ms.to_string()),
    ]
}

async fn put_round(
    conn: &mut MultiplexedConnection,
    round: &Round,
    date: &str,
) -> Result<(), RedisError> {
    let fields = [
        ("name", round.name.clone()),
        ("starts_ms", round.opens_ms.to_string()),
        ("ends_ms", round.ends_ms.to_string()),
        ("date", date.to_owned()),
    ];
    let mut write = redis::pipe();
    write
        .atomic()
        .hset_multiple(keys::round_info(&round.id), &fields)
        .ignore();
    let placed: Vec<(u64, &str)> = (1..)
        .zip(round.products.iter().map(|product| product.id.as_str()))
        .collect();
    for batch in placed.chunks(BATCH) {
        write
            .zadd_multiple(keys::round_products(&round.id), batch)
            .ignore();
    }
    write.query_async(conn).await
}

/// A product's line in the catalogue.
pub(crate) fn entry(round: &Round, product: &Product) -> Entry {
    Entry {
        window: Window {
            opens_ms: round.opens_ms,
            ends_ms: round.ends_ms,
        },
        limit: product.amount,
        per_buyer: product.per_buyer,
        segments: count(product),
        price_cents: product.price_cents,
    }
}

async fn put_catalogue(
    conn: &mut MultiplexedConnection,
    round: &Round,
    items: &[(Item, &Product)],
) -> Result<(), RedisError> {
    let mut write = redis::pipe();
    write.atomic();
    let line =
        |(item, product): &(Item, &Product)| (item.to_string(), entry(round, product).to_json());
    let lines: Vec<(String, String)> = items.iter().map(line).collect();
    for batch in lines.chunks(BATCH) {
        write.hset_multiple(keys::CATALOGUE, batch).ignore();
    }
    // After the entries, in the same transaction: an edge that sees the new
    // version reads all of them, and sees it once whatever their number.
    write
        .hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1)
        .ignore();
    write.query_async(conn).await
}
