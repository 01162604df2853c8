//! Keeps the zone's copies up to date: the catalogue, the permits granted of each
//! product, the bans, the number of living edges.
//!
//! Every worker polls its own connection, which also shows that it is alive;
//! one of them, the refresher, writes what it reads into the zone.

mod bans;
mod catalogue;
mod failing;
mod heart;
mod jwks;
mod regrabs;

use std::time::Duration;

use redis::{RedisResult, Value};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::window::Phase;
use seckill_core::shared::products::{Counted, Returns};

use crate::conf::Edge;
use crate::link::{self, Link};
use crate::permits::{reports, standby, winners};
use crate::{clock, error_log, life, rt};
use catalogue::Catalogue;
use failing::Failing;
use heart::Heart;

/// How often the catalogue and the granted permits are read; also how old times and
/// limits may be.
const POLL: Duration = Duration::from_millis(250);
/// Counters read with one command.
const BATCH: usize = 500;
/// How long after it has connected a worker compares open leases: if what was sold was
/// forgotten as well, the back end counts the permits anew meanwhile, and permits that are
/// returned before are granted a second time.
const COMPARE_AFTER_MS: u64 = 5_000;

/// Keeps the zone up to date over one connection, until that fails or stalls;
/// returns the reason. The leases are those of another Redis that was configured
/// before: what is left of them is returned, in case this one has the same data.
pub(crate) async fn run(link: Link, edge: Edge, leases: Vec<Returns>) -> String {
    for (name, leases) in leases {
        if let Some(item) = Item::parse(&name) {
            reports::returned(&edge, &item, &leases);
        }
    }
    edge.zone.counters().redis_connects.add(1);
    // Before the catalogue: nobody is admitted before the bans are known.
    let _mirror = bans::follow(link.clone(), edge.clone());
    let _key_sets = jwks::follow(link.clone(), edge.clone());
    let mut heart = Heart::new(link.clone(), edge.clone());
    let mut refresh = Refresh::new(link.clone(), edge);
    // Before the first reading: the share of the rate must be known before a click
    // can pass.
    if let Some(reason) = failure(&link, heart.beat()).await {
        return reason;
    }
    // Each on its own: no reading, however long, may delay a heartbeat.
    let heartbeats = async {
        loop {
            rt::sleep(heart.pause()).await;
            if let Some(reason) = failure(&link, heart.beat()).await {
                return reason;
            }
        }
    };
    let readings = async {
        loop {
            if let Some(reason) = failure(&link, refresh.pass()).await {
                return reason;
            }
            rt::sleep(POLL).await;
        }
    };
    rt::first(heartbeats, readings).await
}

/// Why a pass makes the connection useless, if it does.
async fn failure(link: &Link, pass: impl Future<Output = RedisResult<()>>) -> Option<String> {
    match link.unless_stalled(pass).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(link::text_of(&error)),
        Err(silent) => Some(silent),
    }
}

/// One worker's part in refreshing.
struct Refresh {
    link: Link,
    edge: Edge,
    catalogue: Catalogue,
    /// Whether the leases of the shares were renewed since this worker connected.
    has_renewed: bool,
    /// From when on open leases are compared, monotonic ms; `None` once they were.
    compare_ms: Option<u64>,
    failing: Failing,
}

impl Refresh {
    /// The state of a worker that has just connected.
    fn new(link: Link, edge: Edge) -> Self {
        Self {
            link,
            edge,
            catalogue: Catalogue::default(),
            has_renewed: false,
            compare_ms: Some(clock::monotonic_ms() + COMPARE_AFTER_MS),
            failing: Failing::default(),
        }
    }

    /// One pass over all that is read.
    ///
    /// # Errors
    /// The error of a lost connection. An error reply of Redis is logged instead, and the
    /// zone keeps its copy.
    async fn pass(&mut self) -> RedisResult<()> {
        reports::hurry(&self.edge);
        let version: RedisResult<Option<Vec<u8>>> = redis::cmd("HGET")
            .arg(keys::CATALOGUE)
            .arg(keys::CATALOGUE_VERSION)
            .query_async(&mut self.link.connection)
            .await;
        if !self.edge.zone.claim_refresh() {
            self.catalogue.forget();
            let version = version.map(drop);
            return self
                .failing
                .tolerate("the catalogue cannot be read", version);
        }
        let catalogue = match version {
            Ok(version) => {
                let version = version.unwrap_or_default();
                let (link, edge) = (&mut self.link, &self.edge);
                self.catalogue.follow(link, edge, version).await
            }
            Err(error) => Err(error),
        };
        self.failing
            .tolerate("the catalogue cannot be read", catalogue)?;
        self.prove_life();
        let lapsed = self.end_predecessor().await;
        self.failing
            .tolerate("leases of the edge before cannot be ended", lapsed)?;
        let permits = self.read_permits().await;
        self.failing
            .tolerate("the granted permits cannot be read", permits)?;
        let swept = self.sweep_winners().await;
        self.failing
            .tolerate("the winners cannot be read again", swept)?;
        let regrabs = regrabs::follow(&mut self.link, &self.edge).await;
        self.failing
            .tolerate("who may buy again cannot be read", regrabs)?;
        let compared = self.compare_leases().await;
        self.failing
            .tolerate("open leases cannot be compared", compared)?;
        let shares = self.keep_shares().await;
        self.failing.tolerate("shares cannot be kept", shares)?;
        let reclaimed = self.read_reclaimed().await;
        self.failing
            .tolerate("the number of reclaimed permits cannot be read", reclaimed)?;
        self.return_lapsed();
        Ok(())
    }

