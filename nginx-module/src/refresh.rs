//! Keeps the zone's copies up to date: the catalogue, the permits granted of each
//! product, the bans, the number of living edges.
//!
//! Every worker polls its own connection, which also shows that it is alive;
//! one of them, the refresher, writes what it reads into the zone.

mod bans;
mod failing;
mod heart;
mod regrabs;

use std::collections::HashSet;
use std::time::Duration;

use redis::{RedisResult, Value};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::window::Phase;

use crate::conf::Edge;
use crate::link::{self, Link};
use crate::permits::{reports, standby};
use crate::{clock, error_log, rt};
use failing::Failing;
use heart::Heart;

/// How often the catalogue and the granted permits are read; also how old times and
/// limits may be.
const POLL: Duration = Duration::from_millis(250);
/// Counters read with one command.
const BATCH: usize = 500;

/// Keeps the zone up to date over one connection, until that fails or stalls;
/// returns the reason.
pub(crate) async fn run(link: Link, edge: Edge) -> String {
    edge.zone.counters().redis_connects.add(1);
    // Before the catalogue: nobody is admitted before the bans are known.
    let _mirror = bans::follow(link.clone(), edge.clone());
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
        Some(Ok(())) => None,
        Some(Err(error)) => Some(link::text_of(&error)),
        None => Some(format!("no reply for {} ms", link::STALLED.as_millis())),
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
    failing: Failing,
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
            self.version = None;
            let version = version.map(drop);
            return self
                .failing
                .tolerate("the catalogue cannot be read", version);
        }
        let catalogue = match version {
            Ok(version) => self.follow_catalogue(version.unwrap_or_default()).await,
            Err(error) => Err(error),
        };
        self.failing
            .tolerate("the catalogue cannot be read", catalogue)?;
        let permits = self.read_permits().await;
        self.failing
            .tolerate("the granted permits cannot be read", permits)?;
        let limits = self.read_limits().await;
        self.failing
            .tolerate("a product's limit cannot be read", limits)?;
        let regrabs = regrabs::follow(&mut self.link, &self.edge).await;
        self.failing
            .tolerate("who may buy again cannot be read", regrabs)?;
        let shares = self.keep_shares().await;
        self.failing.tolerate("shares cannot be kept", shares)?;
        let reclaimed = self.read_reclaimed().await;
        self.failing
            .tolerate("the number of reclaimed permits cannot be read", reclaimed)?;
        self.return_lapsed();
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
            // In one transaction: all permits granted and no lease open means sold out
            // only if both were so at the same time.
            let mut pipe = redis::pipe();
            pipe.atomic().ignore_errors();
            for item in batch {
                pipe.cmd("GET").arg(keys::permits(item));
                pipe.cmd("HLEN").arg(keys::leases(item));
            }
            let counts: Vec<Value> = pipe.query_async(&mut self.link.connection).await?;
            for (item, counts) in batch.iter().zip(counts.chunks_exact(2)) {
                let Some(found) = self.edge.zone.products().find(item.round(), item.product())
                else {
                    continue;
                };
                let granted = redis::from_redis_value::<Option<u64>>(counts[0].clone());
                // Leases that cannot be counted are open.
                let open = redis::from_redis_value::<u64>(counts[1].clone()).unwrap_or(1);
                let counted = granted.map(|granted| (granted.unwrap_or_default(), open));
                found.set_counted(counted.ok());
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
    /// their permits are counted in the end. Where nothing is left to be granted, all
    /// permits in hand are returned, for whoever has a request for them.
    fn return_lapsed(&self) {
        let now_ms = clock::monotonic_ms();
        for (item, _) in &self.items {
            if let Some(found) = self.edge.zone.products().find(item.round(), item.product()) {
                let is_wanted = found.is_granted_out();
                let lapsed = found.hand().lapse(now_ms, is_wanted);
                reports::returned(&self.edge, item, &lapsed);
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
}
