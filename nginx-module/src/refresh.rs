//! Keeps the zone's copies up to date: the catalogue, the permits granted of each
//! product, the bans, the number of living edges.
//!
//! Every worker polls its own connection, which also shows that it is alive;
//! one of them, the refresher, writes what it reads into the zone.

mod bans;
mod regrabs;

use std::collections::HashSet;
use std::time::Duration;

use redis::{RedisResult, Value};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::rate::census::Census;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::window::Phase;

use crate::conf::Edge;
use crate::link::{self, Link};
use crate::permits::{self, standby};
use crate::{clock, error_log, rt};

/// How often the catalogue and the granted permits are read; also how old times and
/// limits may be.
const POLL_MS: u64 = 250;
/// Counters read with one command.
const BATCH: usize = 500;

/// Keeps the zone up to date over one connection, until that fails or stalls;
/// returns the reason.
pub(crate) async fn run(link: Link, edge: Edge) -> String {
    edge.zone.counters().redis_connects.add(1);
    // Before the catalogue: nobody is admitted before the bans are known.
    let _mirror = bans::follow(link.clone(), edge.clone());
    let mut refresh = Refresh::new(link, edge);
    loop {
        match link::unless_stalled(refresh.pass()).await {
            Some(Ok(())) => rt::sleep(refresh.pause()).await,
            Some(Err(error)) => return error.to_string(),
            None => return format!("no reply for {} ms", link::STALLED.as_millis()),
        }
    }
}

/// One worker's part in refreshing.
struct Refresh {
    link: Link,
    edge: Edge,
    /// Version of the catalogue that this worker wrote into the zone. A worker that
    /// becomes refresher starts with none and reads everything, which also repairs a
    /// slot that a killed worker left half written.
    version: Option<Vec<u8>>,
    /// The products of that version.
    items: Vec<(Item, Entry)>,
    /// Whether the leases of the shares were renewed since this worker connected.
    has_renewed: bool,
    /// When this worker read the catalogue last, monotonic ms.
    polled_ms: u64,
    /// The failures that were logged and have not ended since.
    failing: Vec<&'static str>,
}

impl Refresh {
    /// The state of a worker that has just connected.
    fn new(link: Link, edge: Edge) -> Self {
        Self {
            link,
            edge,
            version: None,
            items: Vec::new(),
            has_renewed: false,
            polled_ms: 0,
            failing: Vec::new(),
        }
    }

    /// The pause between two passes.
    fn pause(&self) -> Duration {
        self.edge.pace.pause.min(Duration::from_millis(POLL_MS))
    }

    /// One pass: the heartbeat and the readings that are due.
    ///
    /// # Errors
    /// The error of a lost connection. An error reply of Redis is logged instead, and the
    /// zone keeps its copy.
    async fn pass(&mut self) -> RedisResult<()> {
        let refreshes = self.edge.zone.claim_refresh();
        // Before the first reading: the share of the rate must be known before a click
        // can pass.
        if refreshes {
            self.heartbeat().await?;
        }
        let now = clock::monotonic_ms();
        if now - self.polled_ms < POLL_MS {
            return Ok(());
        }
        self.polled_ms = now;
        self.read().await
    }

    async fn read(&mut self) -> RedisResult<()> {
        let version: RedisResult<Option<Vec<u8>>> = redis::cmd("HGET")
            .arg(keys::CATALOGUE)
            .arg(keys::CATALOGUE_VERSION)
            .query_async(&mut self.link.connection)
            .await;
        if !self.edge.zone.claim_refresh() {
            self.version = None;
            return version.map(drop);
        }
        let catalogue = match version {
            Ok(version) => self.follow_catalogue(version.unwrap_or_default()).await,
            Err(error) => Err(error),
        };
        self.tolerate("the catalogue cannot be read", catalogue)?;
        self.read_permits().await?;
        let limits = self.read_limits().await;
        self.tolerate("a product's limit cannot be read", limits)?;
        let regrabs = regrabs::follow(&mut self.link, &self.edge).await;
        self.tolerate("who may buy again cannot be read", regrabs)?;
        let shares = self.keep_shares().await;
        self.tolerate("shares cannot be kept", shares)?;
        let reclaimed = self.read_reclaimed().await;
        self.tolerate("the number of reclaimed permits cannot be read", reclaimed)?;
        self.return_lapsed().await;
        Ok(())
    }

    /// Reads the catalogue if its version has changed.
    async fn follow_catalogue(&mut self, version: Vec<u8>) -> RedisResult<()> {
        if self.version.as_ref() != Some(&version) {
            self.read_catalogue().await?;
            self.version = Some(version);
        }
        Ok(())
    }

    /// Logs an error reply of Redis, once until the command succeeds again. Returns the
    /// error of a lost connection, and of a Redis that has forgotten the scripts.
    fn tolerate(&mut self, what: &'static str, result: RedisResult<()>) -> RedisResult<()> {
        match result {
            Ok(()) => self.failing.retain(|failing| *failing != what),
            Err(error) if link::is_lost(&error) => return Err(error),
            Err(error) if !self.failing.contains(&what) => {
                error_log::warn(&format!("{what}: {error}"));
                self.failing.push(what);
            }
            Err(_) => {}
        }
        Ok(())
    }

