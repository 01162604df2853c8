//! The heartbeat: this edge is alive, and so many others are.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::RedisResult;
use seckill_core::edge::EdgeLine;
use seckill_core::keys;
use seckill_core::rate::census::Census;

use super::failing::Failing;
use crate::conf::Edge;
use crate::link::{self, Link};
use crate::{clock, error_log};

/// One worker's part in it.
pub(super) struct Heart {
    link: Link,
    edge: Edge,
    failing: Failing,
    /// When the names were compared last, monotonic ms.
    compared_ms: u64,
    /// Other edges of this name that were logged.
    namesakes: Vec<String>,
}

/// How often an edge looks for others of its name, in ms.
const COMPARE_EVERY_MS: u64 = 1_000;

impl Heart {
    /// Over a new connection.
    pub(super) fn new(link: Link, edge: Edge) -> Self {
        Self {
            link,
            edge,
            failing: Failing::default(),
            compared_ms: 0,
            namesakes: Vec::new(),
        }
    }

    /// The pause between two beats.
    pub(super) fn pause(&self) -> Duration {
        self.edge.pace.pause
    }

    /// Sends the heartbeat if it is due and this worker is the refresher. An edge that ends
    /// sends none: its part of the site's rate is the others'.
    ///
    /// # Errors
    /// The error of a lost connection. An error reply is logged instead: the number of
    /// edges stays as it was last known.
    pub(super) async fn beat(&mut self) -> RedisResult<()> {
        if self.edge.is_ending() || !self.edge.zone.claim_refresh() {
            return Ok(());
        }
        let (zone, pace) = (&self.edge.zone, self.edge.pace);
        let Some(silent_ms) = zone.heartbeat_due(pace.pause) else {
            return Ok(());
        };
        let sent = self.send(silent_ms).await;
        if sent.is_ok() {
            link::works();
        }
        self.failing.tolerate("the heartbeat fails", sent)
    }

    /// Sends a heartbeat, the first for so long, and takes this edge's share of the
    /// site's rate.
    async fn send(&mut self, silent_ms: u64) -> RedisResult<()> {
        let (zone, pace) = (&self.edge.zone, self.edge.pace);
        let now_ms = clock::monotonic_ms();
        let compares = now_ms - self.compared_ms >= COMPARE_EVERY_MS;
        let prefix = if compares {
            self.edge.line.prefix()
        } else {
            String::new()
        };
        let reply: (u64, u64, bool, Vec<String>) = redis::cmd("EVALSHA")
            .arg(&self.link.scripts.heartbeat)
            .arg(1)
            .arg(keys::EDGES)
            .arg(self.edge.line.to_string())
            .arg(pace.alive.as_millis() as u64)
            .arg(prefix)
            .query_async(&mut self.link.connection.clone())
            .await?;
        let (edges, unheard_ms, was_lost, namesakes) = reply;
        let census = Census {
            before: zone.edges_read(),
            now: edges,
            unheard_ms,
            silent_ms: if was_lost { silent_ms } else { 0 },
        };
        zone.set_edges(edges);
        for (place, limit) in self.edge.shared_rates.iter() {
            zone.apply(*place, limit.share(edges), census.change());
        }
        if compares {
            self.compared_ms = now_ms;
            self.compare(namesakes);
        }
        Ok(())
    }

    /// Logs other edges that claim this one's name, when they appear and when they are
    /// gone. They are counted apart all the same.
    fn compare(&mut self, mut namesakes: Vec<String>) {
        namesakes.sort_unstable();
        let count = namesakes.len() as u64;
        self.edge.zone.namesakes().store(count, Ordering::Relaxed);
        if namesakes == self.namesakes {
            return;
        }
        let line = &self.edge.line;
        if namesakes.is_empty() {
            error_log::notice(&format!("no other edge is called {} any more", line.node));
        } else {
            let shown = |other: &String| {
                EdgeLine::parse(other).map_or_else(|| other.clone(), |other| other.shown())
            };
            let others: Vec<String> = namesakes.iter().map(shown).collect();
            error_log::warn(&format!(
                "{} edges are called {}: this one is {}, others are {}; give each a seckill_node of its own, or none. An upgrade of the binary that is under way is no fault, nor is a reload with another size of seckill_zone",
                count + 1,
                line.node,
                line.shown(),
                others.join(", ")
            ));
        }
        self.namesakes = namesakes;
    }
}
