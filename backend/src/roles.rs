//! Runs the chosen roles in one process until told to stop.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use seckill_core::signing::keyring::{Keyring, KeyringError};
use seckill_core::suspicion::watch::Limits;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::config::nearest::nearest;
use crate::config::{Config, Listen};
use crate::console::{self, ConsoleState};
use crate::edges::{analysis, leases as permits};
use crate::orders;
use crate::outbox::{archive as ledger, relay};
use crate::pages::day::{self, DayState};
use crate::pages::{self, Renderer};
use crate::queue::{DeadLetters, Queues};
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError};
use crate::shop as purchase;
use crate::shop::ShopState;
use crate::shop::captcha::{Captcha, setup};
use crate::stock::{following as settle, transfer};
use crate::store::{LazyStore, Store, StoreError};
use running::Running;

/// The tasks.
mod running;
/// Telling buyers of their orders.
mod told;

/// How long the ops role waits at its start until all pages are rendered.
const FIRST_PAGES: Duration = Duration::from_secs(5);

/// A part of the back end that can run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sells: verifies again, runs the stock script, answers results.
    Purchase,
    /// Moves what was sold to the queue, gives back unspent permits, and finishes
    /// transfers of stock.
    Relay,
    /// Writes orders.
    Orders,
    /// Shows the day's rounds, and serves the console.
    Ops,
    /// Reads the edges' access logs.
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

    /// Its name.
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

/// Why the roles do not run.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// The key ring is not there.
    #[error("the key ring {} cannot be read: {source}; \"seckill up\" makes one, or write one line \"kid secret\" yourself", path.display())]
    NoKeys {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The key ring is wrong.
    #[error("the key ring {} is wrong: {source}", path.display())]
    Keys {
        /// Its path.
        path: PathBuf,
        /// Which line and why.
        source: KeyringError,
    },
    /// The address of Redis is wrong.
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
    /// The captcha.
    #[error("{0}")]
    Captcha(String),
    /// The address of the queue is wrong.
    #[error("{0}")]
    Queue(String),
    /// The database is not there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Buyers cannot be told of their orders as the settings ask.
    #[error("{0}")]
    Notify(String),
    /// A role cannot listen.
    #[error("the {role} role cannot listen on {listen}: {reason}")]
    Listen {
        /// Which.
        role: Role,
        /// Where.
        listen: Listen,
        /// Why, and what to do.
        reason: String,
    },
    /// A role ended though nobody told it to.
    #[error(
        "the {role} role ended unexpectedly ({reason}), so that all was stopped; start it again, and look at the log lines above for the cause"
    )]
    Died {
        /// Which.
        role: Role,
        /// How.
        reason: String,
    },
}

/// Runs `roles` until `stop`, then finishes what is in hand within five seconds.
///
/// # Errors
/// [`RoleError`]: a role could not start, or ended by itself.
pub async fn run(
    config: &Config,
    roles: &[Role],
    stop: CancellationToken,
) -> Result<(), RoleError> {
    let mut running = Running::until(stop.child_token());
    let started = start(config, roles, &mut running).await;
    let outcome = match started {
        Ok(()) => tokio::select! {
            // Told to stop and ended together: that is no unexpected death.
            biased;
            () = stop.cancelled() => Ok(()),
            died = running.first_death() => Err(died),
        },
        Err(error) => Err(error),
    };
    running.finish().await;
    outcome
}

async fn start(config: &Config, roles: &[Role], running: &mut Running) -> Result<(), RoleError> {
    let redis = RedisLink::lazy(&config.redis_url)?;
    let segments = Segments::open(&redis, &config.redis_segments)?;
    let queues = Queues::open(config, &redis).map_err(RoleError::Queue)?;
    let has = |role| roles.contains(&role);
    let store = open_store(config, roles).await?;
    if has(Role::Purchase) {
        let keyring = Arc::new(read_keyring(&config.keys)?);
        let options = purchase::Options {
            demo_login: config.demo_login,
            captcha: config.captcha.is_on(),
            remember_language: config.notify.smtp.is_some() || config.notify.webhook.is_some(),
            ..purchase::Options::default()
        };
        let state = ShopState::new(
            redis.clone(),
            segments.clone(),
            store.clone(),
            keyring,
            options,
        )
        .with_payment_keys(payment_keys(config)?)
        .with_captcha(captcha(config, &redis)?);
        running.serve(
            Role::Purchase,
            &config.purchase_listen,
            purchase::router(state),
        )?;
    }
    if has(Role::Relay) {
        let relay = relay::run(
            redis.clone(),
            segments.clone(),
            queues.orders.clone(),
            running.stop.clone(),
        );
        running.spawn(Role::Relay, relay);
        let options = permits::Options {
            in_flight: Duration::from_millis(config.in_flight_ms),
            ..permits::Options::default()
        };
        let reclaim = permits::run(
            redis.clone(),
            segments.clone(),
            options,
            running.stop.clone(),
        );
        running.spawn(Role::Relay, reclaim);
        let finish = transfer::run(
            redis.clone(),
            segments.clone(),
            transfer::Options::default(),
            running.stop.clone(),
        );
        running.spawn(Role::Relay, finish);
    }
    if has(Role::Analysis) {
        let store = lazy_store(config, store.clone());
        let options = analysis::Options {
            logs: config.access_logs.clone(),
            places: config.data.join("analysis.json"),
            rules: config.analysis.clone(),
            zone: config.time_zone.clone(),
            limits: Limits::default(),
        };
        let work = analysis::run(options, redis.clone(), store, running.stop.clone());
        running.spawn(Role::Analysis, work);
    }
    if let (true, Some(store)) = (has(Role::Orders), store.clone()) {
        told::start(config, running, &redis, &store)?;
        let parts = (redis.clone(), segments.clone(), queues);
        start_orders(config, running, parts, store);
    }
    if has(Role::Ops) {
        let store = lazy_store(config, store);
        start_renderer(config, running, redis.clone(), store.clone()).await;
        let console =
            ConsoleState::new(config, redis.clone(), segments, store).until(running.stop.clone());
        let state = DayState::new(redis, config.time_zone.clone(), Some(&config.days_dir()));
        let router = day::router(state).merge(console::router(console));
        running.serve(Role::Ops, &config.ops_listen, router)?;
    }
    Ok(())
}

