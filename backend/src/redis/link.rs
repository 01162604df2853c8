//! The connection to Redis: one, shared by all callers, pipelining, which reconnects.
//!
//! What a caller must know of a failed command is whether it may have been executed.
//! [`RedisLinkError::Away`] says that nothing was sent; [`RedisLinkError::Unknown`] that
//! it was sent and no reply came.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, RedisError};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// How long a command may go without an answer, and connecting may take, greeting
/// included.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// How much longer a caller waits for a connection that another one is making.
const CONN_WAIT: Duration = Duration::from_millis(100);
/// Longest pause between two attempts to connect.
const MAX_BACKOFF: Duration = Duration::from_millis(400);
/// How often a connection is checked by a PING.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Commands that may wait for the socket before callers have to wait.
const PIPELINE: usize = 1024;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RedisLinkError {
    /// The address cannot be used.
    #[error(
        "\"{url}\" is no Redis address ({reason}); write redis://host:port/db or unix:///path/to/redis.sock"
    )]
    Address {
        /// As given, a password masked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two kinds of segment masters are configured.
    #[error(
        "segments live either on independent masters (redis://…) or in one Redis Cluster \
         (redis+cluster://…, any of its nodes); write all addresses in one way"
    )]
    Mixed,
    /// A segment that was preloaded has no stock on record.
    #[error(
        "segment {0} has no stock on record; if its Redis lost its data, run \"seckill stock rebuild\""
    )]
    NoStock(String),
    /// Nothing was sent: there is no connection.
    #[error("Redis at {address} cannot be reached ({reason}); see that redis-server runs there")]
    Away {
        /// Where it should be.
        address: String,
        /// What connecting failed with.
        reason: String,
    },
    /// The command was sent, and whether it was executed is not known.
    #[error("Redis did not reply ({0}); the command may or may not have been executed")]
    Unknown(RedisError),
    /// Redis replied with an error: the command was not executed.
    #[error("Redis refused: {0}")]
    Refused(RedisError),
}

impl From<RedisError> for RedisLinkError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Refused(error),
            // Whatever went wrong on the way, the command may have arrived.
            _ => Self::Unknown(error),
        }
    }
}

/// A handle on the shared connection; cloning it is cheap.
#[derive(Clone)]
pub struct RedisLink {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    address: String,
    /// How long a command may go without an answer, and connecting may take.
    patience: Duration,
    live: RwLock<Option<Live>>,
    /// Held while connecting, so that a hundred callers make one connection.
    flight: tokio::sync::Mutex<Flight>,
}

struct Live {
    conn: MultiplexedConnection,
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
    /// Connects to `redis://host:port/db` or `unix:///path`.
    ///
    /// # Errors
    /// The address is wrong, or Redis is not there.
    pub async fn connect(url: &str) -> Result<Self, RedisLinkError> {
        let link = Self::lazy(url)?;
        link.conn().await?;
        Ok(link)
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
            url: without_password(url),
            reason,
        };
        let client = Client::open(url).map_err(|error| refuse(error.to_string()))?;
        Self::from_client(client, patience)
            .ok_or_else(|| refuse("this kind of connection is not supported".into()))
    }

    /// The server at `host:port`, under the same password as this one.
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
        let info = self.shared.client.get_connection_info().clone();
        let client = Client::open(info.set_addr(ConnectionAddr::Tcp(host, port)))
            .map_err(|error| refuse(&error.to_string()))?;
        Self::from_client(client, self.shared.patience)
            .ok_or_else(|| refuse("it cannot be reached over TCP"))
    }

    fn from_client(client: Client, patience: Duration) -> Option<Self> {
        let address = match client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
            ConnectionAddr::Unix(path) => path.display().to_string(),
            _ => return None,
        };
        let shared = Shared {
            client,
            address,
            patience,
            live: RwLock::default(),
            flight: Default::default(),
        };
        Some(Self {
            shared: Arc::new(shared),
        })
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
        match self.shared.client.get_connection_info().addr() {
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
        if let Some(conn) = self.shared.live() {
            return Ok(conn);
        }
        match timeout(self.shared.patience + CONN_WAIT, self.shared.reconnect()).await {
            Ok(result) => result,
            Err(_) => Err(self.shared.away("connecting takes too long".into())),
        }
    }

    /// A connection of the caller's own, without a response timeout: for reads
    /// that block. It closes when it is dropped.
    ///
    /// # Errors
    /// [`RedisLinkError::Away`].
    pub async fn dedicated(&self) -> Result<MultiplexedConnection, RedisLinkError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.shared.patience))
            .set_response_timeout(None);
        self.shared
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| self.shared.away(error.to_string()))
    }
}

