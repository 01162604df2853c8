//! Puts stock back after its Redis lost it: emptied, or restored from an older
//! snapshot.
//!
//! The database is what survived: the approved rounds with what was set aside for
//! them, the ledger's archive and the orders. [`seckill_core::rebuild`] decides what
//! follows from these; here it is carried out, segment by segment, each in one step
//! that is refused if anything happened there since it was decided. Then come the
//! permits, and last the catalogue, by which the edges begin to sell.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::tz::TimeZone;
use seckill_core::catalogue::Entry;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::ledger::{Event, PurchaseId};
use seckill_core::purchase::{Record, State as Stands};
use seckill_core::rebuild::{self, Deed, Known, Plan};
use serde::Serialize;

use crate::redis_link::{RedisLink, RedisLinkError};
use crate::sale::publish::{self, PublishError};
use crate::sale::{Product, Round};
use crate::segments::Segments;
use crate::store::orders::{Order, StockDue};
use crate::store::{Store, StoreError};
use crate::verify::gather::{self, Shelf, State};
use crate::verify::{self, VerifyError};

/// What is written to Redis.
mod write;

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

/// What was, or would be, done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Product by product.
    pub products: Vec<Rebuilt>,
    /// Rounds that went, or would go, on sale again.
    pub published: Vec<String>,
}