    async fn read_catalogue(&mut self) -> RedisResult<()> {
        // Bytes: an entry that is not text must not prevent reading the rest.
        let all: Vec<(Vec<u8>, Vec<u8>)> = redis::cmd("HGETALL")
            .arg(keys::CATALOGUE)
            .query_async(&mut self.link.connection)
            .await?;
        if !self.edge.zone.claim_refresh() {
            return Ok(());
        }
        let products = self.edge.zone.products();
        let mut left_out = 0;
        self.items.clear();
        for (name, text) in &all {
            let (name, text) = (String::from_utf8_lossy(name), String::from_utf8_lossy(text));
            if let (Some(item), Ok(entry)) = (Item::parse(&name), Entry::parse(&text)) {
                if !products.put(item.round(), item.product(), &entry) {
                    error_log::warn(&format!(
                        "the zone has no room for product {item}: make seckill_zone larger"
                    ));
                    left_out += 1;
                    continue;
                }
                self.items.push((item, entry));
            } else if name != keys::CATALOGUE_VERSION {
                error_log::warn(&format!(
                    "entry \"{}\" of the catalogue does not parse; approve its round again",
                    name.escape_debug()
                ));
            }
        }
        let listed: HashSet<String> = self
            .items
            .iter()
            .map(|(item, _)| item.to_string())
            .collect();
        products.retain(|name| listed.contains(name));
        self.edge.zone.counters().left_out.set(left_out);
        self.edge.zone.set_has_catalogue();
        Ok(())
    }

    /// Reads how many permits are granted of each product that is on sale or about to
    /// be, so that returned permits reopen it here.
    async fn read_permits(&mut self) -> RedisResult<()> {
        let now = clock::now_ms();
        let open: Vec<&Item> = self
            .items
            .iter()
            .filter(|(_, entry)| matches!(entry.window.phase(now), Phase::Lead | Phase::Open))
            .map(|(item, _)| item)
            .collect();
        for batch in open.chunks(BATCH) {
            let mut command = redis::cmd("MGET");
            for item in batch {
                command.arg(keys::permits(item));
            }
            let counts: Vec<Value> = command.query_async(&mut self.link.connection).await?;
            for (item, count) in batch.iter().zip(counts) {
                let Some(found) = self.edge.zone.products().find(item.round(), item.product())
                else {
                    continue;
                };
                let counted = redis::from_redis_value::<Option<u64>>(count);
                found.set_counted(counted.map(Option::unwrap_or_default).ok());
            }
        }
        Ok(())
    }

    /// Reads the limit of products for which a lease brought another limit than the
    /// catalogue has: it was lowered, and may be raised again.
    async fn read_limits(&mut self) -> RedisResult<()> {
        for (item, entry) in &self.items {
            let Some(found) = self.edge.zone.products().find(item.round(), item.product()) else {
                continue;
            };
            if found.entry.limit == entry.limit {
                continue;
            }
            let limit: Value = redis::cmd("HGET")
                .arg(keys::info(item))
                .arg(keys::INFO_LIMIT)
                .query_async(&mut self.link.connection)
                .await?;
            if let Ok(limit) = redis::from_redis_value::<u64>(limit) {
                found.set_limit(limit);
            }
        }
        Ok(())
    }

    /// Returns permits of leases that have ended, also of products whose sale is over:
    /// their permits are counted in the end.
    async fn return_lapsed(&self) {
        let now_ms = clock::monotonic_ms();
        for (item, _) in &self.items {
            if let Some(found) = self.edge.zone.products().find(item.round(), item.product()) {
                let lapsed = found.hand().lapse(now_ms, false);
                if !lapsed.is_empty() {
                    permits::return_unspent(&self.edge, item, &lapsed).await;
                }
            }
        }
    }

    /// Adjusts this edge's share, for when Redis is away, of each product that is on sale
    /// or about to be.
    async fn keep_shares(&mut self) -> RedisResult<()> {
        let now = clock::now_ms();
        let items = self.items.iter().map(|(item, entry)| {
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

    /// Sends a heartbeat, and takes this edge's share of the site's rate.
    async fn heartbeat(&self) -> RedisResult<()> {
        let (zone, pace) = (&self.edge.zone, self.edge.pace);
        let Some(silent_ms) = zone.heartbeat_due(pace.pause) else {
            return Ok(());
        };
        let (edges, unheard_ms, was_lost): (u64, u64, bool) = redis::cmd("EVALSHA")
            .arg(&self.link.scripts.heartbeat)
            .arg(1)
            .arg(keys::EDGES)
            .arg(&*self.edge.node)
            .arg(pace.alive.as_millis() as u64)
            .query_async(&mut self.link.connection.clone())
            .await?;
        let census = Census {
            before: zone.edges_read(),
            now: edges,
            unheard_ms,
            silent_ms: if was_lost { silent_ms } else { 0 },
        };
        zone.set_edges(edges);
        for (index, limit) in self.edge.shared_rates.iter() {
            zone.apply(*index, limit.share(edges), census.change());
        }
        Ok(())
    }
}
