//! What is struck, and how. Every fault is a real one: a signal, a file put back, a file
//! system without room, a network that loses everything.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::money;
use super::needs::Needs;
use super::proxy::Condition;
use super::system::System;

/// How long the provider hangs before it is gone.
const HANGS: Duration = Duration::from_secs(2);
/// How long a replica hears nothing before it is promoted; less than the eight seconds
/// after which Sentinels lead it back to its master.
const LAG: Duration = Duration::from_secs(2);
/// How much later everything passes that is slow.
const SLOWNESS: Duration = Duration::from_millis(300);
/// How far a clock jumps, in seconds.
const JUMP_S: i64 = 20;

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
    /// Nothing passes between Redis and the others.
    RedisPartition,
    /// The master of a replicated Redis is killed; Sentinels promote its replica.
    RedisFailover,
    /// The replica lacks two seconds of purchases when the master is killed, and is promoted.
    RedisFailoverBehind,
    /// RocketMQ is killed, and started again on what it stored.
    QueueKill,
    /// mariadbd is killed, and started again.
    DatabaseKill,
    /// mariadbd stands still, its connections open.
    DatabaseHang,
    /// Everything passes to and from the database later.
    DatabaseSlow,
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
    /// The roles' wall clock jumps ahead, and back.
    ClockJump,
    /// Redis is killed, and then the process of all roles, with a journal to replay.
    BothKill,
    /// The payment provider hangs, then is gone.
    ProviderAway,
    /// Redis, MariaDB, nginx and the roles are killed at one moment.
    EverythingAtOnce,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 23] = [
        Fault::RedisKill,
        Fault::RedisStall,
        Fault::RedisOld,
        Fault::RedisEmpty,
        Fault::RedisDemoted,
        Fault::RedisFull,
        Fault::RedisPartition,
        Fault::RedisFailover,
        Fault::RedisFailoverBehind,
        Fault::QueueKill,
        Fault::DatabaseKill,
        Fault::DatabaseHang,
        Fault::DatabaseSlow,
        Fault::PurchaseKill,
        Fault::PurchaseStall,
        Fault::EdgeKill,
        Fault::EdgeWorkerKill,
        Fault::EdgeReload,
        Fault::DiskFull,
        Fault::ClockJump,
        Fault::BothKill,
        Fault::ProviderAway,
        Fault::EverythingAtOnce,
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
            Fault::RedisPartition => "redis-partition",
            Fault::RedisFailover => "redis-failover",
            Fault::RedisFailoverBehind => "redis-failover-behind",
            Fault::QueueKill => "queue-kill",
            Fault::DatabaseKill => "database-kill",
            Fault::DatabaseHang => "database-hang",
            Fault::DatabaseSlow => "database-slow",
            Fault::PurchaseKill => "purchase-kill",
            Fault::PurchaseStall => "purchase-stall",
            Fault::EdgeKill => "edge-kill",
            Fault::EdgeWorkerKill => "edge-worker-kill",
            Fault::EdgeReload => "edge-reload",
            Fault::DiskFull => "disk-full",
            Fault::ClockJump => "clock-jump",
            Fault::BothKill => "redis-and-purchase-kill",
            Fault::ProviderAway => "provider-away",
            Fault::EverythingAtOnce => "everything-at-once",
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
            Fault::RedisPartition => "Lets nothing pass to and from Redis for three seconds.",
            Fault::RedisFailover => "Kills the master; Sentinels promote a replica that has all.",
            Fault::RedisFailoverBehind => {
                "Kills the master; Sentinels promote a replica that lacks two seconds, without WAIT."
            }
            Fault::QueueKill => "Kills RocketMQ for five seconds; orders come later.",
            Fault::DatabaseKill => "Kills MariaDB for three seconds; orders come later.",
            Fault::DatabaseHang => "Stops MariaDB for five seconds with its connections open.",
            Fault::DatabaseSlow => "Delays all that passes to and from MariaDB by 0.3 s.",
            Fault::PurchaseKill => "Kills the process of all roles, and starts it again.",
            Fault::PurchaseStall => "Stops the process of all roles for three seconds.",
            Fault::EdgeKill => "Kills nginx with its workers; the supervisor starts it again.",
            Fault::EdgeWorkerKill => "Kills a worker of nginx.",
            Fault::EdgeReload => "Has nginx read its configuration again.",
            Fault::DiskFull => "Kills Redis while the journal's disk is full; nothing is promised.",
            Fault::ClockJump => "Sets the roles' clock 20 s ahead for three seconds, then back.",
            Fault::BothKill => {
                "Kills Redis, then the roles with a journal that is not replayed yet."
            }
            Fault::ProviderAway => {
                "Lets the payment provider hang, then be gone; money is booked once."
            }
            Fault::EverythingAtOnce => "Kills Redis, MariaDB, nginx and the roles at one moment.",
        }
    }

    /// The fault of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// What it is struck on.
    #[must_use]
    pub fn needs(self) -> Needs {
        let none = Needs::NONE;
        match self {
            Fault::DiskFull => Needs {
                small_disk: true,
                ..none
            },
            Fault::RedisPartition => Needs {
                redis_proxy: true,
                ..none
            },
            Fault::RedisFailover => Needs {
                replica: true,
                ..none
            },
            Fault::RedisFailoverBehind => Needs {
                replica: true,
                without_wait: true,
                ..none
            },
            Fault::QueueKill => Needs {
                queue: true,
                ..none
            },
            Fault::DatabaseKill | Fault::DatabaseHang | Fault::EverythingAtOnce => Needs {
                database: true,
                ..none
            },
            Fault::DatabaseSlow => Needs {
                database_proxy: true,
                ..none
            },
            Fault::ClockJump => Needs {
                clock: true,
                ..none
            },
            Fault::ProviderAway => Needs {
                provider: true,
                ..none
            },
            _ => none,
        }
    }

    pub(super) fn lasts(self) -> Duration {
        match self {
            Fault::PurchaseKill | Fault::EdgeKill | Fault::EdgeWorkerKill | Fault::EdgeReload => {
                Duration::ZERO
            }
            // Until a new master is there; the old one comes back as its replica.
            Fault::RedisFailover
            | Fault::RedisFailoverBehind
            | Fault::QueueKill
            | Fault::DatabaseHang
            | Fault::ProviderAway => Duration::from_secs(5),
            _ => Duration::from_secs(3),
        }
    }

    pub(super) async fn strike(self, system: &mut System) -> anyhow::Result<()> {
        match self {
            Fault::RedisKill | Fault::DiskFull => system.redis[0].kill().await?,
            Fault::RedisEmpty => {
                system.until_archived().await?;
                system.redis[0].kill().await?;
            }
            Fault::RedisStall => system.redis[0].signal(Signal::SIGSTOP)?,
            Fault::RedisOld => {
                system.until_archived().await?;
                system.redis[0].keep_snapshot().await?;
                // What is sold now, the snapshot does not know.
                tokio::time::sleep(Duration::from_secs(2)).await;
                system.redis[0].kill().await?;
            }
            Fault::RedisDemoted => {
                let words = ["REPLICAOF", "127.0.0.1", "1"];
                system.redis[0].command(&words).await?;
            }
            Fault::RedisFull => {
                let words = ["CONFIG", "SET", "maxmemory", "1"];
                system.redis[0].command(&words).await?;
            }
            Fault::RedisPartition => system.set_redis_proxy(Condition::Cut),
            Fault::RedisFailover => system.master().await?.kill().await?,
            Fault::RedisFailoverBehind => {
                // It keeps what it has, and hears of nothing more.
                let words = ["REPLICAOF", "127.0.0.1", "1"];
                system.in_role("slave").await?.command(&words).await?;
                tokio::time::sleep(LAG).await;
                system.master().await?.kill().await?;
            }
            Fault::QueueKill => {
                if let Some(queue) = &system.queue {
                    queue.kill().await?;
                }
            }
            Fault::DatabaseKill => kill_database(system).await?,
            Fault::DatabaseHang => signal_database(system, Signal::SIGSTOP)?,
            Fault::DatabaseSlow => system.set_database_proxy(Condition::Slow(SLOWNESS)),
            Fault::PurchaseKill => system.kill_up().await?,
            Fault::PurchaseStall => system.signal_up(Signal::SIGSTOP)?,
            Fault::EdgeKill => system.signal_edge_master(Signal::SIGKILL).await?,
            Fault::EdgeWorkerKill => system.signal_edge_worker(Signal::SIGKILL).await?,
            Fault::EdgeReload => system.signal_edge_master(Signal::SIGHUP).await?,
            Fault::ClockJump => system.set_clock(JUMP_S)?,
            Fault::BothKill => {
                system.redis[0].kill().await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                system.kill_up().await?;
            }
            Fault::ProviderAway => {
                money::strike(system)?;
                tokio::time::sleep(HANGS).await;
                if let Some(provider) = &mut system.provider {
                    provider.go();
                }
            }
            Fault::EverythingAtOnce => {
                system.signal_edge_master(Signal::SIGKILL).await?;
                system.kill_up().await?;
                system.redis[0].kill().await?;
                kill_database(system).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn mend(self, system: &mut System) -> anyhow::Result<()> {
        match self {
            Fault::RedisKill | Fault::DiskFull => system.redis[0].start(&[]).await?,
            Fault::RedisStall => system.redis[0].signal(Signal::SIGCONT)?,
            Fault::RedisOld => system.redis[0].start_with_snapshot().await?,
            Fault::RedisEmpty => {
                system.redis[0].remove_append_only_file()?;
                system.redis[0].start(&[]).await?;
            }
            Fault::RedisDemoted => {
                let words = ["REPLICAOF", "NO", "ONE"];
                system.redis[0].command(&words).await?;
            }
            Fault::RedisFull => {
                let words = ["CONFIG", "SET", "maxmemory", "0"];
                system.redis[0].command(&words).await?;
            }
            Fault::RedisPartition => system.set_redis_proxy(Condition::Open),
            // Its Sentinels make it a replica of the new master.
            Fault::RedisFailover | Fault::RedisFailoverBehind => {
                for server in system.redis.iter_mut().filter(|it| !it.is_up()) {
                    server.start(&[]).await?;
                }
            }
            Fault::QueueKill => {
                if let Some(queue) = &system.queue {
                    queue.start().await?;
                }
            }
            Fault::DatabaseKill => start_database(system).await?,
            Fault::DatabaseHang => signal_database(system, Signal::SIGCONT)?,
            Fault::DatabaseSlow => system.set_database_proxy(Condition::Open),
            Fault::PurchaseStall => system.signal_up(Signal::SIGCONT)?,
            Fault::PurchaseKill => system.start_up().await?,
            Fault::ClockJump => system.set_clock(0)?,
            Fault::ProviderAway => money::mend(system).await?,
            Fault::BothKill => {
                system.redis[0].start(&[]).await?;
                system.start_up().await?;
            }
            Fault::EverythingAtOnce => {
                system.redis[0].start(&[]).await?;
                start_database(system).await?;
                system.start_up().await?;
            }
            Fault::EdgeKill | Fault::EdgeWorkerKill | Fault::EdgeReload => {}
        }
        Ok(())
    }
}

async fn kill_database(system: &mut System) -> anyhow::Result<()> {
    match &mut system.database {
        Some(database) => database.kill().await,
        None => Ok(()),
    }
}

async fn start_database(system: &mut System) -> anyhow::Result<()> {
    match &mut system.database {
        Some(database) => database.start().await,
        None => Ok(()),
    }
}

fn signal_database(system: &System, which: Signal) -> anyhow::Result<()> {
    match &system.database {
        Some(database) => database.signal(which),
        None => Ok(()),
    }
}
