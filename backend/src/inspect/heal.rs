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

use super::rebuild::replays::{self, Replays};
use super::rebuild::{Options, RebuildError, Rebuilder, Report};
use crate::now_ms;
use crate::redis::RedisLink;
use crate::redis::segments::{Segment, Segments};
use crate::sale::catalogue::{self, Products};
use crate::store::Store;
use crate::time::periodic::{self, Passes};

/// Products that a person has to decide.
mod undecided;

use undecided::Undecided;

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
    /// Products that a person has to decide.
    undecided: Undecided,
    /// Segments that were put back, and replay journals first.
    replays: Replays,
    /// The connection at which the main Redis was seen to have every round.
    complete: Option<u64>,
    /// The rounds that it has not, since then.
    missing: BTreeSet<String>,
}

/// What needs healing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ill {
    /// Products with a halted segment, or with one that has lost its stock.
    products: BTreeSet<Item>,
    /// Those of them that have a segment without stock.
    bare: BTreeSet<Item>,
    /// Rounds of whose approval the catalogue knows nothing.
    missing: BTreeSet<String>,
    /// Whether the catalogue is gone, and rounds are published.
    catalogue: bool,
}

impl Ill {
    fn has(&self, item: &Item) -> bool {
        self.catalogue || self.products.contains(item) || self.missing.contains(item.round())
    }

    /// What of it is to be healed now.
    fn due(mut self, undecided: &Undecided) -> Self {
        self.products.retain(|item| !undecided.waits(item));
        self.bare.retain(|item| !undecided.waits(item));
        self.missing.retain(|round| !undecided.any_waits(round));
        self
    }

    fn rounds(&self) -> BTreeSet<String> {
        let products = self.products.iter().map(|it| it.round().to_owned());
        products.chain(self.missing.iter().cloned()).collect()
    }
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
        before.replays.forget_ended();
        let ill = self.look(before).await?;
        before.undecided.retain(|item| ill.has(item));
        let due = ill.due(&before.undecided);
        if due == Ill::default() {
            return Ok(());
        }
        let is_bare = !due.catalogue && !due.bare.is_empty();
        periodic::sleep(stop, if is_bare { GRACE_BARE } else { GRACE }).await;
        let chosen = match due.catalogue {
            true => {
                // What cannot be put back together with it is looked for.
                before.complete = None;
                vec![Options::default()]
            }
            false => due
                .rounds()
                .into_iter()
                .map(|round| Options {
                    round: Some(round),
                    products: Some(due.products.clone()),
                    ..Options::default()
                })
                .collect(),
        };
        let mut failed = Ok(());
        for options in chosen {
            // One of which a master is away keeps no other halted.
            failed = failed.and(self.heal(options, before).await);
        }
        failed
    }

    /// Which products have a halted segment or one without stock, which rounds are missing,
    /// and whether the catalogue is gone.
    async fn look(&self, before: &mut Before) -> Result<Ill, RebuildError> {
        let mut conn = self.redis.conn().await?;
        let life = self.redis.life();
        let mut ill = Ill::default();
        if catalogue::version(&mut conn).await?.is_none() {
            let rounds = self.store.rounds().await?;
            ill.catalogue = rounds.iter().any(|stored| stored.published_ms.is_some());
        }
        let products = catalogue::read(&mut conn).await?;
        let bare = self.look_at_segments(&products, &mut ill).await?;
        let rounds: BTreeSet<&str> = bare.iter().map(Item::round).collect();
        for round in rounds {
            let here = bare.iter().filter(|item| item.round() == round);
            if here.clone().any(|it| before.undecided.has(it)) || self.had_stock(round).await? {
                ill.bare.extend(here.cloned());
            }
        }
        ill.products.extend(ill.bare.iter().cloned());
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
            ill.missing.clone_from(&missing);
            before.missing = missing;
        }
        Ok(ill)
    }

    /// Notes the products that have a halted segment, and returns those that have one without
    /// stock. Ends the replaying of segments that nobody ended.
    async fn look_at_segments(
        &self,
        products: &Products,
        ill: &mut Ill,
    ) -> Result<BTreeSet<Item>, RebuildError> {
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
            let read = pipe.ignore_errors().query_async(&mut conn).await;
            let replies: Vec<RedisResult<Value>> = match read {
                Ok(replies) => replies,
                Err(error) => {
                    tracing::warn!(master = link.address(), %error, "what is halted there is not known now");
                    continue;
                }
            };
            for (segment, reply) in here.iter().zip(replies) {
                // A segment that moves to another master of a Cluster is refused.
                let held = reply.ok().and_then(|it| from_redis_value(it).ok());
                let held: Option<(Option<String>, Option<String>)> = held;
                let Some((reason, for_sale)) = held else {
                    continue;
                };
                let Some(reason) = reason else {
                    if for_sale.is_none() {
                        bare.insert(segment.item.clone());
                    }
                    continue;
                };
                match reason.strip_prefix(keys::HALTED_REPLAYS) {
                    None => _ = ill.products.insert(segment.item.clone()),
                    // Whoever was to end this has died.
                    Some(first_ms) if first_ms.parse().unwrap_or(0) + LATE_MS < now_ms() => {
                        if let Err(error) = replays::serve(&mut conn, segment).await {
                            tracing::warn!(%segment, %error, "it serves everybody by its clock only");
                        }
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

    /// Heals what is chosen, as far as that is exact.
    async fn heal(&self, chosen: Options, before: &mut Before) -> Result<(), RebuildError> {
        let Before {
            undecided, replays, ..
        } = before;
        let rebuilder = Rebuilder {
            store: &self.store,
            redis: &self.redis,
            segments: &self.segments,
            zone: &self.zone,
            queue_is_visible: self.queue_is_visible,
        };
        let options = Options {
            while_running: true,
            only_exact: true,
            ..chosen
        };
        let done = rebuilder.put_back(&options, replays).await?;
        if done.failed.is_empty() || done.report != Report::default() {
            let report = done.report.text(false);
            tracing::warn!("healed from ledger and orders: {}", report.trim_end());
        }
        let mut failed = Ok(());
        for error in done.failed {
            match error.undecided() {
                Some(item) => undecided.note(item, &error),
                None => failed = failed.and(Err(error)),
            }
        }
        failed
    }
}
