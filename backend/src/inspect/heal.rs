//! Heals segments that were halted because their Redis is older than the ledger, and a
//! main Redis or a master of the stock that came back empty, or a main Redis that came back
//! older than the approval of a round, as far as that is exact.
//!
//! Ledger, orders and journals know what the Redis has forgotten. Where they account for
//! every item, the segment is put back to what they say, and sells again by itself.
//! Where they do not, it stays halted, and a person decides.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use jiff::tz::TimeZone;
use redis::{RedisResult, Value, from_redis_value};
use seckill_core::ids::Item;
use seckill_core::keys;
use tokio_util::sync::CancellationToken;

use super::rebuild::{Options, RebuildError, Rebuilder};
use crate::now_ms;
use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLink, scripts};
use crate::sale::catalogue::{self, Products};
use crate::store::Store;
use crate::time::periodic::{self, Passes};

/// Pause between two looks.
const EVERY: Duration = Duration::from_millis(500);
/// How long orders that are being placed, and events that are being archived, may take
/// to arrive in the database before it is asked what was sold.
const GRACE: Duration = Duration::from_secs(1);
/// The same for a segment without stock, which cannot be halted: until then every process has
/// connected to its master again, and compared what it sold.
const GRACE_BARE: Duration = Duration::from_secs(3);

/// How long after its end a segment is let go on that still replays only, in ms.
const LATE_MS: u64 = 1_000;

/// What heals.
#[derive(Debug, Clone)]
pub struct Healer {
    /// The database.
    pub store: Store,
    /// The main Redis.
    pub redis: RedisLink,
    /// The stock's masters.
    pub segments: Segments,
    /// The zone in which days begin and end.
    pub zone: TimeZone,
    /// Whether the queue of orders is in Redis.
    pub queue_is_visible: bool,
}

/// What the passes before have found.
#[derive(Debug, Default)]
struct Before {
    /// Rounds that a person has to decide.
    hopeless: BTreeSet<String>,
    /// The connection at which the main Redis was seen to have every round.
    complete: Option<u64>,
    /// The rounds that it has not, since then.
    missing: BTreeSet<String>,
}

/// What needs healing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ill {
    /// Rounds with a halted segment, with one that has lost its stock, or of whose approval
    /// the catalogue knows nothing.
    rounds: BTreeSet<String>,
    /// Those of them that have a segment without stock.
    bare: BTreeSet<String>,
    /// Whether the catalogue is gone, and rounds are published.
    catalogue: bool,
}

impl Healer {
    /// Heals until `stop`. Several may run: a segment is put back in one step, which is
    /// refused if it has changed.
    pub async fn run(self, stop: CancellationToken) {
        let mut passes = Passes::new(stop.clone(), "halted segments wait to be healed", EVERY);
        let mut before = Before::default();
        while passes.go_on() {
            let outcome = self.pass(&mut before, &stop).await;
            passes.pause_after(outcome.map(|()| EVERY)).await;
        }
    }

    async fn pass(
        &self,
        before: &mut Before,
        stop: &CancellationToken,
    ) -> Result<(), RebuildError> {
        let ill = self.look(before).await?;
        let hopeless = &mut before.hopeless;
        hopeless.retain(|round| ill.rounds.contains(round));
        if !ill.catalogue && ill.rounds.is_subset(hopeless) {
            return Ok(());
        }
        let is_bare = !ill.catalogue && !ill.bare.is_subset(hopeless);
        periodic::sleep(stop, if is_bare { GRACE_BARE } else { GRACE }).await;
        let chosen: Vec<Option<String>> = match ill.catalogue {
            true => vec![None],
            false => ill.rounds.difference(hopeless).cloned().map(Some).collect(),
        };
        let mut failed = Ok(());
        for round in chosen {
            match self.heal(round.clone()).await {
                Err(error @ (RebuildError::NotExact { .. } | RebuildError::Elsewhere { .. })) => {
                    tracing::error!(%error, "a person has to decide");
                    hopeless.extend(round.map_or_else(|| ill.rounds.clone(), |it| [it].into()));
                }
                // One of which a master is away keeps no other halted.
                healed => failed = failed.and(healed),
            }
        }
        failed
    }

