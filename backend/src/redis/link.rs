//! The connection to Redis: one, shared by all callers, pipelining, which reconnects.
//!
//! What a caller must know of a failed command is whether it may have been executed.
//! [`RedisLinkError::Away`] says that nothing was sent; [`RedisLinkError::Unknown`] that
//! it was sent and no reply came.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, RedisError};
use seckill_core::redis::outage;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::backoff::backoff;
use super::error::RedisLinkError;
use super::life::Life;
use super::replication::{Barrier, Replication};
use super::segments::Segment;
use super::server::Server;
use super::target::Target;
use crate::config::masked_url;

/// How long a command may go without an answer, and connecting may take, greeting
/// included.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// The same for a command: somebody waits for what it says, and no buyer.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// How much longer a caller waits for a connection that another one is making.
const CONN_WAIT: Duration = Duration::from_millis(100);
/// How often a connection is checked.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Commands that may wait for the socket before callers have to wait.
const PIPELINE: usize = 1024;

/// Whether a connection may be used; ready once that is known.
pub type Admission<'a> = Pin<Box<dyn Future<Output = Result<(), RedisLinkError>> + Send + 'a>>;

/// Checks every new connection of a link before a caller gets it.
pub trait Guard: Debug + Send + Sync {
    /// Checks the connection of this `life` by [`RedisLink::conn_unguarded`], and clears
    /// it ([`RedisLink::clear`]) if it may be used.
    fn admit<'a>(&'a self, link: &'a RedisLink, life: u64) -> Admission<'a>;

    /// Learns of a transfer that left a segment or arrived there: a master that has no record
    /// of it has gone back to an older state.
    fn learn(&self, segment: &Segment, transfer: &str);
}

/// A handle on the shared connection; cloning it is cheap.
#[derive(Clone)]
pub struct RedisLink {
    shared: Arc<Shared>,
}

struct Shared {
    target: Target,
    address: String,
    /// How long a command may go without an answer, and connecting may take.
    patience: Duration,
    live: RwLock<Option<Live>>,
    /// Held while connecting, so that a hundred callers make one connection.
    flight: tokio::sync::Mutex<Flight>,
    /// Connections made so far, which is the number of the last one's life.
    lives: AtomicU64,
    /// The last life that [`Guard`] has cleared.
    cleared: AtomicU64,
    guard: OnceLock<Arc<dyn Guard>>,
    /// Replicas that must have a write before it counts, if any must.
    replication: OnceLock<Replication>,
}

struct Live {
    conn: MultiplexedConnection,
    barrier: Arc<Barrier>,
    life: u64,
    /// Ends when the connection does, or when no clone of it is left.
    driver: AbortHandle,
    /// Ends the driver when the peer has fallen silent.
    watch: AbortHandle,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// The failed attempts to connect since the last success.
#[derive(Default)]
struct Flight {
    failures: u32,
    not_before: Option<Instant>,
    last_error: String,
}

impl std::fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLink")
            .field("address", &self.shared.address)
            .finish_non_exhaustive()
    }
}

impl RedisLink {
    /// Connects, for a command, to `redis://host:port/db`, `unix:///path`, or by Sentinels to
    /// the master of `redis+sentinel://host:port,host:port/NAME/db`; by TLS with `rediss` in
    /// place of `redis`, and then perhaps `?ca=FILE&cert=FILE&key=FILE&tls_name=HOST`.
    ///
    /// # Errors
    /// The address is wrong, or Redis is not there.
    pub async fn connect(url: &str) -> Result<Self, RedisLinkError> {
        let link = Self::of_command(url)?;
        link.conn().await?;
        Ok(link)
    }

    /// The same for a command that goes on if Redis is not there: connects on first use.
    ///
    /// # Errors
    /// The address is wrong.
    pub fn of_command(url: &str) -> Result<Self, RedisLinkError> {
        Self::lazy_with(url, COMMAND_TIMEOUT)
    }

    /// Takes the address; connects on first use.
    ///
    /// # Errors
    /// The address is wrong.
    pub fn lazy(url: &str) -> Result<Self, RedisLinkError> {
        Self::lazy_with(url, RESPONSE_TIMEOUT)
    }

    /// The same with another time than [`RESPONSE_TIMEOUT`] for connecting and for
    /// each answer: a test on a busy machine must not take a late answer for none.
    ///
    /// # Errors
    /// The address is wrong.
    pub fn lazy_with(url: &str, patience: Duration) -> Result<Self, RedisLinkError> {
        let refuse = |reason: String| RedisLinkError::Address {
            url: masked_url(url),
            reason,
        };
        let target = Target::parse(url).map_err(refuse)?;
        Ok(Self::to(target, patience))
    }

