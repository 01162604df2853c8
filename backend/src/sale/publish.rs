//! Writes an approved round to Redis (course §066, §128).
//!
//! Keys of different slots cannot be written in one transaction, so that the
//! order matters: the stock first, what shoppers see next, then the catalogue, by
//! which the edges begin to sell, and last the message that has the pages
//! rendered. Every step may be repeated. Products are written in batches, so that a
//! round of ten thousand costs some hundred round trips.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Pipeline, RedisError};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::pages::picture;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::halt::Halt;
use seckill_core::sale::window::Window;
use tokio::time::timeout;

use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::sale::message;
use crate::store::StoreError;
use crate::store::round::{Product, Round};
use crate::store::stop::Stops;

/// Preloads the stock.
mod stock;

use stock::put_stock;

/// Products or segments in one round trip.
const BATCH: usize = 256;
/// How long publishing a round may take. It uses connections of its own: ten thousand
/// products take longer than a purchase may wait for its reply, and no purchase is
/// to wait behind them.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why a round was not written to Redis, or only partly.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// An id from which no key can be built.
    #[error("round \"{round}\", product \"{product}\": these ids cannot be used in a key")]
    Ids {
        /// The round's id.
        round: String,
        /// The product's id.
        product: String,
    },
    /// A start beyond the calendar.
    #[error("round \"{0}\" starts at a time that no calendar has; import it again")]
    Start(String),
    /// The stock was preloaded before and is no longer there.
    #[error(
        "the stock of {item} was put into Redis before and is no longer there; preloading it \
         again could sell it twice. Restore what is left: seckill stock rebuild"
    )]
    StockGone {
        /// The product or segment.
        item: String,
    },
    /// Redis holds another amount of this product.
    #[error(
        "Redis already holds {found} items of {item} where the round has {amount}: they are left \
         from another sale of the same name. Give the round another id"
    )]
    OtherStock {
        /// The product or segment.
        item: String,
        /// The items in Redis: for sale, locked and sold together.
        found: u64,
        /// The amount in the round.
        amount: u64,
    },
    /// Redis is too slow.
    #[error("the round was not written to Redis within {} s; approve it again, which can do no harm", TIMEOUT.as_secs())]
    Slow,
    /// No connection.
    #[error(transparent)]
    Link(#[from] RedisLinkError),
    /// The database is away or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis refused.
    #[error("Redis refused the round: {0}; approve it again, which can do no harm")]
    Redis(#[from] RedisError),
}

/// Writes the whole round. If it `was_published` before, the stock must be in Redis,
/// and is not preloaded again.
///
/// # Errors
/// [`PublishError`]; what was written stays, and a retry completes it.
pub async fn publish(
    redis: &RedisLink,
    segments: &Segments,
    round: &Round,
    stops: &Stops,
    zone: &TimeZone,
    was_published: bool,
) -> Result<(), PublishError> {
    let items = items(round)?;
    let date =
        date_of(round.opens_ms, zone).ok_or_else(|| PublishError::Start(round.id.clone()))?;
    let write = async {
        let mut conn = redis.dedicated().await?;
        put_stock(segments, &items, was_published).await?;
        put_items(&mut conn, (round, stops), &items).await?;
        put_round(&mut conn, (round, stops)).await?;
        put_on_day(&mut conn, round, &date).await?;
        put_catalogue(&mut conn, (round, stops), &items).await?;
        Ok::<(), PublishError>(())
    };
    let written = timeout(TIMEOUT, write).await;
    written.unwrap_or(Err(PublishError::Slow))?;
    // Last: readers of the message read all of the above.
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

/// The number of segments of a product's stock.
fn segment_count(product: &Product) -> u16 {
    u16::try_from(product.segments.len()).unwrap_or(1).max(1)
}

async fn put_items(
    conn: &mut MultiplexedConnection,
    sold: (&Round, &Stops),
    items: &[(Item, &Product)],
) -> Result<(), RedisError> {
    let placed: Vec<_> = (1_u64..).zip(items).collect();
    for batch in placed.chunks(BATCH) {
        let mut write = redis::pipe();
        for (position, (item, product)) in batch {
            let fields = info(sold, item, product, *position);
            write.hset_multiple(keys::info(item), &fields).ignore();
            put_halt(&mut write, &keys::info(item), sold.1.halt(&product.id));
        }
        write.exec_async(conn).await?;
    }
    Ok(())
}

/// The fields of a product that shoppers and edges read.
fn info(
    (round, stops): (&Round, &Stops),
    item: &Item,
    product: &Product,
    position: u64,
) -> [(&'static str, String); 15] {
    [
        ("round", item.round().to_owned()),
        ("product", item.product().to_owned()),
        ("title", product.title.clone()),
        ("amount", product.amount.to_string()),
        ("limit", product.amount.to_string()),
        ("per_buyer", product.per_buyer.to_string()),
        ("segments", segment_count(product).to_string()),
        ("price_cents", product.price_cents.to_string()),
        ("list_price_cents", product.list_price_cents.to_string()),
        ("position", position.to_string()),
        ("text", product.text.clone()),
        ("picture", product.picture.clone()),
        ("picture_alt", picture::alt_lines(&product.picture_alt)),
        ("starts_ms", round.opens_ms.to_string()),
        (
            "ends_ms",
            stops.ends_ms(&product.id, round.ends_ms).to_string(),
        ),
    ]
}

/// Writes a stop to where pages read it, or removes it.
pub(super) fn put_halt(write: &mut Pipeline, key: &str, halt: Option<Halt>) {
    match halt {
        Some(halt) => write.hset(key, "halt", halt.as_str()).ignore(),
        None => write.hdel(key, "halt").ignore(),
    };
}

async fn put_round(
    conn: &mut MultiplexedConnection,
    (round, stops): (&Round, &Stops),
) -> Result<(), RedisError> {
    let fields = [
        ("name", round.name.clone()),
        ("starts_ms", round.opens_ms.to_string()),
        ("ends_ms", round.ends_ms.to_string()),
    ];
    let mut write = redis::pipe();
    write.hset_multiple(keys::round_info(&round.id), &fields);
    let halt = stops.round.and_then(|stop| stop.kind.halt());
    put_halt(&mut write, &keys::round_info(&round.id), halt);
    let placed: Vec<(u64, &str)> = (1..)
        .zip(round.products.iter().map(|product| product.id.as_str()))
        .collect();
    for batch in placed.chunks(BATCH) {
        write.zadd_multiple(keys::round_products(&round.id), batch);
    }
    scripts::together(&write).run(conn).await
}

/// Lists a round under its day, and no longer under the one that it had. Its record says
/// which that was, and names the new one last: who breaks off is repeated.
pub(super) async fn put_on_day(
    conn: &mut MultiplexedConnection,
    round: &Round,
    date: &str,
) -> Result<(), RedisError> {
    let info = keys::round_info(&round.id);
    let was: Option<String> = conn.hget(&info, "date").await?;
    let mut write = redis::pipe();
    write.zadd(keys::rounds(date), &round.id, round.opens_ms);
    if let Some(was) = was.filter(|was| was != date) {
        write.zrem(keys::rounds(&was), &round.id);
    }
    write.hset(&info, "date", date);
    write.exec_async(conn).await
}

/// A product's line in the catalogue.
pub(crate) fn entry((round, stops): (&Round, &Stops), product: &Product) -> Entry {
    Entry {
        window: Window {
            opens_ms: round.opens_ms,
            ends_ms: stops.ends_ms(&product.id, round.ends_ms),
        },
        limit: product.amount,
        per_buyer: product.per_buyer,
        segments: segment_count(product),
        price_cents: product.price_cents,
        halt: stops.halt(&product.id),
        priced_ms: product.priced_ms,
    }
}

async fn put_catalogue(
    conn: &mut MultiplexedConnection,
    sold: (&Round, &Stops),
    items: &[(Item, &Product)],
) -> Result<(), RedisError> {
    let mut write = redis::pipe();
    let line =
        |(item, product): &(Item, &Product)| (item.to_string(), entry(sold, product).to_json());
    let lines: Vec<(String, String)> = items.iter().map(line).collect();
    for batch in lines.chunks(BATCH) {
        write.hset_multiple(keys::CATALOGUE, batch);
    }
    // After the entries, in the same step: an edge that sees the new
    // version reads all of them, and sees it once whatever their number.
    write.hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1);
    scripts::together(&write).run(conn).await
}
