//! The heartbeat: this edge is alive, and so many others are.

use std::time::Duration;

use redis::RedisResult;
use seckill_core::keys;
use seckill_core::rate::census::Census;

use super::failing::Failing;
use crate::conf::Edge;
use crate::link::{self, Link};

/// One worker's part in it.
pub(super) struct Heart {
    link: Link,
    edge: Edge,
    failing: Failing,
}

impl Heart {
    /// Over a new connection.
    pub(super) fn new(link: Link, edge: Edge) -> Self {
        Self {
            link,
            edge,
            failing: Failing::default(),
        }
    }

    /// The pause between two beats.
    pub(super) fn pause(&self) -> Duration {
        self.edge.pace.pause
    }

    /// Sends the heartbeat if it is due and this worker is the refresher.
    ///
    /// # Errors
    /// The error of a lost connection. An error reply is logged instead: the number of
    /// edges stays as it was last known.
    pub(super) async fn beat(&mut self) -> RedisResult<()> {
        if !self.edge.zone.claim_refresh() {
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
    async fn send(&self, silent_ms: u64) -> RedisResult<()> {
        let (zone, pace) = (&self.edge.zone, self.edge.pace);
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
