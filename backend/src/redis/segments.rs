//! The Redis masters that hold the stock, and which segment lives on which
//! (course §132).
//!
//! A product's stock is cut into segments, so that several masters share the
//! load of one product. Keys of a product as a whole (its permits, leases,
//! information) and the catalogue live on the main Redis, which the edges use;
//! a segment's keys (stock, buyers, outbox, spent) live on the segment's master,
//! all on the same one.

use std::fmt;
use std::sync::{Arc, OnceLock};

use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use tokio::time::Instant;

use crate::config::cluster_node;
use crate::redis::{Guard, RedisLink, RedisLinkError, Replication};

/// Finds the masters of a Redis Cluster.
mod cluster;

use cluster::Cluster;

/// One segment of one product's stock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Segment {
    /// The product.
    pub item: Item,
    /// Its number, counted from 1.
    pub number: u16,
}

impl Segment {
    /// All segments of a product.
    pub fn all(item: &Item, entry: &Entry) -> impl Iterator<Item = Segment> + use<> {
        let item = item.clone();
        (1..=entry.segments.max(1)).map(move |number| Segment {
            item: item.clone(),
            number,
        })
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{:02}", self.item, self.number)
    }
}

/// Which master holds which segment; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Segments {
    /// The main Redis.
    main: RedisLink,
    home: Home,
    guard: Arc<OnceLock<Arc<dyn Guard>>>,
}

#[derive(Debug, Clone)]
enum Home {
    /// Segment 1 on the first, 2 on the second, … and from the first again.
    Masters(Arc<[RedisLink]>),
    Cluster(Arc<Cluster>),
}

/// A share of the segments that is read by itself: what is wrong with one part
/// does not hold up the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The segments of the master with this index. One command may read several.
    Master(usize),
    /// All segments of a Redis Cluster. A command must not touch two of them.
    Cluster,
}

impl Segments {
    /// All segments on one Redis.
    #[must_use]
    pub fn on(redis: RedisLink) -> Self {
        Self {
            main: redis.clone(),
            home: Home::Masters(Arc::new([redis])),
            guard: Arc::default(),
        }
    }

    /// The segments' masters as configured: none of their own (then they live on
    /// the main Redis), several independent ones, or nodes of a Redis Cluster.
    /// Connects on first use.
    ///
    /// # Errors
    /// An address is wrong, or nodes of a Cluster stand beside independent masters.
    pub fn open(main: &RedisLink, urls: &[String]) -> Result<Self, RedisLinkError> {
        if urls.is_empty() {
            return Ok(Self::on(main.clone()));
        }
        let nodes: Vec<String> = urls.iter().filter_map(|url| cluster_node(url)).collect();
        if nodes.is_empty() {
            let links: Result<Vec<_>, _> = urls
                .iter()
                .map(|url| RedisLink::lazy_with(url, main.patience()))
                .collect();
            return Ok(Self {
                main: main.clone(),
                home: Home::Masters(links?.into()),
                guard: Arc::default(),
            });
        }
        if nodes.len() < urls.len() {
            return Err(RedisLinkError::Mixed);
        }
        let seeds: Result<Vec<_>, _> = nodes
            .iter()
            .map(|node| RedisLink::lazy_with(node, main.patience()))
            .collect();
        Ok(Self {
            main: main.clone(),
            home: Home::Cluster(Cluster::following(seeds?)),
            guard: Arc::default(),
        })
    }

    /// The main Redis, which has the permits.
    #[must_use]
    pub fn main(&self) -> &RedisLink {
        &self.main
    }

    /// Has every new connection to a master checked from now on, before a caller gets it. The
    /// first guard stays.
    pub fn guard(&self, guard: &Arc<dyn Guard>) {
        let _ = self.guard.set(Arc::clone(guard));
        match &self.home {
            Home::Masters(links) => links.iter().for_each(|link| link.guard(guard)),
            Home::Cluster(cluster) => cluster.guard(guard),
        }
    }

    /// Lets a write to a master count from now on once so many replicas have it.
    pub fn replicate(&self, replication: Replication) {
        match &self.home {
            Home::Masters(links) => links.iter().for_each(|link| link.replicate(replication)),
            Home::Cluster(cluster) => cluster.replicate(replication),
        }
    }

    /// The master that holds this segment.
    ///
    /// # Errors
    /// [`RedisLinkError::Away`]: no node of the Cluster says which master holds it.
    pub async fn link(&self, item: &Item, segment: u16) -> Result<RedisLink, RedisLinkError> {
        match &self.home {
            Home::Masters(links) => Ok(links[index(segment, links.len())].clone()),
            Home::Cluster(cluster) => cluster.link(&keys::stock(item, segment)).await,
        }
    }

    /// The shared connection to the master that holds this segment.
    ///
    /// # Errors
    /// [`RedisLinkError::Away`]; nothing was sent.
    pub async fn conn(
        &self,
        item: &Item,
        segment: u16,
    ) -> Result<MultiplexedConnection, RedisLinkError> {
        let link = self.link(item, segment).await?;
        match (link.conn().await, &self.home) {
            (Err(RedisLinkError::Away { .. }), Home::Cluster(cluster)) => {
                // Another node may have taken its place.
                cluster.refresh().await?;
                let link = cluster.link(&keys::stock(item, segment)).await?;
                link.conn().await
            }
            (conn, _) => conn,
        }
    }