/// One product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Round and product.
    pub item: String,
    /// The segments that differed from what ledger and orders say.
    pub segments: Vec<SegmentRebuilt>,
    /// Permits granted and not returned, if the count was set.
    pub permits: Option<i64>,
    /// Items sold beyond the amount, by what was lost: orders have to be cancelled.
    pub oversold: u64,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentRebuilt {
    /// Its number.
    pub segment: u16,
    /// Items for sale.
    pub sale: i64,
    /// Items in orders that are not paid.
    pub locked: i64,
    /// Items paid.
    pub saled: i64,
    /// What was there before: the three amounts, or none.
    pub before: Option<(i64, i64, i64)>,
    /// Buyers with a record.
    pub buyers: usize,
    /// Purchases that only their orders told of.
    pub adopted: usize,
    /// Order messages that are sent again.
    pub redriven: usize,
    /// Items more, or fewer, than the ledger accounts for.
    pub correction: i64,
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
        for (shelf, plan) in outcome.wrong() {
            let spent = outcome.spent(shelf, plan);
            let mut conn = self.segments.conn(item, shelf.segment.number).await?;
            if !write::segment(&mut conn, shelf, plan, &spent).await? {
                return Ok(false);
            }
            write::redriven(&mut conn, &shelf.segment, plan).await?;
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

/// What a product's parts are, and what they must be.
struct Outcome<'a> {
    state: &'a State,
    plans: Vec<Plan>,
    oversold: u64,
}

impl<'a> Outcome<'a> {
    fn of(state: &'a State, product: &Product) -> Self {
        let orders: Vec<Deed> = state.orders.iter().map(deed).collect();
        let waiting = state.segments.iter().flat_map(|shelf| &shelf.waiting);
        let queued = state.under_way.iter().flatten();
        let under_way: HashSet<PurchaseId> = waiting.chain(queued).cloned().collect();
        let whole = [product.amount];
        let events = state.segments.iter().map(|it| it.events.as_slice());
        let (plans, oversold) = rebuild::plan(&Known {
            round: state.item.round(),
            product: state.item.product(),
            amount: product.amount,
            preloaded: match product.segments.as_slice() {
                [] => &whole,
                segments => segments,
            },
            events: events.collect::<Vec<&[Event]>>(),
            orders: &orders,
            under_way: &under_way,
        });
        Self {
            state,
            plans,
            oversold,
        }
    }

    /// The segments that differ from their plans.
    fn wrong(&self) -> impl Iterator<Item = (&Shelf, &Plan)> {
        let all = self.state.segments.iter().zip(&self.plans);
        all.filter(|(shelf, plan)| differs(shelf, plan))
    }

    fn is_right(&self, on_sale: bool) -> bool {
        let Permits { bought, open, .. } = self.permits();
        let out: i64 = self.state.permits.leases.values().sum();
        let counted = self.state.permits.granted >= bought + out;
        self.wrong().next().is_none() && counted && (on_sale || open.is_empty() && bought == 0)
    }

    fn is_open(&self, lease: &str) -> bool {
        self.state.permits.leases.contains_key(lease)
    }

    /// What a segment has seen of each lease. Those that nobody has on record any
    /// more are closed: what still comes with them is refused.
    fn spent(&self, shelf: &Shelf, plan: &Plan) -> BTreeMap<String, String> {
        let mut spent = BTreeMap::new();
        for lease in plan.spent.keys().chain(shelf.spent.keys()) {
            let bought = plan.spent.get(lease).copied().unwrap_or(0);
            let raw = shelf.spent.get(lease).and_then(|text| text.parse().ok());
            let text = match self.is_open(lease) && !shelf.closed.contains_key(lease) {
                true => bought.max(raw.unwrap_or(0)).to_string(),
                false => format!("closed:{bought}"),
            };
            spent.insert(lease.clone(), text);
        }
        spent
    }

    fn permits(&self) -> Permits {
        let (mut bought, mut refunds) = (0_i64, Vec::new());
        for (shelf, plan) in self.state.segments.iter().zip(&self.plans) {
            let leases: HashMap<&String, i64> = match differs(shelf, plan) {
                true => plan
                    .spent
                    .iter()
                    .map(|(lease, n)| (lease, signed(*n)))
                    .collect(),
                false => shelf.closed.iter().map(|(lease, n)| (lease, *n)).collect(),
            };
            let closed = leases.into_iter().filter(|(lease, _)| !self.is_open(lease));
            bought += closed.map(|(_, n)| n).sum::<i64>() - signed(plan.given_back);
            refunds.extend(plan.refunds.iter().cloned());
        }
        let open = self.state.permits.leases.keys().cloned().collect();
        Permits {
            bought,
            open,
            refunds,
        }
    }

    fn told(&self) -> Rebuilt {
        let segments = self.wrong().map(|(shelf, plan)| SegmentRebuilt {
            segment: shelf.segment.number,
            sale: plan.amounts.sale,
            locked: plan.amounts.locked,
            saled: plan.amounts.saled,
            before: shelf.stock.map(|it| (it.sale, it.locked, it.saled)),
            buyers: plan.buyers.len(),
            adopted: plan.adopted,
            redriven: plan.redriven.len(),
            correction: plan.correction,
        });
        let Permits { bought, .. } = self.permits();
        let out: i64 = self.state.permits.leases.values().sum();
        Rebuilt {
            item: self.state.item.to_string(),
            segments: segments.collect(),
            permits: Some(bought + out),
            oversold: self.oversold,
        }
    }
}

/// What the count of permits follows from.
struct Permits {
    /// Of purchases that count, without those of open leases.
    bought: i64,
    /// Open leases.
    open: Vec<String>,
    /// What was refunded.
    refunds: Vec<String>,
}

/// Whether a segment is not what ledger and orders say. That an order's number has
/// not reached its buyer's record yet is no difference.
fn differs(shelf: &Shelf, plan: &Plan) -> bool {
    let stock = shelf.stock == Some(plan.amounts);
    let ledger = plan.missing.len() == 1 && plan.gaps == 0 && plan.correction == 0;
    let same = |(user, text): (&String, &String)| {
        let (Some(have), Some(must)) = (
            shelf.buyers.get(user).and_then(|text| Record::parse(text)),
            Record::parse(text),
        ) else {
            return false;
        };
        let told = have.state == Stands::Succeeded && must.state == Stands::Ordered;
        (have.state == must.state || told)
            && (&have.request, have.at_ms) == (&must.request, must.at_ms)
    };
    let records = shelf.buyers.len() == plan.buyers.len() && plan.buyers.iter().all(same);
    let seen = |lease: &String| {
        let text = shelf.spent.get(lease)?;
        text.strip_prefix("closed:").unwrap_or(text).parse().ok()
    };
    let permits = plan.spent.iter();
    let permits = permits.map(|(lease, n)| seen(lease).is_some_and(|seen: u64| seen >= *n));
    !(stock && ledger && records && plan.redriven.is_empty() && permits.into_iter().all(|it| it))
}

fn deed(order: &Order) -> Deed {
    Deed {
        segment: order.segment,
        purchase: PurchaseId {
            user: order.user.clone(),
            request: order.request.clone(),
            at_ms: order.locked_ms,
        },
        quantity: order.quantity,
        price_cents: order.price_cents,
        permit: order.permit.clone(),
        order: order.id.to_string(),
        stands: order.state,
        reason: order
            .reason
            .map_or("cancelled", |it| it.as_str())
            .to_owned(),
    }
}

fn item(round: &Round, product: &Product) -> Result<Item, RebuildError> {
    Item::new(&round.id, &product.id)
        .ok_or_else(|| RebuildError::Ids(round.id.clone(), product.id.clone()))
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Report {
    /// For people: what was done, or would be.
    #[must_use]
    pub fn text(&self, dry_run: bool) -> String {
        use std::fmt::Write as _;
        let verb = if dry_run { "would have" } else { "has" };
        let mut text = String::new();
        for product in &self.products {
            let item = &product.item;
            for it in &product.segments {
                let before = it
                    .before
                    .map_or("nothing".to_owned(), |(a, b, c)| format!("{a}/{b}/{c}"));
                let _ = writeln!(
                    text,
                    "{item}::{:02} {verb} {} for sale, {} locked, {} sold instead of {before}; {} buyers, \
                     {} purchases known from orders only, {} order messages sent again",
                    it.segment, it.sale, it.locked, it.saled, it.buyers, it.adopted, it.redriven
                );
                if it.correction != 0 {
                    let _ = writeln!(
                        text,
                        "{item}::{:02} has {:+} items against its ledger, to make up the amount on record",
                        it.segment, it.correction
                    );
                }
            }
            if let Some(permits) = product.permits {
                let _ = writeln!(text, "{item} {verb} {permits} permits out");
            }
            if product.oversold > 0 {
                let _ = writeln!(
                    text,
                    "Beware: {item} is oversold by {} items, sold before this command; cancel so many",
                    product.oversold
                );
            }
        }
        for round in &self.published {
            let _ = writeln!(
                text,
                "Round {round} {}.",
                if dry_run {
                    "would go on sale again"
                } else {
                    "is on sale again"
                }
            );
        }
        if text.is_empty() {
            return "Everything is as ledger and orders say; nothing was done.\n".to_owned();
        }
        if !dry_run {
            text.push_str(
                "Not to be had back: purchases that were in the lost Redis only, neither archived nor \
                 ordered (their items are for sale), bans, and reasons of dead letters.\n",
            );
        }
        text
    }
}