impl Shared {
    fn live(&self) -> Option<MultiplexedConnection> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.as_ref()
            .filter(|live| !live.driver.is_finished())
            .map(|live| live.conn.clone())
    }

    fn away(&self, reason: String) -> RedisLinkError {
        RedisLinkError::Away {
            address: self.address.clone(),
            reason,
        }
    }

    async fn reconnect(&self) -> Result<MultiplexedConnection, RedisLinkError> {
        let mut flight = self.flight.lock().await;
        if let Some(conn) = self.live() {
            return Ok(conn);
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
                let conn = live.conn.clone();
                *self.live.write().unwrap_or_else(PoisonError::into_inner) = Some(live);
                Ok(conn)
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

    async fn open(&self) -> Result<Live, String> {
        let io = |error: std::io::Error| error.to_string();
        match self.client.get_connection_info().addr() {
            ConnectionAddr::Unix(path) => {
                self.greet(UnixStream::connect(path).await.map_err(io)?)
                    .await
            }
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(io)?;
                stream.set_nodelay(true).map_err(io)?;
                self.greet(stream).await
            }
            _ => Err("this kind of connection is not supported".into()),
        }
    }

    async fn greet<S>(&self, stream: S) -> Result<Live, String>
    where
        S: Unpin + tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
    {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(self.patience))
            .set_pipeline_buffer_size(PIPELINE);
        let settings = self.client.get_connection_info().redis_settings();
        let (conn, driver) = MultiplexedConnection::new_with_config(settings, stream, config)
            .await
            .map_err(|error| error.to_string())?;
        let driver = tokio::spawn(driver).abort_handle();
        let (probe, silenced) = (conn.clone(), driver.clone());
        let watch = tokio::spawn(async move {
            until_silent(probe).await;
            silenced.abort();
        });
        let mut first = conn.clone();
        let live = Live {
            conn,
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

/// Returns when two heartbeats in a row had no reply: a machine that vanished closes no
/// connection.
async fn until_silent(mut probe: MultiplexedConnection) {
    let mut missed = 0;
    while missed < 2 {
        tokio::time::sleep(HEARTBEAT).await;
        let pong: Result<String, RedisError> = redis::cmd("PING").query_async(&mut probe).await;
        missed = match pong {
            Err(error) if error.is_io_error() => missed + 1,
            _ => 0,
        };
    }
}

/// How long to pause after so many failures: doubling from 25 ms to
/// [`MAX_BACKOFF`], between half and all of it, so that clients spread out.
fn backoff(failures: u32, random: u8) -> Duration {
    let whole = Duration::from_millis(25).saturating_mul(1 << failures.saturating_sub(1).min(8));
    let whole = whole.min(MAX_BACKOFF);
    whole / 2 + whole.mul_f64(f64::from(random) / 510.0)
}

/// The address as it may be shown: everything before an `@` is masked.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://***@{host}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_differ() {
        assert!(backoff(1, 255) <= Duration::from_millis(25));
        for failures in 5..40 {
            assert!(backoff(failures, 255) <= MAX_BACKOFF);
            assert!(backoff(failures, 0) >= MAX_BACKOFF / 2);
        }
        assert_ne!(backoff(3, 0), backoff(3, 200));
    }

    #[test]
    fn a_wrong_address_is_named_without_its_password() {
        let error = RedisLink::lazy("http://u:secret@host")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("http://***@host") && !error.contains("secret"),
            "{error}"
        );
    }
}
