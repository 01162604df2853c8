//! The rounds and products that the board shows: those that run, are to come, or have
//! ended within a day, with their names and with what operators stopped of them.

use std::collections::BTreeSet;

use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::halt::Halt;
use seckill_core::sale::window::{Phase, Window};

use crate::redis::RedisLinkError;
use crate::sale::catalogue;
use crate::stock::levels;

/// For how long after its end a round is shown, in ms.
const SHOWN_MS: u64 = 24 * 3_600_000;
/// For how long after its end a round is polled as often as one that runs, in ms:
/// its orders are still paid or cancelled.
const WARM_MS: u64 = 20 * 60_000;

/// A product on the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Product {
    /// Round and product.
    pub(super) item: Item,
    /// When it sells, and how many segments it has.
    pub(super) entry: Entry,
    /// What shoppers call it.
    pub(super) title: String,
    /// Its place in its round, from 0.
    pub(super) position: usize,
}

impl Product {
    /// Whether its round ended so long ago that its numbers hardly change.
    pub(super) fn is_cold(&self, now_ms: u64) -> bool {
        now_ms > self.entry.window.ends_ms.saturating_add(WARM_MS)
    }

    /// Why it is not sold: `paused`, `withdrawn` or `ended`, alone or with its round;
    /// `None` while it sells, or will.
    pub(super) fn stop(&self, now_ms: u64) -> Option<&'static str> {
        levels::stop(&self.entry, now_ms)
    }

    /// Whether an operator took it off sale for good, alone or with its round.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.entry.halt == Some(Halt::Withdrawn)
    }
}

/// A round on the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Round {
    /// Its id.
    pub(super) id: String,
    /// What shoppers call it.
    pub(super) name: String,
    /// When it sells.
    pub(super) window: Window,
    /// What an operator did to the whole of it.
    pub(super) halt: Option<Halt>,
}

impl Round {
    /// `scheduled`, `open` or `ended`.
    pub(super) fn state(&self, now_ms: u64) -> &'static str {
        match self.window.phase(now_ms) {
            Phase::Scheduled | Phase::Lead => "scheduled",
            Phase::Open => "open",
            Phase::Ended => "ended",
        }
    }

    /// `paused` or `withdrawn`, if an operator stopped the whole round. A pause has no
    /// meaning once the round is over; a withdrawal has.
    pub(super) fn stop(&self, now_ms: u64) -> Option<&'static str> {
        let is_over = self.window.phase(now_ms) == Phase::Ended;
        let halt = self
            .halt
            .filter(|halt| *halt == Halt::Withdrawn || !is_over);
        halt.map(Halt::as_str)
    }
}

/// All rounds and products, as of one version of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// The rounds, in the order of their ids.
    pub(super) rounds: Vec<Round>,
    /// The products, in the order of their item keys.
    pub(super) products: Vec<Product>,
}

/// Reads the rounds and products to be shown now.
///
/// # Errors
/// Redis is away, or a key holds something else.
pub(super) async fn read(
    conn: &mut MultiplexedConnection,
    now_ms: u64,
) -> Result<Listing, RedisLinkError> {
    let mut products: Vec<(Item, Entry)> = catalogue::read(conn).await?.into_iter().collect();
    // A product that was ended alone is shown as long as the others of its round.
    let shown: BTreeSet<String> = products
        .iter()
        .filter(|(_, entry)| now_ms <= entry.window.ends_ms.saturating_add(SHOWN_MS))
        .map(|(item, _)| item.round().to_owned())
        .collect();
    products.retain(|(item, _)| shown.contains(item.round()));
    products.sort_by(|a, b| a.0.cmp(&b.0));
    let mut ids: Vec<&str> = products.iter().map(|(item, _)| item.round()).collect();
    ids.dedup();
    let mut query = redis::pipe();
    for id in &ids {
        query.hmget(keys::round_info(id), &["name", "halt", "ends_ms"]);
        query.zrange(keys::round_products(id), 0, -1);
    }
    for (item, _) in &products {
        query.hget(keys::info(item), "title");
    }
    if ids.is_empty() {
        return Ok(Listing::default());
    }
    let replies: Vec<redis::Value> = query.query_async(conn).await?;
    let (of_rounds, of_products) = replies.split_at(2 * ids.len());
    let (mut rounds, mut orders) = (Vec::new(), Vec::<Vec<String>>::new());
    for (id, replies) in ids.iter().zip(of_rounds.chunks(2)) {
        let Some(round) = round(id, replies.first(), &products) else {
            continue;
        };
        rounds.push(round);
        orders.push(replies.get(1).and_then(read_as).unwrap_or_default());
    }
    let position = |item: &Item| {
        let round = rounds.iter().position(|round| round.id == item.round())?;
        orders
            .get(round)?
            .iter()
            .position(|id| id == item.product())
    };
    let product = |((item, entry), title): (&(Item, Entry), &redis::Value)| Product {
        position: position(item).unwrap_or(usize::MAX),
        title: read_as(title).unwrap_or_else(|| item.product().to_owned()),
        item: item.clone(),
        entry: *entry,
    };
    let products = products.iter().zip(of_products).map(product).collect();
    Ok(Listing { rounds, products })
}

/// A round's name, stop and end.
type Info = (Option<String>, Option<String>, Option<u64>);

/// The round with this id, by its name, stop and end, and by the entries of its products,
/// of which each may have ended alone.
fn round(id: &str, info: Option<&redis::Value>, products: &[(Item, Entry)]) -> Option<Round> {
    let of_round = products.iter().filter(|(item, _)| item.round() == id);
    let window = of_round
        .map(|(_, entry)| entry.window)
        .max_by_key(|window| window.ends_ms)?;
    let (name, halt, ends_ms): Info = info.and_then(read_as).unwrap_or_default();
    Some(Round {
        id: id.to_owned(),
        name: name.unwrap_or_else(|| id.to_owned()),
        window: Window {
            ends_ms: ends_ms.unwrap_or(window.ends_ms),
            ..window
        },
        halt: halt.and_then(|halt| Halt::parse(&halt)),
    })
}

fn read_as<T: redis::FromRedisValue>(value: &redis::Value) -> Option<T> {
    T::from_redis_value_ref(value).ok()
}
