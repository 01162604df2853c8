//! The stock script beside the strategies that were rejected: the same load on the same
//! Redis; throughput, latency and what it costs Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::report::Latency;

/// The script, and the strategies that were rejected.
pub mod strategies;
/// The rounds summed up, as rows, table and plot.
pub mod summary;

use strategies::{Queue, SaleResult, Seller, Strategy};

/// How long Redis may take for a reply: putting millions of tokens into a list,
/// or removing what the strategy before has left, holds it up for a while.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// How to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// The Redis to use; its keys of this bench are removed.
    pub url: String,
    /// Buyers at once, each on a connection of their own.
    pub clients: u64,
    /// How long each strategy is measured.
    pub time: Duration,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum StockError {
    /// Redis is away or refuses.
    #[error("Redis at {url}: {source}")]
    Redis {
        /// Its address.
        url: String,
        /// The reason.
        source: RedisError,
    },
    /// A strategy sold too much, too little, or twice.
    #[error(
        "{way} sold {sold} items of {amount} to {buyers} buyers, with {messages} messages; it is wrong"
    )]
    Wrong {
        /// The strategy.
        way: &'static str,
        /// Items there were.
        amount: u64,
        /// Items that buyers were answered they have.
        sold: u64,
        /// Buyers on record.
        buyers: u64,
        /// Order messages.
        messages: u64,
    },
    /// A task of this program panicked.
    #[error("a buyer was lost: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The figures of one strategy.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub way: &'static str,
    /// Whether several processes may sell by it.
    pub across_processes: bool,
    /// Whether nothing is lost when a seller dies in the middle.
    pub survives_a_crash: bool,
    /// Why it is not used.
    pub rejected_for: &'static str,
    /// Items sold a second.
    pub sold_per_second: f64,
    /// How long a buyer waited, ms.
    pub latency_ms: Latency,
    /// Commands sent to Redis for an item sold.
    pub commands: f64,
    /// Replies of Redis waited for, for an item sold.
    pub round_trips: f64,
    /// Redis's CPU for an item sold, microseconds.
    pub redis_cpu_us: f64,
}

/// Measures one strategy, after it has proved that it sells right.
///
/// # Errors
/// [`StockError`].
pub async fn measure(way: Strategy, options: &Options) -> Result<Row, StockError> {
    let bench = Harness::open(options).map_err(|source| options.failed(source))?;
    bench.prove(way).await?;
    bench.time(way).await
}

impl Options {
    fn failed(&self, source: RedisError) -> StockError {
        let url = self.url.clone();
        StockError::Redis { url, source }
    }
}

struct Harness<'a> {
    options: &'a Options,
    client: Client,
}

/// The sums over a crowd of buyers.
#[derive(Default)]
struct Totals {
    sold: u64,
    commands: u64,
    trips: u64,
    latencies_us: Vec<u64>,
}

impl<'a> Harness<'a> {
    fn open(options: &'a Options) -> RedisResult<Self> {
        let client = Client::open(options.url.as_str())?;
        Ok(Self { options, client })
    }

