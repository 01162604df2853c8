//! Writes an approved round to Redis (course §066, §128).
//!
//! Keys of different slots cannot be written in one transaction, so that the
//! order matters: the stock first, what shoppers see next, and last the
//! catalogue, by which the edges begin to sell. Every step may be repeated.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, RedisError};
use seckill_core::catalogue::Entry;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::window::Window;

use super::{Product, Round};
use crate::redis_link::scripts;
use crate::redis_link::{RedisLink, RedisLinkError};
use crate::segments::{Segment, Segments};

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
    let mut conn = redis.conn().await?;
    for (item, product) in &items {
        put_stock(segments, item, product, stock_is_there).await?;
    }
    for (position, (item, product)) in (1_u64..).zip(&items) {
        put_item(&mut conn, item, product, round, position).await?;
    }
    put_round(&mut conn, round, &date).await?;
    let _: i64 = conn
        .zadd(keys::rounds(&date), &round.id, round.opens_ms)
        .await?;
    put_catalogue(&mut conn, round, &items).await?;
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

/// Preloads every segment. If that was done before, the stock must be there; it
/// may have moved between the segments since.
async fn put_stock(
    segments: &Segments,
    item: &Item,
    product: &Product,
    is_there: bool,
) -> Result<(), PublishError> {
    let fields = [
        "sale_stock_amount",
        "locked_stock_amount",
        "saled_stock_amount",
    ];
    let mut found = 0;
    for (number, amount) in (1..).zip(&product.segments) {
        let mut conn = segments.conn(item, number).await?;
        if !is_there {
            scripts::preload(&mut conn, item, number, *amount).await?;
        }
        let amounts: Vec<Option<u64>> = conn.hmget(keys::stock(item, number), &fields).await?;
        let Some(sum) = amounts.into_iter().sum::<Option<u64>>() else {
            let item = Segment {
                item: item.clone(),
                number,
            };
            return Err(PublishError::StockGone {
                item: item.to_string(),
            });
        };
        found += sum;
        let transit: HashMap<String, String> = conn.hgetall(keys::transit(item, number)).await?;
        found += transit.values().filter_map(|it| items_of(it)).sum::<u64>();
    }
    if found == product.amount || is_there {
        return Ok(());
    }
    Err(PublishError::OtherStock {
        item: item.to_string(),
        found,
        amount: product.amount,
    })
}

/// The items of a transfer on its way, `items|destination|at_ms`.
fn items_of(transfer: &str) -> Option<u64> {
    transfer.split('|').next()?.parse().ok()
}

async fn put_item(
    conn: &mut MultiplexedConnection,
    item: &Item,
    product: &Product,
    round: &Round,
    position: u64,
) -> Result<(), RedisError> {
    let fields = [
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
        ("picture", product.picture.clone()),
        ("starts_ms", round.opens_ms.to_string()),
        ("ends_ms", round.ends_ms.to_string()),
    ];
    conn.hset_multiple(keys::info(item), &fields).await
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
    for (position, product) in (1_u64..).zip(&round.products) {
        write
            .zadd(keys::round_products(&round.id), &product.id, position)
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
    for (item, product) in items {
        let line = entry(round, product).to_json();
        write.hset(keys::CATALOGUE, item.to_string(), line).ignore();
    }
    // After the entries, in the same transaction: an edge that sees the new
    // version reads all of them.
    write
        .hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1)
        .ignore();
    write.query_async(conn).await
}