    /// Takes what proves this edge's death as soon as it can: after an upgrade of the binary
    /// the nginx before has it until it has ended.
    fn prove_life(&self) {
        // A worker that is leaving may serve an edge that has ended.
        if !self.edge.keeps_share || rt::is_leaving() {
            return;
        }
        if let Err(error) = life::go_on(&self.edge.zone) {
            error_log::warn_rarely(&format!(
                "the file beside nginx's pid file cannot be used: {error}; {}",
                life::COST
            ));
        }
    }

    /// Ends the leases of the edge that ran here before and is known to have died: nobody
    /// spends them any more.
    async fn end_predecessor(&mut self) -> RedisResult<()> {
        let Some(identity) = self.edge.zone.predecessor() else {
            return Ok(());
        };
        let mut ended = 0;
        let items = self.catalogue.names();
        for batch in items.chunks(BATCH) {
            let mut command = redis::cmd("EVALSHA");
            command.arg(&self.link.scripts.lapse).arg(batch.len());
            for item in batch {
                command.arg(keys::leases(item));
            }
            command.arg(format!("{identity:x}"));
            let more: u64 = command.query_async(&mut self.link.connection).await?;
            ended += more;
        }
        self.edge.zone.set_predecessor(0);
        if ended > 0 {
            error_log::notice(&format!(
                "the edge that ran here before has died; {ended} of its leases have ended"
            ));
        }
        Ok(())
    }

    /// Reads how many permits there are of each product that is on sale or about to be, and
    /// how many are granted, so that returned permits reopen it here; and who has won it at
    /// other edges.
    async fn read_permits(&mut self) -> RedisResult<()> {
        let now = clock::now_ms();
        let items = self.catalogue.items().iter();
        let open: Vec<&Item> = items
            .filter(|(_, entry)| matches!(entry.window.phase(now), Phase::Lead | Phase::Open))
            .map(|(item, _)| item)
            .collect();
        for batch in open.chunks(BATCH) {
            let mut command = redis::cmd("EVALSHA");
            command.arg(&self.link.scripts.count).arg(5 * batch.len());
            for item in batch {
                command.arg(keys::permits(item)).arg(keys::leases(item));
                command.arg(keys::winners(item)).arg(keys::info(item));
                command.arg(keys::reopening(item));
            }
            let asked_ms = clock::monotonic_ms();
            let counts: Vec<i64> = command.query_async(&mut self.link.connection).await?;
            for (item, counts) in batch.iter().zip(counts.chunks_exact(4)) {
                let [granted, open, listed, limit] =
                    [0, 1, 2, 3].map(|at| u64::try_from(counts[at]));
                let listed = listed.unwrap_or_default();
                winners::follow(&mut self.link, &self.edge, item, listed).await?;
                let Some(found) = self.edge.zone.products().find(item.round(), item.product())
                else {
                    continue;
                };
                let counted = granted.ok().map(|granted| Counted {
                    granted,
                    // Without a limit it is not known whether anything is left.
                    open: open.ok().filter(|_| limit.is_ok()).unwrap_or(1),
                    winners: listed,
                    limit: limit.unwrap_or(found.entry.limit),
                });
                found.set_counted(counted, asked_ms);
            }
        }
        Ok(())
    }

    /// Forgets the winners of products that are over, when there are too many.
    async fn sweep_winners(&mut self) -> RedisResult<()> {
        let now = clock::now_ms();
        let items = self.catalogue.items().iter();
        let current = items
            .filter(|(_, entry)| entry.window.phase(now) != Phase::Ended)
            .map(|(item, _)| item);
        winners::sweep(&mut self.link, &self.edge, current).await
    }

    /// Returns permits of leases that have ended, also of products whose sale is over:
    /// their permits are counted in the end. Where nothing is left to be granted, and of an
    /// edge that ends, all permits in hand are returned, for whoever has a request for them.
    fn return_lapsed(&self) {
        let now_ms = clock::monotonic_ms();
        for (item, _) in self.catalogue.items() {
            if let Some(found) = self.edge.zone.products().find(item.round(), item.product()) {
                let is_wanted = found.is_granted_out() || self.edge.is_ending();
                let lapsed = found.hand().lapse(now_ms, is_wanted);
                reports::returned(&self.edge, item, &lapsed);
            }
        }
    }

    /// Has a Redis that is new to this worker hear again what became of the leases that it
    /// has on record.
    async fn compare_leases(&mut self) -> RedisResult<()> {
        if self
            .compare_ms
            .is_none_or(|due| clock::monotonic_ms() < due)
        {
            return Ok(());
        }
        self.compare_ms = None;
        let items = self.catalogue.names();
        for batch in items.chunks(BATCH) {
            reports::compare(&mut self.link, &self.edge, batch).await?;
        }
        Ok(())
    }

    /// Adjusts this edge's share, for when Redis is away, of each product that is on sale
    /// or about to be.
    async fn keep_shares(&mut self) -> RedisResult<()> {
        let now = clock::now_ms();
        let items = self.catalogue.items().iter().map(|(item, entry)| {
            let phase = entry.window.phase(now);
            (item, matches!(phase, Phase::Lead | Phase::Open))
        });
        let all = !self.has_renewed;
        standby::adjust(&mut self.link, &self.edge, items, all).await?;
        self.has_renewed = true;
        Ok(())
    }

    /// Reads how many permits the back end has reclaimed, for the metrics; a value that is
    /// no number counts as zero.
    async fn read_reclaimed(&mut self) -> RedisResult<()> {
        let reclaimed: Value = redis::cmd("GET")
            .arg(keys::RECLAIMED)
            .query_async(&mut self.link.connection)
            .await?;
        let reclaimed = redis::from_redis_value::<u64>(reclaimed).unwrap_or_default();
        self.edge.zone.counters().reclaimed.set(reclaimed);
        Ok(())
    }
}
