//! Finds the masters of a Redis Cluster and follows them when slots move.
//!
//! Each master gets a link of its own, as an independent one would: whether a
//! failed command may have been executed is then known in the same way, blocking
//! reads have their own connections, and scripts are loaded where they run. All
//! commands touch one segment, hence one slot, so that nothing has to be routed
//! but the link itself.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use seckill_core::keys::slot::slot_of;
use tokio::time::{Instant, timeout};

use crate::redis::{Guard, RedisLink, RedisLinkError, Replication};

/// How often the map is read again.
const REFRESH: Duration = Duration::from_millis(500);
/// A reading that ended less than this ago is not repeated.
const FRESH: Duration = Duration::from_millis(50);

/// A Redis Cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    /// The nodes that were configured.
    seeds: Vec<RedisLink>,
    map: RwLock<Arc<Map>>,
    /// Held while reading the map, so that a hundred callers read once.
    reader: tokio::sync::Mutex<Reader>,
}

/// Reads the map.
///
/// By a connection of its own: a [`RedisLink`] refuses replicas, which know the masters as
/// well, and its guard, which compares a master before anything is done there, needs the map
/// itself.
#[derive(Default)]
struct Reader {
    last: Option<Reading>,
    /// The node that replied last.
    node: Option<(RedisLink, MultiplexedConnection)>,
}

/// A reading of the map that is over.
#[derive(Debug)]
struct Reading {
    began: Instant,
    ended: Instant,
    /// Why no node told it, if none did.
    failure: Option<String>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.as_ref().map(|(node, _)| node);
        f.debug_struct("Reader")
            .field("last", &self.last)
            .field("node", &node)
            .finish()
    }
}

impl Reader {
    /// What a node says of all nodes.
    async fn ask(&mut self, node: &RedisLink) -> Result<String, RedisLinkError> {
        let kept = self.node.take().filter(|(kept, _)| kept.is_same(node));
        let mut conn = match kept {
            Some((_, conn)) => conn,
            None => node.dedicated().await?,
        };
        let mut nodes = redis::cmd("CLUSTER");
        nodes.arg("NODES");
        let said = timeout(node.patience(), nodes.query_async(&mut conn)).await;
        let said = said.map_err(|_| RedisLinkError::Away {
            address: node.address().to_owned(),
            reason: format!("it did not reply within {:?}", node.patience()),
        })??;
        self.node = Some((node.clone(), conn));
        Ok(said)
    }
}

/// Who holds which slots.
#[derive(Debug, Default)]
struct Map {
    /// First slot, last slot, and the master that holds them.
    ranges: Vec<(u16, u16, RedisLink)>,
}

impl Map {
    fn link(&self, slot: u16) -> Option<&RedisLink> {
        self.ranges
            .iter()
            .find(|(first, last, _)| (*first..=*last).contains(&slot))
            .map(|(_, _, link)| link)
    }

    /// The masters, in the order of their first slots.
    fn masters(&self) -> Vec<RedisLink> {
        let mut masters: Vec<RedisLink> = Vec::new();
        for (_, _, link) in &self.ranges {
            if !masters.iter().any(|known| known.is_same(link)) {
                masters.push(link.clone());
            }
        }
        masters
    }
}

impl Cluster {
    /// A cluster whose map is kept up to date by a task of its own, which ends
    /// when the last handle is dropped. Must be called inside a runtime.
    pub(super) fn following(seeds: Vec<RedisLink>) -> Arc<Self> {
        let cluster = Arc::new(Self {
            seeds,
            map: RwLock::default(),
            reader: tokio::sync::Mutex::default(),
        });
        tokio::spawn(follow(Arc::downgrade(&cluster)));
        cluster
    }

    /// Has connections to all nodes checked, also to those that come later.
    pub(super) fn guard(&self, guard: &Arc<dyn Guard>) {
        let nodes = self.map().masters();
        nodes
            .iter()
            .chain(&self.seeds)
            .for_each(|node| node.guard(guard));
    }

