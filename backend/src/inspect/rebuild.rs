//! Rebuilds stock after its Redis was emptied or restored from an older snapshot.
//!
//! The database has survived: the approved rounds with the amounts set aside, the
//! ledger's archive and the orders. [`seckill_core::stock::rebuild`] plans from these;
//! here the plan is carried out segment by segment, each in one step that is refused
//! if the segment has changed since it was read. Then come the permits, and last the
//! catalogue, by which the edges begin to sell.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;

use crate::inspect::verify;
use crate::inspect::verify::VerifyError;
use crate::inspect::verify::gather::{self, ProductState};
use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::sale::publish::{self, PublishError};
use crate::stock::reopening;
use crate::stock::sites::moves::{MoveError, Mover};
use crate::store::orders::{Order, StockDue};
use crate::store::round::{Product, Round, StoredRound};
use crate::store::stop::Stops;
use crate::store::{Store, StoreError};

/// Compares the state of a product with its plan.
mod outcome;
/// Segments that replay journals before they sell to everybody.
pub(super) mod replays;
/// The report of a rebuild.
mod report;
/// Writes a plan to Redis.
mod write;

use outcome::Outcome;
use replays::Replays;
pub use report::{Rebuilt, Report, SegmentRebuilt};

/// Attempts for one product while sales change it meanwhile.
const ATTEMPTS: u32 = 20;