    /// The server at `host:port`, with the same login and TLS as this one.
    ///
    /// # Errors
    /// The address is wrong.
    pub(crate) fn beside(&self, address: &str) -> Result<Self, RedisLinkError> {
        let refuse = |reason: &str| RedisLinkError::Address {
            url: address.to_owned(),
            reason: reason.to_owned(),
        };
        let (host, port) = address
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)))
            .ok_or_else(|| refuse("it is not host:port"))?;
        let target = self.shared.target.beside(host, port);
        let target = target.map_err(|error| refuse(&error))?;
        let beside = Self::to(target, self.shared.patience);
        if let Some(replication) = self.shared.replication.get() {
            beside.replicate(*replication);
        }
        if let Some(guard) = self.shared.guard.get() {
            beside.guard(guard);
        }
        Ok(beside)
    }

    fn to(target: Target, patience: Duration) -> Self {
        let shared = Shared {
            address: target.address(),
            target,
            patience,
            live: RwLock::default(),
            flight: Default::default(),
            lives: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            guard: OnceLock::new(),
            replication: OnceLock::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Lets a write count from now on once so many replicas have it
    /// ([`RedisLink::replicated`]). The first setting stays.
    pub fn replicate(&self, replication: Replication) {
        let _ = self.shared.replication.set(replication);
    }

    /// Which connection commands go by now; to be read before those that
    /// [`RedisLink::replicated`] is asked about.
    #[must_use]
    pub fn life(&self) -> u64 {
        self.shared.lives.load(Ordering::Acquire)
    }

    /// Waits until enough replicas have what was written by the connection of this `life`;
    /// not at all if none must.
    ///
    /// # Errors
    /// [`RedisLinkError::NotReplicated`]: they do not have it in time, or it is not known;
    /// the master has it, and may die.
    pub async fn replicated(&self, life: u64) -> Result<(), RedisLinkError> {
        let Some(replication) = self.shared.replication.get() else {
            return Ok(());
        };
        let not = |reason: String| RedisLinkError::NotReplicated {
            address: self.shared.address.clone(),
            reason,
        };
        let live = self.shared.of_life(life);
        let (mut conn, barrier) = live.ok_or_else(|| not("the connection was lost".to_owned()))?;
        match barrier.pass(&mut conn, *replication).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let Replication { replicas, within } = replication;
                Err(not(format!(
                    "fewer than {replicas} have it after {within:?}"
                )))
            }
            Err(error) => Err(not(error.to_string())),
        }
    }

    /// Where it is: `host:port`, or the path of its socket.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Longest time for the reply to a command.
    pub(crate) fn patience(&self) -> Duration {
        self.shared.patience
    }

    /// Its host, without the port.
    pub(crate) fn host(&self) -> &str {
        match self.shared.target.info().addr() {
            ConnectionAddr::Tcp(host, _) => host,
            _ => "127.0.0.1",
        }
    }

    /// Whether both are handles on one connection.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The shared connection. Commands of all callers go out together; each has its reply
    /// within [`RESPONSE_TIMEOUT`] or fails.
    ///
    /// # Errors
    /// [`RedisLinkError::Away`], at once while Redis is known to be away.
    pub async fn conn(&self) -> Result<MultiplexedConnection, RedisLinkError> {
        let (conn, life) = self.conn_of_life().await?;
        if let Some(guard) = self.shared.guard.get()
            && !self.is_cleared(life)
        {
            guard.admit(self, life).await?;
        }
        Ok(conn)
    }

    /// The same for the guard itself.
    ///
    /// # Errors
    /// [`RedisLinkError::Away`].
    pub async fn conn_unguarded(&self) -> Result<MultiplexedConnection, RedisLinkError> {
        Ok(self.conn_of_life().await?.0)
    }

    async fn conn_of_life(&self) -> Result<(MultiplexedConnection, u64), RedisLinkError> {
        if let Some(live) = self.shared.live() {
            return Ok(live);
        }
        match timeout(self.shared.patience + CONN_WAIT, self.shared.reconnect()).await {
            Ok(result) => result,
            Err(_) => Err(self.shared.away("connecting takes too long".into())),
        }
    }

    /// Has every new connection checked from now on before a caller gets it. The first
    /// guard stays.
    pub(crate) fn guard(&self, guard: &Arc<dyn Guard>) {
        let _ = self.shared.guard.set(Arc::clone(guard));
    }

    /// Whether the connection of this life was checked.
    #[must_use]
    pub fn is_cleared(&self, life: u64) -> bool {
        self.shared.cleared.load(Ordering::Acquire) >= life
    }

    /// Notes that it was.
    pub fn clear(&self, life: u64) {
        self.shared.cleared.fetch_max(life, Ordering::AcqRel);
    }

    /// Drops the connection if this error says that it leads to a replica, so that the
    /// next caller looks for the master.
    pub fn drop_if_replica(&self, error: &RedisError) {
        if matches!(error.code(), Some("READONLY" | "MASTERDOWN")) {
            let live = self
                .shared
                .live
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(live) = live.as_ref() {
                live.driver.abort();
            }
        }
    }

    /// A connection of the caller's own, without a response timeout: for reads
    /// that block. It closes when it is dropped.
    ///
    /// # Errors
    /// [`RedisLinkError::Away`].
    pub async fn dedicated(&self) -> Result<MultiplexedConnection, RedisLinkError> {
        let away = |reason| self.shared.away(reason);
        let patience = self.shared.patience;
        let server = self.shared.target.server(patience).await.map_err(away)?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let opened = timeout(patience, server.open(config)).await;
        let opened = opened.map_err(|_| away(format!("it did not reply within {patience:?}")))?;
        let (conn, _) = opened.map_err(|error| away(error.to_string()))?;
        Ok(conn)
    }
}

