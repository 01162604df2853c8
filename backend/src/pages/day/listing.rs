//! Reads a day's rounds from Redis, in the layout that approval wrote.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use redis::{AsyncCommands as _, RedisError, aio::MultiplexedConnection};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::pages::picture::{self, Shown};
use seckill_core::sale::halt::Halt;
use serde::Serialize;

use crate::redis::RedisLinkError;
use crate::sale::page;

/// The rounds of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Which {
    /// Rounds that start on this day.
    On(Date),
    /// Rounds of today and tomorrow, and those of yesterday that still run.
    Now,
}

/// The body of `GET /api/rounds`.
#[derive(Debug, Serialize)]
struct Day {
    date: String,
    rounds: Vec<RoundView>,
}

#[derive(Debug, Serialize)]
struct RoundView {
    id: String,
    name: String,
    starts_ms: u64,
    ends_ms: u64,
    products: Vec<ProductView>,
}

#[derive(Debug, Serialize)]
struct ProductView {
    id: String,
    title: String,
    amount: u64,
    price_cents: u64,
    list_price_cents: u64,
    per_buyer: u32,
    page: String,
    /// What stands for it; `null` for the drawing that pages have by themselves.
    picture: Option<Shown>,
}

impl Which {
    /// The name of its document today. The name of [`Which::Now`] ends with the day,
    /// since it is another document every day.
    pub(super) fn name(self, zone: &TimeZone) -> String {
        match self {
            Which::On(date) => date.to_string(),
            Which::Now => format!("now-{}", Timestamp::now().to_zoned(zone.clone()).date()),
        }
    }
}

/// The rounds that were read.
pub(super) struct Read {
    /// The JSON of the document.
    pub(super) json: String,
    /// Whether it has no rounds.
    pub(super) is_empty: bool,
}

/// Reads the rounds of a document.
pub(super) async fn read(
    conn: &mut MultiplexedConnection,
    which: Which,
    zone: &TimeZone,
) -> Result<Read, RedisLinkError> {
    let now = Timestamp::now();
    let today = now.to_zoned(zone.clone()).date();
    let (date, days) = match which {
        Which::On(date) => (date, vec![date]),
        Which::Now => {
            let yesterday = today.saturating_sub(1.day());
            (today, vec![yesterday, today, today.saturating_add(1.day())])
        }
    };
    let mut rounds = Vec::new();
    for day in days {
        let ids: Vec<String> = conn.zrange(keys::rounds(&day.to_string()), 0, -1).await?;
        for id in ids {
            if let Some(round) = read_round(conn, id).await? {
                rounds.push((day, round));
            }
        }
    }
    let now_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
    rounds.retain(|(day, round)| *day >= date || round.ends_ms > now_ms);
    let is_empty = rounds.is_empty();
    let rounds = rounds.into_iter().map(|(_, round)| round).collect();
    let day = Day {
        date: date.to_string(),
        rounds,
    };
    // Texts and numbers always serialize.
    let json = serde_json::to_string(&day).unwrap_or_default();
    Ok(Read { json, is_empty })
}

/// `None` for a round that its approval has not written yet, or that was withdrawn.
async fn read_round(
    conn: &mut MultiplexedConnection,
    id: String,
) -> Result<Option<RoundView>, RedisError> {
    type Info = (Option<String>, Option<u64>, Option<u64>, Option<String>);
    let ((name, starts_ms, ends_ms, halt), products): (Info, Vec<String>) = redis::pipe()
        .hmget(
            keys::round_info(&id),
            &["name", "starts_ms", "ends_ms", "halt"],
        )
        .zrange(keys::round_products(&id), 0, -1)
        .query_async(conn)
        .await?;
    let (Some(name), Some(starts_ms), Some(ends_ms)) = (name, starts_ms, ends_ms) else {
        return Ok(None);
    };
    if is_withdrawn(halt.as_deref()) {
        return Ok(None);
    }
    let products = read_products(conn, &id, products).await?;
    Ok(Some(RoundView {
        id,
        name,
        starts_ms,
        ends_ms,
        products,
    }))
}

async fn read_products(
    conn: &mut MultiplexedConnection,
    round: &str,
    ids: Vec<String>,
) -> Result<Vec<ProductView>, RedisError> {
    const FIELDS: [&str; 7] = [
        "title",
        "amount",
        "price_cents",
        "list_price_cents",
        "per_buyer",
        "picture",
        "halt",
    ];
    let items: Vec<Item> = ids.iter().filter_map(|id| Item::new(round, id)).collect();
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = redis::pipe();
    for item in &items {
        query.hmget(keys::info(item), &FIELDS);
    }
    let infos: Vec<ProductInfo> = query.query_async(conn).await?;
    Ok(items
        .iter()
        .zip(infos)
        .filter_map(|(item, info)| view(item, info))
        .collect())
}

type ProductInfo = (
    Option<String>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<u32>,
    Option<String>,
    Option<String>,
);

fn view(item: &Item, info: ProductInfo) -> Option<ProductView> {
    let (title, amount, price_cents, list_price_cents, per_buyer, picture, halt) = info;
    if is_withdrawn(halt.as_deref()) {
        return None;
    }
    Some(ProductView {
        id: item.product().to_owned(),
        title: title?,
        amount: amount?,
        price_cents: price_cents?,
        list_price_cents: list_price_cents?,
        per_buyer: per_buyer?,
        page: page::path_of(item.round(), item.product()),
        picture: picture.as_deref().and_then(picture::first),
    })
}

/// Whether the stop switch has taken it off the shop's pages.
fn is_withdrawn(halt: Option<&str>) -> bool {
    halt.and_then(Halt::parse) == Some(Halt::Withdrawn)
}