    /// Which rounds have a halted segment or one without stock, or are missing, and whether
    /// the catalogue is gone.
    async fn look(&self, before: &mut Before) -> Result<Ill, RebuildError> {
        let mut conn = self.redis.conn().await?;
        let life = self.redis.life();
        let mut ill = Ill::default();
        if catalogue::version(&mut conn).await?.is_none() {
            let rounds = self.store.rounds().await?;
            ill.catalogue = rounds.iter().any(|stored| stored.published_ms.is_some());
        }
        let products = catalogue::read(&mut conn).await?;
        for round in self.look_at_segments(&products, &mut ill).await? {
            if before.hopeless.contains(&round) || self.had_stock(&round).await? {
                ill.bare.insert(round.clone());
                ill.rounds.insert(round);
            }
        }
        if before.complete != Some(life) && !ill.catalogue {
            let missing = self.missing(&products).await?;
            for round in missing.difference(&before.missing) {
                tracing::warn!(
                    round,
                    "the main Redis is older than the approval of this round, which is put back \
                     if ledger and orders account for every item"
                );
            }
            before.complete = missing.is_empty().then_some(life);
            ill.rounds.extend(missing.iter().cloned());
            before.missing = missing;
        }
        Ok(ill)
    }

    /// Notes the rounds that have a halted segment, and returns those that have a segment
    /// without stock. Ends the replaying of segments that nobody ended.
    async fn look_at_segments(
        &self,
        products: &Products,
        ill: &mut Ill,
    ) -> Result<BTreeSet<String>, RebuildError> {
        let all = products
            .iter()
            .flat_map(|(item, entry)| Segment::all(item, entry));
        let mut bare = BTreeSet::new();
        let sorted = self
            .segments
            .by_master(all.collect(), |segment: &Segment| {
                (&segment.item, segment.number)
            })
            .await?;
        for (link, here) in sorted {
            // A master that is away has nothing to heal yet.
            let Ok(mut conn) = link.conn().await else {
                continue;
            };
            let mut pipe = redis::Pipeline::with_capacity(here.len());
            for segment in &here {
                let key = keys::stock(&segment.item, segment.number);
                pipe.hmget(key, &[keys::STOCK_HALTED, "sale_stock_amount"]);
            }
            let replies: Vec<RedisResult<Value>> =
                pipe.ignore_errors().query_async(&mut conn).await?;
            for (segment, reply) in here.iter().zip(replies) {
                // A segment that moves to another master of a Cluster is refused.
                let held = reply.ok().and_then(|it| from_redis_value(it).ok());
                let held: Option<(Option<String>, Option<String>)> = held;
                let Some((reason, for_sale)) = held else {
                    continue;
                };
                let Some(reason) = reason else {
                    if for_sale.is_none() {
                        bare.insert(segment.item.round().to_owned());
                    }
                    continue;
                };
                match reason.strip_prefix(keys::HALTED_REPLAYS) {
                    None => _ = ill.rounds.insert(segment.item.round().to_owned()),
                    // Whoever was to end this has died.
                    Some(first_ms) if first_ms.parse().unwrap_or(0) + LATE_MS < now_ms() => {
                        let Segment { item, number } = segment;
                        let resume = scripts::stock::resume(item, *number, Duration::ZERO);
                        resume.run(&mut conn).await?;
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(bare)
    }

    /// The rounds that were put on sale, and of which the catalogue has no product. The
    /// database is read after the catalogue: a round that retires is noted there first.
    async fn missing(&self, products: &Products) -> Result<BTreeSet<String>, RebuildError> {
        let listed: HashSet<&str> = products.keys().map(Item::round).collect();
        let mut missing = self.store.rounds_in_redis().await?;
        missing.retain(|round| !listed.contains(&**round));
        Ok(missing.into_iter().collect())
    }

    /// Whether every segment of a round has stock unless its Redis lost it: all of it was
    /// preloaded, and none was removed since, as of a round that retires.
    async fn had_stock(&self, round: &str) -> Result<bool, RebuildError> {
        let stored = self.store.round(round).await?;
        let is_published = stored.is_some_and(|stored| stored.published_ms.is_some());
        Ok(is_published && !self.store.is_retired(round).await?)
    }

    async fn heal(&self, round: Option<String>) -> Result<(), RebuildError> {
        let rebuilder = Rebuilder {
            store: &self.store,
            redis: &self.redis,
            segments: &self.segments,
            zone: &self.zone,
            queue_is_visible: self.queue_is_visible,
        };
        let options = Options {
            round,
            while_running: true,
            only_exact: true,
            ..Options::default()
        };
        let report = rebuilder.rebuild(&options).await?;
        tracing::warn!(
            "healed from ledger and orders: {}",
            report.text(false).trim_end()
        );
        Ok(())
    }
}