    /// Lets a write to a node count once so many replicas have it.
    pub(super) fn replicate(&self, replication: Replication) {
        let nodes = self.map().masters();
        let nodes = nodes.iter().chain(&self.seeds);
        nodes.for_each(|node| node.replicate(replication));
    }

    /// The master that holds `key`.
    pub(super) async fn link(&self, key: &str) -> Result<RedisLink, RedisLinkError> {
        let slot = slot_of(key);
        if let Some(link) = self.map().link(slot) {
            return Ok(link.clone());
        }
        self.refresh().await?;
        self.map().link(slot).cloned().ok_or_else(|| {
            let reason = format!("no master of the Cluster holds slot {slot}");
            self.away(reason)
        })
    }

    /// All masters.
    pub(super) async fn masters(&self) -> Result<Vec<RedisLink>, RedisLinkError> {
        if self.map().ranges.is_empty() {
            self.refresh().await?;
        }
        Ok(self.map().masters())
    }

    /// Reads the map from the first node that replies, unless another caller just did.
    pub(super) async fn refresh(&self) -> Result<(), RedisLinkError> {
        self.read_unless(|last| last.ended.elapsed() < FRESH).await
    }

    /// The same after a node said that a slot had `moved`: a map that was read before is not
    /// fresh, however short the time since.
    pub(super) async fn refresh_after(&self, moved: Instant) -> Result<(), RedisLinkError> {
        self.read_unless(|last| last.failure.is_none() && last.began >= moved)
            .await
    }

    /// Reads the map unless the last reading will do.
    async fn read_unless(
        &self,
        will_do: impl FnOnce(&Reading) -> bool,
    ) -> Result<(), RedisLinkError> {
        let mut reader = self.reader.lock().await;
        if !reader.last.as_ref().is_some_and(will_do) {
            let began = Instant::now();
            let failure = self.read(&mut reader).await.err();
            reader.last = Some(Reading {
                began,
                ended: Instant::now(),
                failure,
            });
        }
        let failure = reader.last.as_ref().and_then(|last| last.failure.clone());
        failure.map_or(Ok(()), |reason| Err(self.away(reason)))
    }

    /// Reads the map from the first node that tells it, beginning with the one that did
    /// last: one that is silent costs all that wait for this half a second.
    async fn read(&self, reader: &mut Reader) -> Result<(), String> {
        let mut nodes = self.map().masters();
        nodes.extend(self.seeds.iter().cloned());
        let last = reader.node.as_ref().map(|(node, _)| node.clone());
        nodes.sort_by_key(|node| !last.as_ref().is_some_and(|last| last.is_same(node)));
        let mut reason = "no node is configured".to_owned();
        for node in &nodes {
            let said = reader.ask(node).await;
            match said.and_then(|text| self.map_of(&text, node)) {
                Ok(map) => {
                    *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
                    return Ok(());
                }
                Err(RedisLinkError::Away { reason: why, .. }) => reason = why,
                Err(error) => reason = error.to_string(),
            }
        }
        Err(reason)
    }

    /// The map as `node` told it.
    ///
    /// # Errors
    /// It is cut off from the others, so that its map may be old.
    fn map_of(&self, text: &str, node: &RedisLink) -> Result<Map, RedisLinkError> {
        if !sees_most(text) {
            return Err(RedisLinkError::Away {
                address: node.address().to_owned(),
                reason: "it does not reach most masters of the Cluster".to_owned(),
            });
        }
        let known: Vec<RedisLink> = self.map().masters();
        let mut ranges = Vec::new();
        for Holder {
            address,
            first,
            last,
        } in holders(text, node.host())
        {
            let same = |link: &&RedisLink| link.address() == address;
            let in_map = ranges
                .iter()
                .map(|(_, _, link)| link)
                .chain(&known)
                .chain(&self.seeds)
                .find(same);
            let link = match in_map {
                Some(link) => link.clone(),
                None => node.beside(&address)?,
            };
            ranges.push((first, last, link));
        }
        ranges.sort_by_key(|(first, _, _)| *first);
        Ok(Map { ranges })
    }

