//! Waits until replicas have what was written (`WAIT`).
//!
//! A master that dies takes along what its replicas had not received. Where that must not
//! happen, a write counts only once enough replicas have it. `WAIT` covers all that its own
//! connection has written, and holds up what comes behind it on that connection; so one is
//! under way at a time, for all who wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};
use tokio::sync::Mutex;

/// How many replicas must have a write before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replication {
    /// Replicas, at least 1.
    pub replicas: u8,
    /// Longest wait for them.
    pub within: Duration,
}

/// Those who wait on one connection.
#[derive(Debug, Default)]
pub(super) struct Barrier {
    /// How many have come.
    tickets: AtomicU64,
    outcome: Mutex<Outcome>,
}

#[derive(Debug, Default)]
struct Outcome {
    /// The last ticket that a `WAIT` covered.
    covered: u64,
    /// The last one whose writes enough replicas have.
    replicated: u64,
}

impl Barrier {
    /// Whether enough replicas have everything that this connection has written so far.
    ///
    /// # Errors
    /// The connection is lost, or the server is no master any more: then it is not known.
    pub(super) async fn pass(
        &self,
        conn: &mut MultiplexedConnection,
        replication: Replication,
    ) -> RedisResult<bool> {
        let ticket = self.tickets.fetch_add(1, Ordering::AcqRel) + 1;
        let mut outcome = self.outcome.lock().await;
        if outcome.covered >= ticket {
            return Ok(outcome.replicated >= ticket);
        }
        let covered = self.tickets.load(Ordering::Acquire);
        let mut wait = redis::cmd("WAIT");
        wait.arg(replication.replicas)
            .arg(u64::try_from(replication.within.as_millis()).unwrap_or(u64::MAX));
        let replicas: Result<u8, RedisError> = wait.query_async(conn).await;
        let replicated = replicas? >= replication.replicas;
        outcome.covered = covered;
        if replicated {
            outcome.replicated = covered;
        }
        Ok(replicated)
    }
}
