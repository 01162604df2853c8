//! The status of a system: its parts, its rounds, its queue.

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, RedisError};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::window::{Phase, Window};
use serde::Serialize;

use crate::config::running::RunningSystem;
use crate::config::{Config, QueueKind};
use crate::now_ms;
use crate::pages::report;
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError};
use crate::store::Store;
use crate::store::notifications::NotificationCount;
use crate::store::round::{Product, RoundState, StoredRound};
use crate::store::stop::StopKind;
use crate::store::tally::OrderCount;

/// The parts, and which of them serve.
mod parts;
/// The report as a table for people.
mod table;

/// The whole report.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The "seckill up" that runs in the data folder; `None` if none does.
    pub running: Option<Running>,
    /// Whether `seckill up` runs or would run this system.
    #[serde(skip)]
    pub is_of_up: bool,
    /// Parts of the system.
    pub parts: Vec<Part>,
    /// Rounds, by start.
    pub rounds: Vec<RoundStatus>,
    /// Messages that wait in the queue or are being worked on; `None` without
    /// Redis, and with RocketMQ, which has tools of its own for that.
    pub queue: Option<u64>,
    /// How long the messages that the workers took last had waited, in ms;
    /// `None` if no worker has polled for ten seconds. Up to 20,000 is normal.
    pub queue_age_ms: Option<u64>,
    /// Dead letters; `None` without Redis.
    pub dead_letters: Option<u64>,
    /// The latest reports of the renderers.
    pub renderers: Vec<report::Report>,
    /// Notices to buyers that wait or were given up; `None` without the database.
    pub notices: Option<NotificationCount>,
}

/// A system that "seckill up" runs.
#[derive(Debug, Serialize)]
pub struct Running {
    /// The process.
    pub pid: u32,
    /// When it started, epoch milliseconds.
    pub started_ms: u64,
}

/// One part of the system.
#[derive(Debug, Serialize)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Whether it serves; `None` if it is not on this machine, or nothing says where it is.
    pub up: Option<bool>,
    /// Where it should listen.
    pub address: String,
}

/// One round.
#[derive(Debug, Serialize)]
pub struct RoundStatus {
    /// Its id.
    pub id: String,
    /// What shoppers call it.
    pub name: String,
    /// `draft`, `approved` (but not wholly in Redis), `scheduled`, `open` or `ended`.
    pub state: &'static str,
    /// Start, epoch milliseconds.
    pub starts_ms: u64,
    /// End, epoch milliseconds.
    pub ends_ms: u64,
    /// In the order in which they are shown.
    pub products: Vec<ProductStatus>,
}

/// One product in a round. Numbers of Redis are `None` if it is away or the
/// round is a draft.
#[derive(Debug, Serialize)]
pub struct ProductStatus {
    /// Its id.
    pub id: String,
    /// What shoppers call it.
    pub title: String,
    /// How an operator stopped this product alone; `None` if nobody did.
    pub stop: Option<StopKind>,
    /// Items for sale in all.
    pub amount: u64,
    /// Segments whose Redis is away, and that are left out of the numbers below.
    pub segments_away: u16,
    /// How many permits the edges may grant.
    pub limit: Option<u64>,
    /// Permits granted and not returned.
    pub permits: Option<u64>,
    /// Items still for sale.
    pub sale: Option<u64>,
    /// Items in orders that are not paid.
    pub locked: Option<u64>,
    /// Items paid.
    pub saled: Option<u64>,
    /// Events that wait for the relay.
    pub outbox: Option<u64>,
    /// Live orders in the database.
    pub orders: u64,
    /// Items in them.
    pub ordered_items: u64,
}

/// The name of the part that knows the rounds.
const DATABASE: &str = "database";
/// The name of each edge.
const EDGE: &str = "edge";
/// The name of each Redis that holds stock besides the main one.
const SEGMENTS: &str = "segments";

impl Status {
    /// The parts that should serve and do not.
    pub fn away(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.up == Some(false))
    }

    /// Whether the database said which rounds there are.
    #[must_use]
    pub fn knows_rounds(&self) -> bool {
        self.away().all(|part| part.name != DATABASE)
    }

    /// The report for people.
    #[must_use]
    pub fn table(&self) -> String {
        table::of(self)
    }
}