    async fn conn(&self) -> Result<MultiplexedConnection, StockError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REPLY_TIMEOUT))
            .set_response_timeout(Some(REPLY_TIMEOUT));
        let conn = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await;
        conn.map_err(|source| self.options.failed(source))
    }

    /// Every buyer clicks twice at once, there are fewer items than buyers, and
    /// sellers share nothing but Redis, as those of several processes would.
    async fn prove(&self, way: Strategy) -> Result<(), StockError> {
        const AMOUNT: u64 = 150;
        const BUYERS: u64 = 400;
        let mut conn = self.prepare(way, AMOUNT).await?;
        let line = strategies::open_queue(AMOUNT);
        let mut clicks = JoinSet::new();
        let clients = self.options.clients.min(32);
        for client in 0..clients {
            let mut seller = self.seller(way, &line, client).await?;
            clicks.spawn(async move {
                let mut sold = 0;
                for click in (client..BUYERS * 2).step_by(clients as usize) {
                    let user = format!("u{}", click % BUYERS);
                    let answer = seller.sell(&user, &format!("r{click}")).await?;
                    sold += u64::from(answer == SaleResult::Sold);
                }
                Ok::<_, RedisError>(sold)
            });
        }
        let mut sold = 0;
        while let Some(done) = clicks.join_next().await {
            sold += done?.map_err(|source| self.options.failed(source))?;
        }
        let (buyers, messages) = match way {
            // Nothing of it is in Redis.
            Strategy::Fifo => (AMOUNT, AMOUNT),
            _ => redis::pipe()
                .hlen(&strategies::KEYS.buyers)
                .xlen(&strategies::KEYS.outbox)
                .query_async(&mut conn)
                .await
                .map_err(|source| self.options.failed(source))?,
        };
        if (sold, buyers, messages) == (AMOUNT, AMOUNT, AMOUNT) {
            return Ok(());
        }
        Err(StockError::Wrong {
            way: way.name(),
            amount: AMOUNT,
            sold,
            buyers,
            messages,
        })
    }

    /// More items than anybody can sell in the time, a new buyer at every click.
    async fn time(&self, way: Strategy) -> Result<Row, StockError> {
        const AMOUNT: u64 = 4_000_000;
        let mut conn = self.prepare(way, AMOUNT).await?;
        self.settle(&mut conn).await?;
        let line = strategies::open_queue(AMOUNT);
        let (stop, next) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        // All are there before the first one sells: a line in memory would leave the
        // others no time to connect.
        let mut sellers = Vec::new();
        for client in 0..self.options.clients {
            sellers.push(self.seller(way, &line, client).await?);
        }
        let before = self.redis_cpu(&mut conn).await?;
        let began = Instant::now();
        let mut clicks = JoinSet::new();
        for seller in sellers {
            clicks.spawn(shop(seller, Arc::clone(&stop), Arc::clone(&next)));
        }
        tokio::time::sleep(self.options.time).await;
        stop.store(true, Ordering::Relaxed);
        let mut all = Totals::default();
        while let Some(done) = clicks.join_next().await {
            let one = done?.map_err(|source| self.options.failed(source))?;
            all.sold += one.sold;
            all.commands += one.commands;
            all.trips += one.trips;
            all.latencies_us.extend(one.latencies_us);
        }
        let elapsed = began.elapsed();
        let cpu = self.redis_cpu(&mut conn).await? - before;
        self.prepare(way, 0).await?;
        let sold = all.sold.max(1) as f64;
        Ok(Row {
            way: way.name(),
            across_processes: way.works_across_processes(),
            survives_a_crash: way.survives_a_crash(),
            rejected_for: way.rejected_for(),
            sold_per_second: all.sold as f64 / elapsed.as_secs_f64(),
            latency_ms: Latency::of(all.latencies_us),
            commands: all.commands as f64 / sold,
            round_trips: all.trips as f64 / sold,
            redis_cpu_us: match way {
                // What Redis does beside is not its.
                Strategy::Fifo => 0.0,
                _ => cpu * 1e6 / sold,
            },
        })
    }

    async fn prepare(
        &self,
        way: Strategy,
        amount: u64,
    ) -> Result<MultiplexedConnection, StockError> {
        let mut conn = self.conn().await?;
        let prepared = async {
            strategies::load(&mut conn).await?;
            way.prepare(&mut conn, amount).await
        };
        prepared
            .await
            .map_err(|source| self.options.failed(source))?;
        Ok(conn)
    }

    /// Waits until Redis has freed what was removed, which a thread of its own
    /// does on the core that is measured.
    async fn settle(&self, conn: &mut MultiplexedConnection) -> Result<(), StockError> {
        while self
            .info(conn, "memory", "lazyfree_pending_objects:")
            .await?
            > 0.0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn seller(&self, way: Strategy, line: &Queue, number: u64) -> Result<Seller, StockError> {
        Ok(Seller::new(
            way,
            self.conn().await?,
            Some(line.clone()),
            number,
        ))
    }

    /// Seconds of CPU that Redis has used.
    async fn redis_cpu(&self, conn: &mut MultiplexedConnection) -> Result<f64, StockError> {
        let user = self.info(conn, "cpu", "used_cpu_user:").await?;
        Ok(user + self.info(conn, "cpu", "used_cpu_sys:").await?)
    }

    /// A number that Redis reports of itself, 0 if it does not.
    async fn info(
        &self,
        conn: &mut MultiplexedConnection,
        section: &str,
        name: &str,
    ) -> Result<f64, StockError> {
        let info: RedisResult<String> = redis::cmd("INFO").arg(section).query_async(conn).await;
        let info = info.map_err(|source| self.options.failed(source))?;
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        Ok(line
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0.0))
    }
}

/// One buyer after another, until `stop` is set.
async fn shop(
    mut seller: Seller,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
) -> RedisResult<Totals> {
    let mut crowd = Totals::default();
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let (user, request) = (format!("buyer{number}"), format!("request{number}"));
        let clicked = Instant::now();
        if seller.sell(&user, &request).await? == SaleResult::Sold {
            crowd.sold += 1;
        }
        let took = clicked.elapsed().as_micros();
        crowd
            .latencies_us
            .push(u64::try_from(took).unwrap_or(u64::MAX));
        // A line in memory never waits for the network; the others must have their turn.
        tokio::task::consume_budget().await;
    }
    crowd.commands = seller.commands;
    crowd.trips = seller.trips;
    Ok(crowd)
}