/// The database, opened when it is first needed unless another role has opened it.
fn lazy_store(config: &Config, opened: Option<Store>) -> LazyStore {
    match opened {
        Some(store) => LazyStore::opened(store),
        None => LazyStore::at(&config.database_url, &config.order_databases),
    }
}

/// The renderer. Rounds can be shown and edited without it, so that its absence
/// ends nothing.
async fn start_renderer(
    config: &Config,
    running: &mut Running,
    redis: RedisLink,
    rounds: LazyStore,
) {
    let Some(home) = &config.home else {
        tracing::error!(
            "no pages are rendered: the folder with html/ was not found; name it with SECKILL_HOME"
        );
        return;
    };
    let options = pages::Options {
        keep_pages: Duration::from_secs(config.page_keep_hours * 3600),
        keep_assets: Duration::from_secs(config.asset_keep_hours * 3600),
        keep_pictures: Duration::from_secs(config.picture_keep_hours * 3600),
        rounds: Some(rounds),
        targets: config.targets.clone(),
        ..pages::Options::new(&home.join("html/static"), &config.pages_dir())
    };
    let opened = tokio::task::spawn_blocking(move || Renderer::open(options)).await;
    let renderer = match opened {
        Ok(Ok(renderer)) => renderer,
        Ok(Err(error)) => return tracing::error!(%error, "no pages are rendered"),
        Err(error) => return tracing::error!(%error, "no pages are rendered"),
    };
    let (ready, all_rendered) = oneshot::channel();
    running.spawn(Role::Ops, renderer.run(redis, ready, running.stop.clone()));
    // Whoever asks a role that is up for a page finds it.
    if tokio::time::timeout(FIRST_PAGES, all_rendered)
        .await
        .is_err()
    {
        tracing::warn!("not all pages are rendered yet; it goes on in the background");
    }
}

/// The orders role: placing, cancelling what is not paid, dead letters, and the
/// sweep that has the stock follow.
fn start_orders(
    config: &Config,
    running: &mut Running,
    (redis, segments, queues): (RedisLink, Segments, Queues),
    store: Store,
) {
    let stop = running.stop.clone();
    let letters = DeadLetters::new(redis.clone(), segments.clone());
    let sweep = settle::run(store.clone(), segments.clone(), stop.clone());
    running.spawn(Role::Orders, sweep);
    let archive = ledger::run(store.clone(), redis.clone(), segments.clone(), stop.clone());
    running.spawn(Role::Orders, archive);
    let cancels = orders::cancels::run(
        queues.cancels.clone(),
        letters.clone(),
        store.clone(),
        segments.clone(),
        stop.clone(),
    );
    running.spawn(Role::Orders, cancels);
    if config.redrive_minutes > 0 {
        let every = Duration::from_secs(config.redrive_minutes * 60);
        let (redis, queues) = (redis.clone(), queues.clone());
        let redrive = orders::redrive::run(letters, redis, queues, every, stop.clone());
        running.spawn(Role::Orders, redrive);
    }
    let options = orders::Options {
        per_second: config.orders_per_second,
        pay_within: Duration::from_secs(config.pay_within),
        attempts: config.order_attempts,
        backlog_after: Duration::from_secs(config.backlog_after),
        ..orders::Options::default()
    };
    let work = orders::run(queues, store, redis, segments, options, stop);
    running.spawn(Role::Orders, work);
}

/// The database, for the roles that use it. The orders role cannot do without;
/// the purchase role sells without it, and only its order list is unavailable.
async fn open_store(config: &Config, roles: &[Role]) -> Result<Option<Store>, RoleError> {
    let wanted = roles.contains(&Role::Orders) || roles.contains(&Role::Purchase);
    if !wanted {
        return Ok(None);
    }
    match Store::open_sharded(&config.database_url, &config.order_databases).await {
        Ok(store) => Ok(Some(store.notifying(&config.notify.channels()))),
        Err(error) if roles.contains(&Role::Orders) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "selling without the database; order lists are unavailable");
            Ok(None)
        }
    }
}

/// The keys shared with the payment provider. A shop without one has none.
fn payment_keys(config: &Config) -> Result<Option<Arc<Keyring>>, RoleError> {
    match read_keyring(&config.payment_keys) {
        Ok(keys) => Ok(Some(Arc::new(keys))),
        Err(RoleError::NoKeys { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            tracing::info!("no payment keys: notices of a payment provider are not taken");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What hands out captcha passes, if they are wanted.
fn captcha(config: &Config, redis: &RedisLink) -> Result<Option<Captcha>, RoleError> {
    let settings = &config.captcha;
    let own = settings
        .redis_url
        .as_deref()
        .map(RedisLink::lazy)
        .transpose()?;
    let way = setup::way(settings).map_err(RoleError::Captcha)?;
    Ok(way.map(|way| Captcha::new(way, own.unwrap_or_else(|| redis.clone()))))
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