/// Requests the state of every part. A part that is away is a line of the report, not
/// a failure.
pub async fn read(config: &Config) -> Status {
    let redis = RedisLink::lazy(&config.redis_url).ok();
    let mut conn = match &redis {
        Some(redis) => redis.conn().await.ok(),
        None => None,
    };
    let segments = redis
        .as_ref()
        .and_then(|redis| Segments::open(redis, &config.redis_segments).ok());
    let store = open_existing(config).await;
    let rounds = match &store {
        Some(store) => rounds(store, conn.as_mut().zip(segments.as_ref())).await,
        None => None,
    };
    let running = RunningSystem::find(&config.data);
    let mut parts = parts::servers(config, running.as_ref()).await;
    parts.extend(parts::stores(config, conn.is_some(), segments.as_ref(), rounds.is_some()).await);
    let in_streams = config.queue == QueueKind::Streams;
    let renderers = match conn.as_mut() {
        Some(conn) => report::read(conn).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let (queue, queue_age_ms, dead_letters) = match conn.as_mut() {
        Some(conn) => (
            length(conn, keys::QUEUE_ORDERS)
                .await
                .ok()
                .filter(|_| in_streams),
            conn.get(keys::QUEUE_AGE).await.ok().flatten(),
            length(conn, keys::QUEUE_DEAD_LETTERS).await.ok(),
        ),
        None => (None, None, None),
    };
    let notices = match &store {
        Some(store) => store.count_notifications().await.ok(),
        None => None,
    };
    if let Some(store) = store {
        store.close().await;
    }
    Status {
        is_of_up: parts::are_of_up(config, running.as_ref()),
        running: running.map(|it| Running {
            pid: it.pid,
            started_ms: it.started_ms,
        }),
        parts,
        rounds: rounds.unwrap_or_default(),
        queue,
        queue_age_ms,
        dead_letters,
        renderers,
        notices,
    }
}

/// The database, if there is one: reading the status must not create one.
async fn open_existing(config: &Config) -> Option<Store> {
    if config.missing_database().is_some() {
        return None;
    }
    Store::open_sharded(&config.database_url, &config.order_databases)
        .await
        .ok()
}

async fn rounds(
    store: &Store,
    mut redis: Option<(&mut MultiplexedConnection, &Segments)>,
) -> Option<Vec<RoundStatus>> {
    let stored = store.rounds().await.ok()?;
    let orders = store.order_counts().await.ok()?;
    let now_ms = now_ms();
    let mut rounds = Vec::new();
    for stored in stored {
        let round = stored.in_force();
        let shown = stored.shown_state(now_ms);
        let StoredRound {
            state,
            published_ms,
            stops,
            ..
        } = stored;
        let window = Window {
            opens_ms: round.opens_ms,
            ends_ms: round.ends_ms,
        };
        let state = match (state, published_ms) {
            (RoundState::Draft | RoundState::Submitted | RoundState::Rejected, _) => state.as_str(),
            (RoundState::Approved, None) => "approved",
            (RoundState::Approved, Some(_)) if stops.round.is_some() => shown,
            (RoundState::Approved, Some(_)) => match window.phase(now_ms) {
                Phase::Scheduled | Phase::Lead => "scheduled",
                Phase::Open => "open",
                Phase::Ended => "ended",
            },
        };
        let mut products = Vec::new();
        for product in round.products {
            let key = (round.id.clone(), product.id.clone());
            let count = orders.get(&key).copied().unwrap_or_default();
            let redis = redis
                .as_mut()
                .map(|(conn, segments)| (&mut **conn, *segments));
            let stop = stops.products.get(&product.id).map(|stop| stop.kind);
            let status = product_status(&round.id, product, count, redis).await;
            products.push(ProductStatus { stop, ..status });
        }
        rounds.push(RoundStatus {
            id: round.id,
            name: round.name,
            state,
            starts_ms: round.opens_ms,
            ends_ms: round.ends_ms,
            products,
        });
    }
    Some(rounds)
}

async fn product_status(
    round: &str,
    product: Product,
    count: OrderCount,
    redis: Option<(&mut MultiplexedConnection, &Segments)>,
) -> ProductStatus {
    let numbers = match (redis, Item::new(round, &product.id)) {
        (Some((conn, segments)), Some(item)) => {
            numbers(conn, segments, &item).await.unwrap_or_default()
        }
        _ => Numbers::default(),
    };
    ProductStatus {
        id: product.id,
        title: product.title,
        stop: None,
        amount: product.amount,
        segments_away: numbers.away,
        limit: numbers.limit,
        permits: numbers.permits,
        sale: numbers.stock.0,
        locked: numbers.stock.1,
        saled: numbers.stock.2,
        outbox: numbers.outbox,
        orders: count.orders,
        ordered_items: count.items,
    }
}

/// Items for sale, locked and sold.
type Amounts = (Option<u64>, Option<u64>, Option<u64>);

/// What Redis holds of a product.
#[derive(Default)]
struct Numbers {
    limit: Option<u64>,
    permits: Option<u64>,
    stock: Amounts,
    outbox: Option<u64>,
    /// Segments that could not be read.
    away: u16,
}

async fn numbers(
    conn: &mut MultiplexedConnection,
    segments: &Segments,
    item: &Item,
) -> Result<Numbers, RedisLinkError> {
    let (limit, count, permits): (Option<u64>, Option<u16>, Option<u64>) = redis::pipe()
        .hget(keys::info(item), "limit")
        .hget(keys::info(item), "segments")
        .get(keys::permits(item))
        .query_async(conn)
        .await?;
    let (mut stock, mut outbox, mut away) = ((None, None, None), 0, 0);
    for segment in 1..=count.unwrap_or(0) {
        let Ok((amounts, length)) = segment_numbers(segments, item, segment).await else {
            away += 1;
            continue;
        };
        stock = (
            added(stock.0, amounts.0),
            added(stock.1, amounts.1),
            added(stock.2, amounts.2),
        );
        outbox += length;
    }
    // No permit was granted as long as there is no counter.
    let permits = limit.map(|_| permits.unwrap_or(0));
    Ok(Numbers {
        limit,
        permits,
        stock,
        outbox: limit.map(|_| outbox),
        away,
    })
}

/// The amounts of one segment, and its events that wait.
async fn segment_numbers(
    segments: &Segments,
    item: &Item,
    segment: u16,
) -> Result<(Amounts, u64), RedisLinkError> {
    let fields = [
        "sale_stock_amount",
        "locked_stock_amount",
        "saled_stock_amount",
    ];
    let mut conn = segments.conn(item, segment).await?;
    let numbers = redis::pipe()
        .hmget(keys::stock(item, segment), &fields)
        .xlen(keys::outbox(item, segment))
        .query_async(&mut conn)
        .await?;
    Ok(numbers)
}

fn added(sum: Option<u64>, more: Option<u64>) -> Option<u64> {
    more.map(|more| sum.unwrap_or(0) + more).or(sum)
}

async fn length(conn: &mut MultiplexedConnection, stream: &str) -> Result<u64, RedisError> {
    conn.xlen(stream).await
}