impl Shared {
    fn live(&self) -> Option<(MultiplexedConnection, u64)> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.as_ref()
            .filter(|live| !live.driver.is_finished())
            .map(|live| (live.conn.clone(), live.life))
    }

    /// The connection of this life, if it still lives.
    fn of_life(&self, life: u64) -> Option<(MultiplexedConnection, Arc<Barrier>)> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.as_ref()
            .filter(|live| live.life == life && !live.driver.is_finished())
            .map(|live| (live.conn.clone(), Arc::clone(&live.barrier)))
    }

    fn away(&self, reason: String) -> RedisLinkError {
        RedisLinkError::Away {
            address: self.address.clone(),
            reason,
        }
    }

    async fn reconnect(self: &Arc<Self>) -> Result<(MultiplexedConnection, u64), RedisLinkError> {
        let mut flight = self.flight.lock().await;
        if let Some(live) = self.live() {
            return Ok(live);
        }
        if flight.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(self.away(flight.last_error.clone()));
        }
        let attempt = timeout(self.patience, self.open()).await;
        match attempt.unwrap_or_else(|_| Err("connecting takes too long".into())) {
            Ok(live) => {
                if flight.failures > 0 {
                    tracing::info!(address = %self.address, "redis is back");
                }
                *flight = Flight::default();
                crate::metrics::REDIS_CONNECTS.count();
                let found = (live.conn.clone(), live.life);
                let mut slot = self.live.write().unwrap_or_else(PoisonError::into_inner);
                if slot.replace(live).is_some() {
                    count_loss();
                }
                Ok(found)
            }
            Err(reason) => {
                if flight.failures == 0 {
                    tracing::warn!(address = %self.address, %reason, "redis is away");
                }
                flight.failures = flight.failures.saturating_add(1);
                let mut random = [0];
                // Without randomness the pause is merely a regular one.
                let _ = getrandom::fill(&mut random);
                flight.not_before = Some(Instant::now() + backoff(flight.failures, random[0]));
                flight.last_error.clone_from(&reason);
                Err(self.away(reason))
            }
        }
    }

    async fn open(self: &Arc<Self>) -> Result<Live, String> {
        let server = self.target.server(self.patience / 2).await?;
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(self.patience))
            .set_pipeline_buffer_size(PIPELINE);
        let opened = server.open(config).await;
        let (conn, driver) = opened.map_err(|error| error.to_string())?;
        let mut first = conn.clone();
        let said = Life::read(&mut first).await;
        let said = said.map_err(|error| error.to_string())?;
        if said.as_ref().is_some_and(|it| !it.is_master) {
            driver.abort();
            return Err("a replica is there, and no master".to_owned());
        }
        let (probe, silenced) = (conn.clone(), driver.clone());
        let shared = Arc::downgrade(self);
        let watch = tokio::spawn(async move {
            until_another_life(probe, said, &shared, &server).await;
            silenced.abort();
        });
        let live = Live {
            conn,
            barrier: Arc::default(),
            life: self.lives.fetch_add(1, Ordering::AcqRel) + 1,
            driver,
            watch: watch.abort_handle(),
        };
        // Refused by a server that is still reading its files, which greets but
        // cannot serve. And a script that is loaded before it is called is not missing
        // when a call cannot be repeated.
        super::scripts::load_all(&mut first)
            .await
            .map_err(|error| error.to_string())?;
        Ok(live)
    }
}

/// Counts that a link had lost its connection, once for all that lost theirs then.
fn count_loss() {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let since_ms = last.map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX));
    if outage::is_another_loss(since_ms) {
        *last = Some(Instant::now());
        crate::metrics::REDIS_LOSSES.count();
    }
}

/// Returns when two heartbeats in a row had no reply, since a machine that vanished
/// closes no connection; and when the server has become a replica, or has taken over the
/// data of another; and when the Sentinels name another master.
async fn until_another_life(
    mut probe: MultiplexedConnection,
    said: Option<Life>,
    shared: &Weak<Shared>,
    server: &Server,
) {
    let mut missed = 0;
    while missed < 2 {
        tokio::time::sleep(HEARTBEAT).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if shared.target.has_left(server, shared.patience).await {
            return;
        }
        drop(shared);
        missed = match Life::read(&mut probe).await {
            Err(error) if error.is_io_error() => missed + 1,
            Ok(now) if now != said => return,
            _ => 0,
        };
    }
}