    /// Notes a transfer that left a segment or arrived there ([`Guard::learn`]).
    pub fn learn(&self, item: &Item, number: u16, transfer: &str) {
        if let Some(guard) = self.guard.get() {
            let segment = Segment {
                item: item.clone(),
                number,
            };
            guard.learn(&segment, transfer);
        }
    }

    /// Whether Redis refused a command because another master holds the segment by now, or
    /// will soon. If so, the masters are looked up again; the command was not executed and
    /// may be repeated.
    pub async fn has_moved(&self, error: &RedisLinkError) -> bool {
        let (Home::Cluster(cluster), RedisLinkError::Refused(error)) = (&self.home, error) else {
            return false;
        };
        let refreshed = match error.code() {
            Some("MOVED") => cluster.refresh_after(Instant::now()).await,
            // While it moves, every command says so, and the map may not.
            Some("ASK" | "TRYAGAIN" | "CLUSTERDOWN") => cluster.refresh().await,
            _ => return false,
        };
        refreshed.is_ok()
    }

    /// Groups `things` by the master that holds the segment of each.
    ///
    /// # Errors
    /// As [`Segments::link`].
    pub async fn by_master<T>(
        &self,
        things: Vec<T>,
        segment_of: impl Fn(&T) -> (&Item, u16),
    ) -> Result<Vec<(RedisLink, Vec<T>)>, RedisLinkError> {
        let mut sorted: Vec<(RedisLink, Vec<T>)> = Vec::new();
        for thing in things {
            let (item, segment) = segment_of(&thing);
            let link = self.link(item, segment).await?;
            match sorted.iter_mut().find(|(known, _)| known.is_same(&link)) {
                Some((_, group)) => group.push(thing),
                None => sorted.push((link, vec![thing])),
            }
        }
        Ok(sorted)
    }

    /// The shares that are read each by itself.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        match &self.home {
            Home::Masters(links) => (0..links.len()).map(Part::Master).collect(),
            Home::Cluster(_) => vec![Part::Cluster],
        }
    }

    /// How many segments a product may have so that none moves when the list of masters
    /// grows at its end; `None` if there is no list to grow, on the main Redis alone and in a
    /// Cluster.
    #[must_use]
    pub fn most(&self) -> Option<usize> {
        match &self.home {
            Home::Masters(links) if links.iter().any(|link| link.is_same(&self.main)) => None,
            Home::Masters(links) => Some(links.len()),
            Home::Cluster(_) => None,
        }
    }

    /// Whether `segment` belongs to `part`.
    #[must_use]
    pub fn is_in(&self, part: Part, segment: u16) -> bool {
        match (&self.home, part) {
            (Home::Masters(links), Part::Master(at)) => index(segment, links.len()) == at,
            (Home::Cluster(_), Part::Cluster) => true,
            _ => false,
        }
    }

    /// Every master there is, with its address.
    ///
    /// # Errors
    /// [`RedisLinkError::Away`]: no node of the Cluster replies.
    pub async fn masters(&self) -> Result<Vec<RedisLink>, RedisLinkError> {
        match &self.home {
            Home::Masters(links) => Ok(links.to_vec()),
            Home::Cluster(cluster) => cluster.masters().await,
        }
    }
}

/// Which of `masters` holds this segment.
fn index(segment: u16, masters: usize) -> usize {
    usize::from(segment.saturating_sub(1)) % masters.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Item {
        Item::new("1", "153").unwrap()
    }

    #[tokio::test]
    async fn segments_are_dealt_to_the_masters_in_turn() {
        let urls = ["redis://a:1", "redis://b:1", "redis://c:1"].map(str::to_owned);
        let main = RedisLink::lazy("redis://main:1").unwrap();
        let segments = Segments::open(&main, &urls).unwrap();
        let mut addresses = Vec::new();
        for number in 1..=4 {
            let link = segments.link(&item(), number).await.unwrap();
            addresses.push(link.address().to_owned());
        }
        assert_eq!(addresses, ["a:1", "b:1", "c:1", "a:1"]);
        let sorted = segments
            .by_master(vec![1, 4, 2], |number| (&ITEM, *number))
            .await
            .unwrap();
        let numbers: Vec<_> = sorted.into_iter().map(|(_, numbers)| numbers).collect();
        assert_eq!(numbers, [vec![1, 4], vec![2]]);
        assert_eq!((segments.parts().len(), segments.most()), (3, Some(3)));
        assert!(segments.is_in(Part::Master(0), 4) && !segments.is_in(Part::Master(0), 2));
    }

    static ITEM: std::sync::LazyLock<Item> = std::sync::LazyLock::new(item);

    #[tokio::test]
    async fn without_masters_of_their_own_segments_live_on_the_main_redis() {
        let main = RedisLink::lazy("redis://main:1").unwrap();
        let segments = Segments::open(&main, &[]).unwrap();
        let link = segments.link(&item(), 7).await.unwrap();
        assert!(link.is_same(&main));
        assert_eq!(segments.most(), None);
    }

    #[tokio::test]
    async fn cluster_nodes_and_independent_masters_cannot_be_mixed() {
        let main = RedisLink::lazy("redis://main:1").unwrap();
        let urls = ["redis://a:1", "redis+cluster://b:1"].map(str::to_owned);
        let error = Segments::open(&main, &urls).unwrap_err().to_string();
        assert!(error.contains("redis+cluster://"), "{error}");
    }
}
