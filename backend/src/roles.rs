//! The roles: parts of the back end that can each run by itself, or several in one
//! process. A file a role wires it from its parts.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use seckill_core::signing::keyring::{Keyring, KeyringError};
use tokio_util::sync::CancellationToken;

use crate::config::nearest::nearest;
use crate::config::{Config, Listen};
use crate::http::health::{self, Check, Part, PartHealth};
use crate::orders::form_file::FormFileError;
use crate::orders::payments::SettingsError;
use crate::queue::Queues;
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError, Replication};
use crate::stock::fence::Fence;
use crate::stock::journal::Journals;
use crate::store::{LazyStore, StoreError};
use crate::trace::Exporter;
pub(crate) use inventory::inventory;
pub(crate) use payments::payments;
use running::Running;

/// The analysis role.
mod analysis;
/// The order feed, which the orders role sends.
mod feed;
/// The shop's own inventory.
mod inventory;
/// Notifications to buyers, which the orders role sends.
mod notify;
/// The ops role.
mod ops;
/// The orders role.
mod orders;
/// The payment providers that are set up.
mod payments;
/// The purchase role.
mod purchase;
/// The relay role.
mod relay;
/// When to start again what ended, and when to give up.
pub mod restart;
/// The tasks, and how they are kept up.
mod running;
/// Other sites, which the relay role speaks to.
mod sites;

/// A part of the back end that can run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sells: verifies requests again, runs the stock script, returns results.
    Purchase,
    /// Publishes events to the queue, reclaims permits of dead edges, finishes transfers of
    /// stock, and moves items between sites.
    Relay,
    /// Places orders, and notifies buyers of them.
    Orders,
    /// Serves the day's rounds and the console, and renders pages.
    Ops,
    /// Judges the edges' access logs.
    Analysis,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 5] = [
        Role::Purchase,
        Role::Relay,
        Role::Orders,
        Role::Ops,
        Role::Analysis,
    ];

    /// Its name on the command line and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Purchase => "purchase",
            Role::Relay => "relay",
            Role::Orders => "orders",
            Role::Ops => "ops",
            Role::Analysis => "analysis",
        }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// A sentence that names the nearest role, or all of them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = || Role::ALL.map(Role::as_str);
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| match nearest(text, known()) {
                Some(near) => format!("there is no role \"{text}\"; did you mean \"{near}\"?"),
                None => format!(
                    "there is no role \"{text}\"; there are {}",
                    known().join(", ")
                ),
            })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How this user gets a key ring that could not be read.
fn key_ring_cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "let this user read it: make them a member of its group (\"ls -l\" names it), and log in \
             again"
        }
        _ => "\"seckill up\" makes one, or write one line \"kid secret\" yourself",
    }
}

/// Why the roles do not run.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// A key ring cannot be read.
    #[error("the key ring {} cannot be read: {source}; {}", path.display(), key_ring_cure(source))]
    NoKeys {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A key ring has a line that is no key.
    #[error("the key ring {} is wrong: {source}", path.display())]
    Keys {
        /// Its path.
        path: PathBuf,
        /// The line, and what is wrong with it.
        source: KeyringError,
    },
    /// The address of Redis is wrong.
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
    /// The settings of the captcha are wrong.
    #[error("{0}")]
    Captcha(String),
    /// The tokens of the login cannot be verified.
    #[error("the keys of the login (jwt_jwks) cannot be read: {0}")]
    Login(#[source] std::io::Error),
    /// The address of the queue is wrong.
    #[error("{0}")]
    Queue(String),
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The collector of traces cannot be called.
    #[error(
        "otlp_url needs this machine's certificates, which cannot be read: {0}; install ca-certificates, or name a file with authorities to trust in SSL_CERT_FILE"
    )]
    Traces(#[source] io::Error),
    /// The settings of the notifications are wrong.
    #[error("{0}")]
    Notify(String),
    /// The other sites cannot be reached as they are set up.
    #[error("{0}")]
    Sites(String),
    /// The settings of the payment providers are wrong.
    #[error(transparent)]
    Payments(#[from] SettingsError),
    /// The order form is wrong.
    #[error(transparent)]
    OrderForm(#[from] FormFileError),
    /// A role cannot listen.
    #[error("the {role} role cannot listen on {listen}: {reason}")]
    Listen {
        /// The role.
        role: Role,
        /// Where it should listen.
        listen: Listen,
        /// Why it cannot, and what to do.
        reason: String,
    },
    /// A task of a role could not be kept up.
    #[error(
        "the {role} role ended {ends} times within {within:.0?} (last: {reason}), so that everything was stopped; the log lines above may name the cause"
    )]
    Died {
        /// The role.
        role: Role,
        /// How it ended the last time.
        reason: String,
        /// How often it ended.
        ends: u32,
        /// How long after its first end.
        within: Duration,
    },
}