    fn map(&self) -> Arc<Map> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&map)
    }

    fn away(&self, reason: String) -> RedisLinkError {
        let addresses: Vec<&str> = self.seeds.iter().map(RedisLink::address).collect();
        RedisLinkError::Away {
            address: addresses.join(", "),
            reason,
        }
    }
}

async fn follow(cluster: Weak<Cluster>) {
    let mut failing = false;
    while let Some(cluster) = cluster.upgrade() {
        match cluster.refresh().await {
            Ok(()) => failing = false,
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "the Cluster's masters cannot be looked up; those known are used");
                }
                failing = true;
            }
        }
        drop(cluster);
        tokio::time::sleep(REFRESH).await;
    }
}

/// Whether the node that replied so reaches at least half of the masters.
fn sees_most(text: &str) -> bool {
    let flags = |line: &str| line.split_ascii_whitespace().nth(2).map(str::to_owned);
    let masters: Vec<String> = text
        .lines()
        .filter_map(flags)
        .filter(|flags| flags.split(',').any(|flag| flag == "master"))
        .collect();
    let has_failed = |flags: &&String| flags.split(',').any(|flag| flag.starts_with("fail"));
    2 * masters.iter().filter(has_failed).count() <= masters.len()
}

/// Slots and the `host:port` of the master that holds them.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    address: String,
    first: u16,
    last: u16,
}

/// Reads the reply of `CLUSTER NODES`: a line for each node, `id host:port@bus
/// flags master ping pong epoch state slot…`. A node that does not know its own
/// host yet leaves it empty; it is the node that replied, at `own_host`.
fn holders(text: &str, own_host: &str) -> Vec<Holder> {
    let mut found = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, address, flags, _, _, _, _, _, slots @ ..] = fields.as_slice() else {
            continue;
        };
        if !flags.split(',').any(|flag| flag == "master") {
            continue;
        }
        let Some((host, port)) = address
            .split('@')
            .next()
            .and_then(|address| address.rsplit_once(':'))
        else {
            continue;
        };
        let host = if host.is_empty() { own_host } else { host };
        for slots in slots {
            // Slots in brackets are being moved; the master that holds them lists them.
            let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
            if let (Ok(first), Ok(last)) = (first.parse(), last.parse()) {
                let address = format!("{host}:{port}");
                found.push(Holder {
                    address,
                    first,
                    last,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_are_read_with_the_slots_they_hold() {
        let text = "\
a1 10.0.0.1:7000@17000 master - 0 0 1 connected 0-5460 9000
b2 :7001@17001,host2 myself,master - 0 0 2 connected 5461-8999 [93-<-a1]
c3 10.0.0.3:7002@17002 slave a1 0 0 1 connected
d4 ::1:7003@17003 master,fail - 0 0 4 connected 9001-16383
";
        let found = holders(text, "10.0.0.2");
        let shown: Vec<String> = found
            .iter()
            .map(|holder| format!("{} {}-{}", holder.address, holder.first, holder.last))
            .collect();
        assert_eq!(
            shown,
            [
                "10.0.0.1:7000 0-5460",
                "10.0.0.1:7000 9000-9000",
                "10.0.0.2:7001 5461-8999",
                "::1:7003 9001-16383",
            ]
        );
        assert!(holders("nonsense\n\n", "h").is_empty());
    }

    #[test]
    fn a_node_that_is_cut_off_is_not_believed() {
        let line = |flags: &str| format!("a1 h:1@2 {flags} - 0 0 1 connected 0-5460\n");
        let alone = line("myself,master") + &line("master,fail?") + &line("master,fail");
        assert!(!sees_most(&alone));
        let one_failed = line("myself,slave") + &line("master") + &line("master,fail");
        assert!(sees_most(&one_failed));
        assert!(sees_most(&line("myself,master")) && sees_most(""));
    }
}