/// Why stock was not rebuilt, or only partly.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Edges or back ends sell from this Redis.
    #[error(
        "the sale runs on this Redis ({0}); stop its edges and back ends first, or say \
         --while-running if they cannot be stopped: each segment is put back in one step, but what \
         was sold from wrong stock until then stays sold"
    )]
    Running(String),
    /// No round of this id was ever on sale.
    #[error("no approved round is called \"{0}\"; \"seckill status\" shows what there is")]
    NoSuchRound(String),
    /// An id from which no key can be built.
    #[error("round \"{0}\", product \"{1}\": these ids cannot be used in a key")]
    Ids(String, String),
    /// It changes faster than it can be rebuilt.
    #[error("{0} changes while it is put back; stop its edges and back ends, and try again")]
    Moving(Item),
    /// The stock is there, where the configuration does not look for it.
    #[error(
        "segment {segment} has its stock on {has}, and redis_segments leads to {wanted}, which has none: \
         give the list the order that it had when the round was approved"
    )]
    Elsewhere {
        /// The segment.
        segment: Segment,
        /// Where its stock is.
        has: String,
        /// Where the configuration has it.
        wanted: String,
    },
    /// Ledger and orders do not account for every item.
    #[error(
        "{item} stays halted: ledger and orders do not account for every item ({why}); look at \"seckill \
         stock rebuild --dry-run\", then give it without --dry-run and with --while-running"
    )]
    NotExact {
        /// The product.
        item: Item,
        /// What does not add up.
        why: String,
    },
    /// Reading failed.
    #[error("the stock was not wholly put back: {0}; give the same command again")]
    Read(#[from] VerifyError),
    /// Redis failed.
    #[error("the stock was not wholly put back: {0}; give the same command again")]
    Link(#[from] RedisLinkError),
    /// The database failed.
    #[error("the stock was not wholly put back: {0}; give the same command again")]
    Store(#[from] StoreError),
    /// A transfer between sites could not be decided.
    #[error("the stock was not wholly put back: {0}; give the same command again")]
    Sites(#[from] MoveError),
    /// The catalogue is not written.
    #[error("the stock was put back, but is not on sale: {0}; give the same command again")]
    Publish(#[from] PublishError),
    /// One of the others, of a product that it does not name.
    #[error("{item}: {source}")]
    Of {
        /// The product.
        item: Item,
        /// What failed.
        source: Box<RebuildError>,
    },
}

impl RebuildError {
    /// Whether a part of it may have been put back.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        !matches!(self, Self::Running(_) | Self::NoSuchRound(_))
    }

    /// The same, with the product in its sentence.
    fn of(self, item: &Item) -> Self {
        match self {
            error @ (Self::Read(_) | Self::Link(_) | Self::Store(_) | Self::Sites(_)) => Self::Of {
                item: item.clone(),
                source: Box::new(error),
            },
            names_it => names_it,
        }
    }

    /// The product that stays as it is until a person decides.
    pub(super) fn undecided(&self) -> Option<&Item> {
        match self {
            Self::NotExact { item, .. } => Some(item),
            Self::Elsewhere { segment, .. } => Some(&segment.item),
            _ => None,
        }
    }
}

impl From<redis::RedisError> for RebuildError {
    fn from(error: redis::RedisError) -> Self {
        Self::Link(error.into())
    }
}

/// The options of a rebuild.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only this round.
    pub round: Option<String>,
    /// Only these products, where their round is on sale; one that is not is put back whole.
    pub products: Option<BTreeSet<Item>>,
    /// Only report what would be done.
    pub dry_run: bool,
    /// Rebuild also while edges or back ends sell from this Redis.
    pub while_running: bool,
    /// Leave a product alone of which ledger and orders do not account for every item.
    pub only_exact: bool,
}

/// What was put back, and why the rest was not.
#[derive(Debug, Default)]
pub struct PutBack {
    /// What was put back, also of products of which the rest failed.
    pub report: Report,
    /// What failed, in the order of the rounds and their products.
    pub failed: Vec<RebuildError>,
}

/// Rebuilds stock.
#[derive(Clone, Copy)]
pub struct Rebuilder<'a> {
    /// The database.
    pub store: &'a Store,
    /// The main Redis.
    pub redis: &'a RedisLink,
    /// The stock's masters.
    pub segments: &'a Segments,
    /// The zone in which days begin and end.
    pub zone: &'a TimeZone,
    /// Whether the queue of orders is in Redis, so that its messages can be read.
    pub queue_is_visible: bool,
}

impl Rebuilder<'_> {
    /// Rebuilds all stock that differs from the database. A repetition changes nothing. One
    /// product that fails keeps no other from being rebuilt and sold again.
    ///
    /// # Errors
    /// [`RebuildError`]: nothing was rebuilt.
    pub async fn rebuild(&self, options: &Options) -> Result<PutBack, RebuildError> {
        let mut replays = Replays::default();
        let mut done = self.put_back(options, &mut replays).await?;
        let ended = replays.until_ended().await;
        done.failed.extend(ended.err().map(Into::into));
        Ok(done)
    }

    /// Rebuilds stock; what was halted of it replays journals from then on.
    pub(super) async fn put_back(
        &self,
        options: &Options,
        replays: &mut Replays,
    ) -> Result<PutBack, RebuildError> {
        if !options.dry_run && !options.while_running {
            self.refuse_running().await?;
        }
        let is_chosen = |id: &str| options.round.as_ref().is_none_or(|round| round == id);
        let mut rounds = self.store.rounds().await?;
        rounds.retain(|stored| stored.published_ms.is_some() && is_chosen(&stored.round.id));
        if let (Some(round), []) = (&options.round, rounds.as_slice()) {
            return Err(RebuildError::NoSuchRound(round.clone()));
        }
        let mut done = PutBack::default();
        for stored in rounds {
            let round = self.round(&stored, options, replays, &mut done);
            if let Err(error) = round.await {
                done.failed.push(error);
            }
        }
        Ok(done)
    }

    /// Rebuilds a round, each product whatever becomes of the others.
    async fn round(
        &self,
        stored: &StoredRound,
        options: &Options,
        replays: &mut Replays,
        done: &mut PutBack,
    ) -> Result<(), RebuildError> {
        if self.store.is_retired(&stored.round.id).await? {
            return Ok(());
        }
        let round = stored.in_force();
        let sold = (&round, &stored.stops);
        let on_sale = self.is_on_sale(sold).await?;
        let failed_before = done.failed.len();
        for product in &round.products {
            let item = match item(&round, product) {
                Ok(item) => item,
                Err(error) => {
                    done.failed.push(error);
                    continue;
                }
            };
            let chosen = options.products.as_ref().filter(|_| on_sale);
            if chosen.is_some_and(|chosen| !chosen.contains(&item)) {
                continue;
            }
            let mut written = Vec::new();
            let rebuilt = self.product((sold, product), on_sale, options, &mut written);
            let rebuilt = rebuilt.await;
            let mut replayed = Ok(());
            match rebuilt {
                Ok(rebuilt) if options.dry_run => done.report.products.extend(rebuilt),
                Ok(rebuilt) => {
                    done.report.products.extend(rebuilt);
                    replayed = self.let_replay(sold, product, replays).await;
                }
                Err(error) => {
                    let partly = (!written.is_empty()).then(|| Rebuilt::partly(&item, written));
                    done.report.products.extend(partly);
                    replayed = Err(error);
                }
            }
            done.failed
                .extend(replayed.err().map(|error| error.of(&item)));
        }
        // A round goes on sale whole, with stock of every product.
        if !on_sale && done.failed.len() == failed_before {
            if !options.dry_run {
                self.publish(sold).await?;
            }
            done.report.published.push(round.id.clone());
        }
        Ok(())
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
    async fn is_on_sale(&self, sold: (&Round, &Stops)) -> Result<bool, RebuildError> {
        let round = sold.0;
        let mut conn = self.redis.conn().await?;
        for product in &round.products {
            let item = item(round, product)?;
            let (line, limit): (Option<String>, Option<u64>) = redis::pipe()
                .hget(keys::CATALOGUE, item.to_string())
                .hget(keys::info(&item), keys::INFO_LIMIT)
                .query_async(&mut conn)
                .await?;
            let line = line.and_then(|text| Entry::parse(&text).ok());
            if line != Some(publish::entry(sold, product)) || limit != Some(product.amount) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Publishes a round under a version of the catalogue that edges and back ends, who
    /// compare versions, cannot have seen.
    async fn publish(&self, (round, stops): (&Round, &Stops)) -> Result<(), RebuildError> {
        let mut conn = self.redis.conn().await?;
        let mut leap = redis::cmd("HINCRBY");
        leap.arg(keys::CATALOGUE).arg(keys::CATALOGUE_VERSION);
        leap.arg(crate::now_ms() / 1000)
            .exec_async(&mut conn)
            .await?;
        let (redis, segments) = (self.redis, self.segments);
        publish::publish(redis, segments, round, stops, self.zone, true).await?;
        Ok(())
    }

    /// Rebuilds a product if it differs. The segments that have their plans are in
    /// `written`, whatever becomes of the others.
    async fn product(
        &self,
        (sold, product): ((&Round, &Stops), &Product),
        on_sale: bool,
        options: &Options,
        written: &mut Vec<SegmentRebuilt>,
    ) -> Result<Option<Rebuilt>, RebuildError> {
        let (item, entry) = (item(sold.0, product)?, publish::entry(sold, product));
        let system = verify::System {
            store: self.store,
            redis: self.redis,
            segments: self.segments,
            queue_is_visible: self.queue_is_visible,
            pause: verify::PAUSE,
        };
        let (mut product, mut is_halted) = (product.clone(), false);
        let share = self.store.share_and_between(&item).await?;
        if !options.dry_run && share.is_some_and(|(_, between)| !between.is_empty()) {
            // Stock and amount differ by what moves between sites: that is decided first.
            self.halt(&item, &entry, "rebuild").await?;
            is_halted = true;
        }
        for _ in 0..ATTEMPTS {
            if is_halted {
                let amount = Mover::decide(self.store, self.segments, &item, &entry).await?;
                product.amount = amount.unwrap_or(product.amount);
            }
            let state = gather::gather(system, &item, &entry).await?;
            self.refuse_elsewhere(&state, options).await?;
            let outcome = Outcome::of(&state, &product);
            if outcome.is_right(on_sale) {
                return Ok(None);
            }
            if let Some(why) = outcome.inexact().filter(|_| options.only_exact) {
                return Err(RebuildError::NotExact { item, why });
            }
            if options.dry_run {
                return Ok(Some(outcome.rebuilt()));
            }
            if !std::mem::replace(&mut is_halted, true) {
                // Nothing is sold from here on; what was sold until then is read again.
                self.halt(&item, &entry, "rebuild").await?;
                continue;
            }
            // More may be for sale afterwards than edges know of.
            let change = [(item.clone(), vec!["rebuild".to_owned()])];
            reopening::announce(self.redis, &change).await?;
            let is_done = self.carry_out(&item, &outcome, written).await?;
            reopening::withdraw(self.redis, &change).await?;
            if is_done {
                let segments = std::mem::take(written);
                return Ok(Some(Rebuilt {
                    segments,
                    ..outcome.rebuilt()
                }));
            }
        }
        Err(RebuildError::Moving(item))
    }

    /// Refuses to make stock anew of which another master still has the first: the list of
    /// masters was changed, and processes that have not read it yet sell by the old one.
    async fn refuse_elsewhere(
        &self,
        state: &ProductState,
        options: &Options,
    ) -> Result<(), RebuildError> {
        let bare = state.segments.iter().filter(|it| it.stock.is_none());
        let bare: Vec<&Segment> = bare.map(|it| &it.id).collect();
        if bare.is_empty() {
            return Ok(());
        }
        let mut masters = self.segments.masters().await?;
        masters.push(self.redis.clone());
        for master in masters {
            let mut conn = match master.conn().await {
                Ok(conn) => conn,
                Err(error) if options.only_exact => return Err(error.into()),
                // A person knows which master is gone for good.
                Err(_) => continue,
            };
            for segment in &bare {
                let Segment { item, number } = segment;
                let wanted = self.segments.link(item, *number).await?;
                let mut read = redis::cmd("HEXISTS");
                read.arg(keys::stock(item, *number))
                    .arg("sale_stock_amount");
                // A master of a Cluster refuses what another one holds.
                let is_here = read.query_async(&mut conn).await.unwrap_or(false);
                if is_here && !wanted.is_same(&master) {
                    return Err(RebuildError::Elsewhere {
                        segment: (*segment).clone(),
                        has: master.address().to_owned(),
                        wanted: wanted.address().to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Lets segments that were halted replay what waits for them in journals, now that they
    /// are as they must be.
    async fn let_replay(
        &self,
        sold: (&Round, &Stops),
        product: &Product,
        replays: &mut Replays,
    ) -> Result<(), RebuildError> {
        let (item, entry) = (item(sold.0, product)?, publish::entry(sold, product));
        for segment in Segment::all(&item, &entry) {
            replays.begin(self.segments, segment).await?;
        }
        Ok(())
    }

    /// Halts what there is of a product's segments for this reason.
    async fn halt(&self, item: &Item, entry: &Entry, reason: &str) -> Result<(), RebuildError> {
        for segment in Segment::all(item, entry) {
            let mut conn = self.segments.conn(item, segment.number).await?;
            scripts::stock::halt(item, segment.number, reason)
                .run(&mut conn)
                .await?;
        }
        Ok(())
    }

    /// Writes the plans; `false` if the stock has changed since it was read.
    async fn carry_out(
        &self,
        item: &Item,
        outcome: &Outcome<'_>,
        written: &mut Vec<SegmentRebuilt>,
    ) -> Result<bool, RebuildError> {
        for (segment, plan) in outcome.wrong() {
            let spent = outcome.spent(segment, plan);
            let mut conn = self.segments.conn(item, segment.id.number).await?;
            if !write::segment(&mut conn, segment, plan, &spent).await? {
                return Ok(false);
            }
            written.push(SegmentRebuilt::of(segment, plan));
            write::redriven(&mut conn, &segment.id, plan).await?;
        }
        let mut conn = self.redis.conn().await?;
        write::permits(&mut conn, item, &outcome.permits()).await?;
        // Orders whose purchase Redis had lost: their stock has followed by now.
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