/// What the roles of one process share.
struct Parts<'a> {
    config: &'a Config,
    redis: RedisLink,
    segments: Segments,
    queues: Queues,
    /// Opened when it is first needed: it may come later than the roles.
    store: LazyStore,
    /// The purchase role's; `None` without that role, or if there is to be none.
    journals: Option<Journals>,
    fence: Arc<Fence>,
}

impl Parts<'_> {
    /// Looks at Redis, which every role needs but that of ops, which serves the document of
    /// the day from the disk; and at the database, which the orders role needs.
    fn check(&self, roles: &[Role]) -> Check {
        let (redis, store) = (self.redis.clone(), self.store.clone());
        let needs_redis = roles != [Role::Ops];
        let needs_database = roles.contains(&Role::Orders);
        Arc::new(move || {
            let (redis, store) = (redis.clone(), store.clone());
            Box::pin(async move {
                let part = |name, is_up, is_needed| Part {
                    name,
                    health: PartHealth::of(is_up),
                    is_needed,
                };
                vec![
                    part("redis", redis.conn().await.is_ok(), needs_redis),
                    part("database", store.is_up().await, needs_database),
                ]
            })
        })
    }
}

/// Runs `roles` until `stop`, then finishes what they work on within five seconds.
///
/// # Errors
/// [`RoleError`]: a role could not start, or could not be kept up.
pub async fn run(
    config: &Config,
    roles: &[Role],
    stop: CancellationToken,
) -> Result<(), RoleError> {
    let exporter = Exporter::start(&config.traces).map_err(RoleError::Traces)?;
    let mut running = Running::until(stop.child_token());
    let outcome = match start(config, roles, &mut running).await {
        Ok(parts) => keep(&parts, roles, &mut running, &stop).await,
        Err(error) => Err(error),
    };
    running.finish().await;
    if let Some(exporter) = exporter {
        exporter.finish().await;
    }
    outcome
}

/// Waits until `stop`; starts the orders role as soon as there is a database.
async fn keep(
    parts: &Parts<'_>,
    roles: &[Role],
    running: &mut Running,
    stop: &CancellationToken,
) -> Result<(), RoleError> {
    let mut waits = roles.contains(&Role::Orders);
    loop {
        tokio::select! {
            // A role that ends because all are to stop has not failed.
            biased;
            () = stop.cancelled() => return Ok(()),
            store = parts.store.until_open(stop), if waits => {
                let Some(store) = store? else { return Ok(()) };
                orders::start(parts, store, running)?;
                waits = false;
            }
            failure = running.first_failure() => return Err(failure),
        }
    }
}

async fn start<'a>(
    config: &'a Config,
    roles: &[Role],
    running: &mut Running,
) -> Result<Parts<'a>, RoleError> {
    let redis = RedisLink::lazy(&config.redis_url)?;
    let has = |role| roles.contains(&role);
    let segments = Segments::open(&redis, &config.redis_segments)?;
    if config.redis_wait_replicas > 0 {
        segments.replicate(Replication {
            replicas: config.redis_wait_replicas,
            within: Duration::from_millis(config.redis_wait_ms),
        });
    }
    let store = store_of(config);
    let journals = match has(Role::Purchase) {
        true => purchase::open_journals(config),
        false => None,
    };
    let parts = Parts {
        config,
        fence: Fence::around(
            redis.clone(),
            segments.clone(),
            store.clone(),
            journals.as_ref().map(|it| it.forgotten.clone()),
        ),
        segments,
        queues: Queues::open(config, &redis).map_err(RoleError::Queue)?,
        store,
        journals,
        redis,
    };
    if has(Role::Purchase) {
        purchase::start(&parts, running)?;
    }
    if has(Role::Relay) {
        relay::start(&parts, running)?;
    }
    if has(Role::Analysis) {
        analysis::start(&parts, running);
    }
    if let (Some(listen), Some(first)) = (&config.status_listen, roles.first()) {
        running.serve_status(*first, listen, health::router(parts.check(roles)))?;
    }
    if has(Role::Ops) {
        ops::start(&parts, running).await?;
    }
    Ok(parts)
}

/// The database, opened when it is first needed.
fn store_of(config: &Config) -> LazyStore {
    let (grace, feeds) = (Duration::from_secs(config.pay_grace), config.feed.is_on());
    let (stock, channels) = (config.refund_stock, config.notify.channels());
    LazyStore::at(&config.database_url, &config.order_databases).set_up(move |store| {
        let store = store.with_pay_grace(grace).feeding(feeds);
        store.with_refund_stock(stock).notifying(&channels)
    })
}

fn read_keyring(path: &Path) -> Result<Keyring, RoleError> {
    let text = std::fs::read_to_string(path).map_err(|source| RoleError::NoKeys {
        path: path.to_owned(),
        source,
    })?;
    Keyring::parse(&text).map_err(|source| RoleError::Keys {
        path: path.to_owned(),
        source,
    })
}
