//! What the board shows: the products of rounds that run, are to come, or ended
//! a while ago, with their names.

use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::window::{Phase, Window};

use crate::redis::RedisLinkError;
use crate::sale::catalogue;

/// How long after its end a round is shown, in ms.
const SHOWN_MS: u64 = 24 * 3_600_000;
/// How long after its end a round is looked at as often as one that runs, in ms:
/// orders are still paid, or lapse.
const WARM_MS: u64 = 20 * 60_000;

/// A product on the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shelf {
    /// Round and product.
    pub(super) item: Item,
    /// When it sells, and how many segments it has.
    pub(super) entry: Entry,
    /// What shoppers call it.
    pub(super) title: String,
    /// Where it stands in its round.
    pub(super) position: usize,
}

impl Shelf {
    /// Whether its numbers hardly change any more.
    pub(super) fn is_cold(&self, now_ms: u64) -> bool {
        now_ms > self.entry.window.ends_ms.saturating_add(WARM_MS)
    }
}

/// A round on the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    /// Its id.
    pub(super) id: String,
    /// What shoppers call it.
    pub(super) name: String,
    /// When it sells.
    pub(super) window: Window,
}

impl Heading {
    /// `scheduled`, `open` or `ended`.
    pub(super) fn state(&self, now_ms: u64) -> &'static str {
        match self.window.phase(now_ms) {
            Phase::Scheduled | Phase::Lead => "scheduled",
            Phase::Open => "open",
            Phase::Ended => "ended",
        }
    }
}

/// All of them, as of one version of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shelves {
    /// Rounds.
    pub(super) rounds: Vec<Heading>,
    /// Products.
    pub(super) products: Vec<Shelf>,
}

/// Reads what is to be shown now.
///
/// # Errors
/// Redis is away, or a key holds something else.
pub(super) async fn read(
    conn: &mut MultiplexedConnection,
    now_ms: u64,
) -> Result<Shelves, RedisLinkError> {
    let mut products: Vec<(Item, Entry)> = catalogue::read(conn)
        .await?
        .into_iter()
        .filter(|(_, entry)| now_ms <= entry.window.ends_ms.saturating_add(SHOWN_MS))
        .collect();
    products.sort_by(|a, b| a.0.cmp(&b.0));
    let mut ids: Vec<&str> = products.iter().map(|(item, _)| item.round()).collect();
    ids.dedup();
    let mut ask = redis::pipe();
    for id in &ids {
        ask.hget(keys::round_info(id), "name");
        ask.zrange(keys::round_products(id), 0, -1);
    }
    for (item, _) in &products {
        ask.hget(keys::info(item), "title");
    }
    if ids.is_empty() {
        return Ok(Shelves::default());
    }
    let replies: Vec<redis::Value> = ask.query_async(conn).await?;
    let (of_rounds, of_products) = replies.split_at(2 * ids.len());
    let (mut rounds, mut orders) = (Vec::new(), Vec::new());
    for (id, told) in ids.iter().zip(of_rounds.chunks(2)) {
        let window = products.iter().find(|(item, _)| item.round() == *id);
        let Some(window) = window.map(|(_, entry)| entry.window) else {
            continue;
        };
        let name: Option<String> = told.first().and_then(read_as);
        let order: Vec<String> = told.get(1).and_then(read_as).unwrap_or_default();
        rounds.push(Heading {
            id: (*id).to_owned(),
            name: name.unwrap_or_else(|| (*id).to_owned()),
            window,
        });
        orders.push(order);
    }
    let position = |item: &Item| {
        let round = rounds.iter().position(|round| round.id == item.round())?;
        orders
            .get(round)?
            .iter()
            .position(|id| id == item.product())
    };
    let shelf = |((item, entry), title): (&(Item, Entry), &redis::Value)| Shelf {
        position: position(item).unwrap_or(usize::MAX),
        title: read_as(title).unwrap_or_else(|| item.product().to_owned()),
        item: item.clone(),
        entry: *entry,
    };
    let products = products.iter().zip(of_products).map(shelf).collect();
    Ok(Shelves { rounds, products })
}

fn read_as<T: redis::FromRedisValue>(value: &redis::Value) -> Option<T> {
    T::from_redis_value_ref(value).ok()
}
