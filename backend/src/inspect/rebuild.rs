//! Puts stock back after its Redis lost it: emptied, or restored from an older
//! snapshot.
//!
//! The database is what survived: the approved rounds with what was set aside for
//! them, the ledger's archive and the orders. [`seckill_core::stock::rebuild`] decides what
//! follows from these; here it is carried out, segment by segment, each in one step
//! that is refused if anything happened there since it was decided. Then come the
//! permits, and last the catalogue, by which the edges begin to sell.

use jiff::tz::TimeZone;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;

use crate::inspect::verify;
use crate::inspect::verify::VerifyError;
use crate::inspect::verify::gather;
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError};
use crate::sale::publish::{self, PublishError};
use crate::store::orders::{Order, StockDue};
use crate::store::round::{Product, Round};
use crate::store::{Store, StoreError};

/// What is beside what must be.
mod outcome;
/// What is told of it.
mod report;
/// What is written to Redis.
mod write;

use outcome::Outcome;
pub use report::{Rebuilt, Report, SegmentRebuilt};

/// Plans of one product that may be overtaken by sales before it is given up.
const ATTEMPTS: u32 = 20;

/// Why stock was not, or not wholly, put back.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Somebody sells by this Redis.
    #[error(
        "the sale runs on this Redis ({0}); stop its edges and back ends first, or say \
         --while-running if they cannot be stopped: each segment is put back in one step, but what \
         was sold from wrong stock until then stays sold"
    )]
    Running(String),
    /// Nothing of this name was ever on sale.
    #[error("no approved round is called \"{0}\"; \"seckill status\" shows what there is")]
    NoSuchRound(String),
    /// An id that no key can be built of.
    #[error("round \"{0}\", product \"{1}\": these ids cannot stand in a key")]
    Ids(String, String),
    /// It sells faster than it can be planned.
    #[error("{0} changes while it is put back; stop its edges and back ends, and try again")]
    Moving(Item),
    /// Reading failed.
    #[error("the stock was not wholly put back: {0}; give the same command again")]
    Read(#[from] VerifyError),
    /// Redis failed.
    #[error("the stock was not wholly put back: {0}; give the same command again")]
    Link(#[from] RedisLinkError),
    /// The database failed.
    #[error("the stock was not wholly put back: {0}; give the same command again")]
    Store(#[from] StoreError),
    /// The catalogue is not written.
    #[error("the stock was put back, but is not on sale: {0}; give the same command again")]
    Publish(#[from] PublishError),
}

impl From<redis::RedisError> for RebuildError {
    fn from(error: redis::RedisError) -> Self {
        Self::Link(error.into())
    }
}

/// What is to be put back, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only this round.
    pub round: Option<String>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Also if somebody sells by this Redis.
    pub while_running: bool,
}

/// What rebuilding needs.
#[derive(Clone, Copy)]
pub struct Rebuilder<'a> {
    /// The database.
    pub store: &'a Store,
    /// The main Redis.
    pub redis: &'a RedisLink,
    /// Where the stock lies.
    pub segments: &'a Segments,
    /// Whose midnight separates the days.
    pub zone: &'a TimeZone,
    /// Whether the queue of orders is in Redis, where it can be looked into.
    pub queue_is_visible: bool,
}

impl Rebuilder<'_> {
    /// Puts back whatever differs from what the database knows. Doing it again
    /// does nothing more.
    ///
    /// # Errors
    /// [`RebuildError`]; what was put back stays, and the next call goes on.
    pub async fn rebuild(&self, options: &Options) -> Result<Report, RebuildError> {
        if !options.dry_run && !options.while_running {
            self.refuse_running().await?;
        }
        let asked = |id: &str| options.round.as_ref().is_none_or(|round| round == id);
        let mut rounds = self.store.rounds().await?;
        rounds.retain(|stored| stored.published_ms.is_some() && asked(&stored.round.id));
        if let (Some(round), []) = (&options.round, rounds.as_slice()) {
            return Err(RebuildError::NoSuchRound(round.clone()));
        }
        let mut report = Report::default();
        for stored in rounds {
            let round = stored.in_force();
            let on_sale = self.is_on_sale(&round).await?;
            for product in &round.products {
                let rebuilt = self.product(&round, product, on_sale, options.dry_run);
                report.products.extend(rebuilt.await?);
            }
            if !on_sale {
                report.published.push(round.id.clone());
                if !options.dry_run {
                    self.publish(&round).await?;
                }
            }
        }
        Ok(report)
    }

    async fn refuse_running(&self) -> Result<(), RebuildError> {
        let mut conn = self.redis.conn().await?;
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut conn).await?;
        let now_ms = seconds * 1000 + micros / 1000;
        let (edges, relay): (u64, bool) = redis::pipe()
            .zcount(keys::EDGES, now_ms, "+inf")
            .exists(keys::RECLAIMER)
            .query_async(&mut conn)
            .await?;
        let signs = [
            (edges > 0).then(|| format!("living edges: {edges}")),
            relay.then(|| "a relay is at work".to_owned()),
        ];
        let signs: Vec<String> = signs.into_iter().flatten().collect();
        match signs.is_empty() {
            true => Ok(()),
            false => Err(RebuildError::Running(signs.join(", "))),
        }
    }

    /// Whether the catalogue has the whole round as it sells.
    async fn is_on_sale(&self, round: &Round) -> Result<bool, RebuildError> {
        let mut conn = self.redis.conn().await?;
        for product in &round.products {
            let item = item(round, product)?;
            let (line, limit): (Option<String>, Option<u64>) = redis::pipe()
                .hget(keys::CATALOGUE, item.to_string())
                .hget(keys::info(&item), keys::INFO_LIMIT)
                .query_async(&mut conn)
                .await?;
            let line = line.and_then(|text| Entry::parse(&text).ok());
            if line != Some(publish::entry(round, product)) || limit != Some(product.amount) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Edges and back ends compare versions of the catalogue: what is restored must
    /// not bear one that they have seen.
    async fn publish(&self, round: &Round) -> Result<(), RebuildError> {
        let mut conn = self.redis.conn().await?;
        let mut leap = redis::cmd("HINCRBY");
        leap.arg(keys::CATALOGUE).arg(keys::CATALOGUE_VERSION);
        leap.arg(crate::now_ms() / 1000)
            .exec_async(&mut conn)
            .await?;
        publish::publish(self.redis, self.segments, round, self.zone, true).await?;
        Ok(())
    }

    async fn product(
        &self,
        round: &Round,
        product: &Product,
        on_sale: bool,
        dry_run: bool,
    ) -> Result<Option<Rebuilt>, RebuildError> {
        let (item, entry) = (item(round, product)?, publish::entry(round, product));
        let system = verify::System {
            store: self.store,
            redis: self.redis,
            segments: self.segments,
            queue_is_visible: self.queue_is_visible,
            pause: verify::PAUSE,
        };
        for _ in 0..ATTEMPTS {
            let state = gather::gather(system, &item, &entry).await?;
            let outcome = Outcome::of(&state, product);
            if outcome.is_right(on_sale) {
                return Ok(None);
            }
            if dry_run {
                return Ok(Some(outcome.told()));
            }
            if self.carry_out(&item, &outcome).await? {
                return Ok(Some(outcome.told()));
            }
        }
        Err(RebuildError::Moving(item))
    }

    /// Returns whether nothing came between.
    async fn carry_out(&self, item: &Item, outcome: &Outcome<'_>) -> Result<bool, RebuildError> {
        for (segment, plan) in outcome.wrong() {
            let spent = outcome.spent(segment, plan);
            let mut conn = self.segments.conn(item, segment.id.number).await?;
            if !write::segment(&mut conn, segment, plan, &spent).await? {
                return Ok(false);
            }
            write::redriven(&mut conn, &segment.id, plan).await?;
        }
        let mut conn = self.redis.conn().await?;
        if !write::permits(&mut conn, item, &outcome.permits()).await? {
            return Ok(false);
        }
        // Their stock has followed by now, or is about to.
        let lost = outcome.state.orders.iter();
        let lost: Vec<&Order> = lost
            .filter(|order| order.stock_due == Some(StockDue::Lost))
            .collect();
        self.store.stock_followed(&lost, None).await?;
        Ok(true)
    }
}

fn item(round: &Round, product: &Product) -> Result<Item, RebuildError> {
    Item::new(&round.id, &product.id)
        .ok_or_else(|| RebuildError::Ids(round.id.clone(), product.id.clone()))
}
