//! Other sites that sell the same rounds, and the items that move between them.
//!
//! A site sells what it holds without asking anybody. Here the relay role tells the others
//! what it holds, asks the richest when it runs short, and gives when it is asked. The rules
//! are in [`seckill_core::sites`].

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::signing::keyring::Keyring;
use tokio::sync::Semaphore;

use crate::config::SiteSettings;
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError};
use crate::store::LazyStore;
use holdings::Holding;
use messages::{Heard, Report, ReportLine};
use moves::Mover;
use peer::Peer;

/// What a site can say of a product: its stock, its ledger, its transfers.
pub mod account;
/// What other sites ask of this one.
pub mod api;
/// What this site has of each product that sells.
mod holdings;
/// How long a site may sell that its home does not hear.
pub mod lease;
/// What sites say to each other.
pub mod messages;
/// Carries a transfer on at this end.
pub mod moves;
/// Asks another site.
pub mod peer;
/// Reports, asks, and finishes what was left, until the role stops.
pub mod watch;

/// For how long a report counts as what another site has now.
const FRESH: Duration = Duration::from_secs(3);
/// The announcement that items of a product may come from another site: as long as it stands
/// at the product (`stock/reopening.rs`), nobody says "sold out".
pub(crate) const MAY_COME: &str = "sites";
/// Requests of other sites that are worked on at once.
const TURNS: usize = 32;

/// What this site has, by product.
type Holdings = Arc<HashMap<Item, Holding>>;

/// What is known of another site.
#[derive(Debug, Default)]
struct Known {
    /// Its last report, by product; `None` if it has never reported.
    report: Option<HashMap<Item, ReportLine>>,
    /// When this site asked for that report.
    at: Option<Instant>,
    /// What of it is in Redis for commands, and since when.
    heard: Heard,
    written: Option<Instant>,
}

/// This site among others: what the relay role knows of them.
#[derive(Debug)]
pub struct Sites {
    settings: SiteSettings,
    keys: Arc<Keyring>,
    mover: Mover,
    peers: Vec<Peer>,
    known: Mutex<HashMap<String, Known>>,
    /// What this site has, and when that was read.
    holdings: Mutex<Option<(Instant, Holdings)>>,
    /// When this site asked the home last, in an exchange that was answered.
    home_asked: Mutex<Option<Instant>>,
    /// Transfers that are being carried on in this process.
    busy: Mutex<HashSet<String>>,
    /// Products for which this site is asking.
    asking: Mutex<HashSet<Item>>,
    turns: Semaphore,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sites {
    /// This site with these parts.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and a peer's address needs them.
    pub fn new(
        settings: SiteSettings,
        keys: Arc<Keyring>,
        (redis, segments, store): (RedisLink, Segments, LazyStore),
    ) -> std::io::Result<Self> {
        let peer = |peer| Peer::new(&settings.name, peer, &keys);
        let peers: std::io::Result<Vec<Peer>> = settings.peers.iter().map(peer).collect();
        let mover = Mover {
            redis,
            segments,
            store,
        };
        Ok(Self {
            peers: peers?,
            settings,
            keys,
            mover,
            known: Mutex::default(),
            holdings: Mutex::default(),
            home_asked: Mutex::default(),
            busy: Mutex::default(),
            asking: Mutex::default(),
            turns: Semaphore::new(TURNS),
        })
    }

    /// The others.
    #[must_use]
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// Moves items at this site.
    #[must_use]
    pub fn mover(&self) -> &Mover {
        &self.mover
    }

    fn peer(&self, name: &str) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.name() == name)
    }

    /// What this site has, unless that was read too long ago.
    fn own(&self) -> Option<Holdings> {
        let holdings = locked(&self.holdings);
        let (at, read) = holdings.as_ref()?;
        (at.elapsed() < FRESH).then(|| Arc::clone(read))
    }

    /// What this site reports to others.
    fn report(&self) -> Option<Report> {
        let own = self.own()?;
        let line = |(item, it): (&Item, &Holding)| ReportLine {
            round: item.round().to_owned(),
            product: item.product().to_owned(),
            amount: it.amount,
            sold: it.sold,
            free: it.free,
        };
        Some(Report {
            items: own.iter().map(line).collect(),
            lost: Vec::new(),
        })
    }

    /// Takes over what another site reports; `asked` if it asked by itself, at its time
    /// `at_ms`.
    async fn hear(
        &self,
        peer: &str,
        report: &Report,
        (at, at_ms): (Instant, u64),
        asked: bool,
    ) -> Result<(), RedisLinkError> {
        let to_write = {
            let mut known = locked(&self.known);
            let known = known.entry(peer.to_owned()).or_default();
            if known.at.is_none_or(|before| before <= at) {
                let lines = report.items.iter();
                let lines = lines.filter_map(|line| Some((line.item()?, line.clone())));
                known.report = Some(lines.collect());
                known.at = Some(at);
                known.heard.at_ms = at_ms;
                known.heard.items.clone_from(&report.items);
            }
            if asked {
                known.heard.asked_ms = at_ms.max(known.heard.asked_ms);
            }
            let is_due = known
                .written
                .is_none_or(|written| written.elapsed() >= Duration::from_secs(1));
            is_due.then(|| {
                known.written = Some(Instant::now());
                known.heard.to_text()
            })
        };
        if let Some(text) = to_write {
            let mut conn = self.mover.redis.conn().await?;
            let mut set = redis::cmd("HSET");
            set.arg(keys::SITE_REPORTS).arg(peer).arg(text);
            set.exec_async(&mut conn).await?;
        }
        Ok(())
    }

    /// Reads what others reported before this process started.
    async fn remember(&self) -> Result<(), RedisLinkError> {
        let mut conn = self.mover.redis.conn().await?;
        let heard = messages::heard(&mut conn).await?;
        let mut known = locked(&self.known);
        for (peer, heard) in heard {
            let known = known.entry(peer).or_default();
            if known.report.is_none() {
                let lines = heard.items.iter();
                let lines = lines.filter_map(|line| Some((line.item()?, line.clone())));
                known.report = Some(lines.collect());
                known.heard = heard;
            }
        }
        Ok(())
    }

    /// Notes that another site has so many items more than it reported.
    fn note_given(&self, peer: &str, item: &Item, items: u64) {
        let mut known = locked(&self.known);
        let known = known.entry(peer.to_owned()).or_default();
        let report = known.report.get_or_insert_default();
        let line = report.entry(item.clone()).or_insert_with(|| ReportLine {
            round: item.round().to_owned(),
            product: item.product().to_owned(),
            amount: 0,
            sold: 0,
            free: 0,
        });
        line.amount += items;
    }

    /// The free items of every other site that is heard now.
    fn free_elsewhere(&self, item: &Item) -> Vec<(String, u64)> {
        let known = locked(&self.known);
        let free = |(peer, known): (&String, &Known)| {
            let is_fresh = known.at.is_some_and(|at| at.elapsed() < FRESH);
            let line = known.report.as_ref()?.get(item)?;
            is_fresh.then(|| (peer.clone(), line.free))
        };
        known.iter().filter_map(free).collect()
    }

    /// Whether items may still come here from another site: it had some that were not sold
    /// when it was last heard, or was never heard.
    fn may_come(&self, item: &Item) -> bool {
        let known = locked(&self.known);
        self.peers.iter().any(|peer| {
            let report = known.get(peer.name()).and_then(|it| it.report.as_ref());
            report.is_none_or(|report| {
                let line = report.get(item);
                line.is_some_and(|line| line.sold < line.amount)
            })
        })
    }
}
