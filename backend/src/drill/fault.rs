//! What is struck, and how. Every fault is a real one: a signal, a file put back, a file
//! system without room.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::system::System;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// redis-server is killed, and started again on its append-only file.
    RedisKill,
    /// redis-server stands still, its connections open.
    RedisStall,
    /// redis-server comes back with a snapshot from before the strike.
    RedisOld,
    /// redis-server comes back empty.
    RedisEmpty,
    /// redis-server becomes a replica of nobody, and a master again.
    RedisDemoted,
    /// redis-server has no memory left for writes.
    RedisFull,
    /// The process of all roles is killed, and started again.
    PurchaseKill,
    /// The process of all roles stands still.
    PurchaseStall,
    /// nginx's master is killed with its workers; the supervisor starts it again.
    EdgeKill,
    /// One worker of nginx is killed.
    EdgeWorkerKill,
    /// nginx reads its configuration again.
    EdgeReload,
    /// Redis is killed, and the journal's disk is full.
    DiskFull,
    /// Redis is killed, and then the process of all roles, with a journal to replay.
    BothKill,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 13] = [
        Fault::RedisKill,
        Fault::RedisStall,
        Fault::RedisOld,
        Fault::RedisEmpty,
        Fault::RedisDemoted,
        Fault::RedisFull,
        Fault::PurchaseKill,
        Fault::PurchaseStall,
        Fault::EdgeKill,
        Fault::EdgeWorkerKill,
        Fault::EdgeReload,
        Fault::DiskFull,
        Fault::BothKill,
    ];

    /// Its name, and that of its drill.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::RedisKill => "redis-kill",
            Fault::RedisStall => "redis-stall",
            Fault::RedisOld => "redis-old",
            Fault::RedisEmpty => "redis-empty",
            Fault::RedisDemoted => "redis-demoted",
            Fault::RedisFull => "redis-full",
            Fault::PurchaseKill => "purchase-kill",
            Fault::PurchaseStall => "purchase-stall",
            Fault::EdgeKill => "edge-kill",
            Fault::EdgeWorkerKill => "edge-worker-kill",
            Fault::EdgeReload => "edge-reload",
            Fault::DiskFull => "disk-full",
            Fault::BothKill => "redis-and-purchase-kill",
        }
    }

    /// What it does, as a sentence.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Fault::RedisKill => "Kills Redis for three seconds; purchases are journalled and made.",
            Fault::RedisStall => "Stops Redis for three seconds with its connections open.",
            Fault::RedisOld => "Puts an older snapshot in Redis's place; nothing is sold twice.",
            Fault::RedisEmpty => "Brings Redis back empty; it is put back from the database.",
            Fault::RedisDemoted => "Makes Redis a replica for three seconds, then a master again.",
            Fault::RedisFull => "Leaves Redis no memory for writes for three seconds.",
            Fault::PurchaseKill => "Kills the process of all roles, and starts it again.",
            Fault::PurchaseStall => "Stops the process of all roles for three seconds.",
            Fault::EdgeKill => "Kills nginx with its workers; the supervisor starts it again.",
            Fault::EdgeWorkerKill => "Kills a worker of nginx.",
            Fault::EdgeReload => "Has nginx read its configuration again.",
            Fault::DiskFull => "Kills Redis while the journal's disk is full; nothing is promised.",
            Fault::BothKill => {
                "Kills Redis, then the roles with a journal that is not replayed yet."
            }
        }
    }

    /// The fault of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    pub(super) fn lasts(self) -> Duration {
        match self {
            Fault::PurchaseKill | Fault::EdgeKill | Fault::EdgeWorkerKill | Fault::EdgeReload => {
                Duration::ZERO
            }
            _ => Duration::from_secs(3),
        }
    }

    pub(super) async fn strike(self, system: &mut System) -> anyhow::Result<()> {
        match self {
            Fault::RedisKill | Fault::DiskFull | Fault::RedisEmpty => system.kill_redis().await,
            Fault::RedisStall => system.signal_redis(Signal::SIGSTOP),
            Fault::RedisOld => {
                system.keep_snapshot().await?;
                // What is sold now, the snapshot does not know.
                tokio::time::sleep(Duration::from_secs(2)).await;
                system.kill_redis().await
            }
            Fault::RedisDemoted => system.tell_redis(&["REPLICAOF", "127.0.0.1", "1"]).await,
            Fault::RedisFull => {
                system
                    .tell_redis(&["CONFIG", "SET", "maxmemory", "1"])
                    .await
            }
            Fault::PurchaseKill => system.kill_up().await,
            Fault::PurchaseStall => system.signal_up(Signal::SIGSTOP),
            Fault::EdgeKill => system.signal_edge_master(Signal::SIGKILL),
            Fault::EdgeWorkerKill => system.signal_edge_worker(Signal::SIGKILL),
            Fault::EdgeReload => system.signal_edge_master(Signal::SIGHUP),
            Fault::BothKill => {
                system.kill_redis().await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                system.kill_up().await
            }
        }
    }

    pub(super) async fn mend(self, system: &mut System) -> anyhow::Result<()> {
        match self {
            Fault::RedisKill | Fault::DiskFull => system.start_redis().await,
            Fault::RedisStall => system.signal_redis(Signal::SIGCONT),
            Fault::RedisOld => system.start_redis_with_snapshot().await,
            Fault::RedisEmpty => system.start_redis_empty().await,
            Fault::RedisDemoted => system.tell_redis(&["REPLICAOF", "NO", "ONE"]).await,
            Fault::RedisFull => {
                system
                    .tell_redis(&["CONFIG", "SET", "maxmemory", "0"])
                    .await
            }
            Fault::PurchaseStall => system.signal_up(Signal::SIGCONT),
            Fault::PurchaseKill => system.start_up().await,
            Fault::BothKill => {
                system.start_redis().await?;
                system.start_up().await
            }
            Fault::EdgeKill | Fault::EdgeWorkerKill | Fault::EdgeReload => Ok(()),
        }
    }
}
