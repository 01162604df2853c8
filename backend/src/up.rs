//! One box: redis-server, nginx and all roles under one supervisor.
//!
//! The children die with it, whatever happens to it, and it stops in order when
//! one of them dies. Everything that is written lives in one data folder.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Listen};
use crate::inspect::probe;
use crate::roles::{self, Role, RoleError};

/// Prints the addresses once all is up.
mod banner;
/// A child process that cannot outlive us.
mod child;
/// The demo sale.
mod demo;
/// nginx and its generated configuration.
mod edge;
/// The data folder: made, checked, locked.
pub mod folders;
/// Stops what a killed run left behind.
mod leftovers;
/// The demo's accounts at the console.
mod logins;
/// The redis-server of this box.
mod redis_server;

use child::Child;
pub use child::raise_file_limit;

/// How long a part may take to become healthy.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked.
const POLL: Duration = Duration::from_millis(10);

/// What `up` is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Sell the demo sale.
    pub demo: bool,
    /// Start no nginx: somebody runs one in front.
    pub no_edge: bool,
    /// The roles played here; the others run elsewhere.
    pub roles: Vec<Role>,
}

/// Why the system is not up, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used: {source}; make it writable, or choose another with SECKILL_DATA", path.display())]
    Data {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another `up` runs there.
    #[error("another \"seckill up\" (process {pid}) runs in {}; stop it, or choose another folder with SECKILL_DATA", path.display())]
    Locked {
        /// The data folder.
        path: PathBuf,
        /// Its process id, as far as it is known.
        pid: String,
    },
    /// A socket's path would not fit.
    #[error("the socket {} has a path of {} bytes and the kernel takes 107; choose a shorter folder with SECKILL_DATA", path.display(), path.as_os_str().len())]
    LongPath {
        /// The socket.
        path: PathBuf,
    },
    /// A port is taken.
    #[error(
        "port {port} is in use by another program; stop it, or choose another port with {variable}"
    )]
    PortTaken {
        /// Which.
        port: u16,
        /// The variable that moves it.
        variable: &'static str,
    },
    /// A program or file is not there.
    #[error("{what} was not found ({looked}); {cure}")]
    Missing {
        /// What.
        what: &'static str,
        /// Where it was looked for.
        looked: String,
        /// How to get it.
        cure: &'static str,
    },
    /// A child did not start.
    #[error("{name} did not start: {reason}")]
    Start {
        /// Which.
        name: &'static str,
        /// Why, with the last lines of its log.
        reason: String,
    },
    /// A child died.
    #[error("{name} died ({how}), so that all was stopped.{log}")]
    Died {
        /// Which.
        name: &'static str,
        /// Its exit status.
        how: String,
        /// The last lines of its log.
        log: String,
    },
    /// A process of a killed run cannot be stopped.
    #[error(
        "process {pid} ({name}), left by an earlier run in this data folder, does not stop; end it with \"kill -9 {pid}\""
    )]
    Leftover {
        /// Its id.
        pid: i32,
        /// What it is.
        name: String,
    },
    /// The roles.
    #[error(transparent)]
    Roles(#[from] RoleError),
    /// The demo sale, or a round whose approval was interrupted.
    #[error("{0}")]
    Sale(String),
}

/// The roles' task, and the word that ends it.
type RunningRoles = (JoinHandle<Result<(), RoleError>>, CancellationToken);

/// What runs, in the order of its start.
#[derive(Default)]
struct Parts {
    redis: Option<Child>,
    roles: Option<RunningRoles>,
    edge: Option<Child>,
}

/// The Redis of a stopped system, started to be looked into.
pub struct RedisAlone {
    redis: Child,
    /// Keeps "up" from starting meanwhile.
    _lock: folders::Lock,
}

impl RedisAlone {
    /// Stops it.
    pub async fn stop(self) {
        self.redis.stop(nix::sys::signal::Signal::SIGTERM).await;
    }
}

/// Starts the Redis of this data folder if it does not run and nobody else runs it.
///
/// # Errors
/// The folder cannot be used, or Redis does not start.
pub async fn redis_alone(config: &Config) -> Result<Option<RedisAlone>, UpError> {
    let socket = config.run_dir().join("redis.sock");
    let is_running = probe::redis(&socket).await != probe::RedisHealth::Away;
    if config.redis_is_external || is_running || !config.data.join("redis").exists() {
        return Ok(None);
    }
    let _lock = folders::lock(config)?;
    leftovers::stop(&config.data).await?;
    let redis = redis_server::start(config).await?;
    Ok(Some(RedisAlone { redis, _lock }))
}

/// Starts everything, and runs until `stop` or until a part dies.
///
/// Must be awaited on a thread that lives as long as the process (the main one):
/// the kernel ends the children when the thread that started them ends.
///
/// # Errors
/// [`UpError`]; whatever was started has been stopped by then.
pub async fn run(
    config: &Config,
    options: Options,
    stop: CancellationToken,
) -> Result<(), UpError> {
    let began = Instant::now();
    let _lock = folders::prepare(config, &options)?;
    leftovers::stop(&config.data).await?;
    let edge_plan = if options.no_edge {
        None
    } else {
        Some(edge::Plan::check(config)?)
    };
    child::raise_file_limit();

    let mut parts = Parts::default();
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        outcome = start_and_watch(config, &options, edge_plan, &mut parts, began) => outcome,
    };
    parts.stop().await;
    outcome
}

async fn start_and_watch(
    config: &Config,
    options: &Options,
    edge_plan: Option<edge::Plan>,
    parts: &mut Parts,
    began: Instant,
) -> Result<(), UpError> {
    if !config.redis_is_external {
        parts.redis = Some(redis_server::start(config).await?);
    }
    let Parts { redis, roles, edge } = &mut *parts;
    let others = async {
        let logins = demo::prepare(config, options.demo).await?;
        start_roles(config, &options.roles, roles).await?;
        if let Some(plan) = edge_plan {
            *edge = Some(plan.start(config).await?);
        }
        Ok::<_, UpError>(logins)
    };
    let logins = tokio::select! {
        biased;
        // Everything after it needs Redis: without it they would wait in vain.
        died = child::death(redis) => return Err(died),
        started = others => started?,
    };
    banner::print(config, options, began.elapsed(), &logins).await;
    parts.watch().await
}

/// Starts these roles and waits until they are healthy.
async fn start_roles(
    config: &Config,
    chosen: &[Role],
    roles: &mut Option<RunningRoles>,
) -> Result<(), UpError> {
    let stop = CancellationToken::new();
    let (told, config_of_roles) = (stop.clone(), config.clone());
    let to_run = chosen.to_vec();
    let running = tokio::spawn(async move { roles::run(&config_of_roles, &to_run, told).await });
    let (running, _) = roles.insert((running, stop));
    let healthy = async {
        for (role, listen) in [
            (Role::Purchase, &config.purchase_listen),
            (Role::Ops, &config.ops_listen),
        ] {
            if chosen.contains(&role) {
                until_well(listen, "/healthz").await;
            }
        }
    };
    tokio::select! {
        biased;
        ended = &mut *running => {
            *roles = None;
            Err(role_error(ended))
        }
        healthy = tokio::time::timeout(PATIENCE, healthy) => healthy.map_err(|_| {
            let reason = format!(
                "it was not healthy within {PATIENCE:?}; the log lines above may say why"
            );
            UpError::Start { name: "the back end", reason }
        }),
    }
}

impl Parts {
    /// Waits for the first part that dies.
    async fn watch(&mut self) -> Result<(), UpError> {
        let Self { redis, roles, edge } = self;
        tokio::select! {
            died = child::death(redis) => Err(died),
            died = child::death(edge) => Err(died),
            ended = async {
                match roles {
                    Some((running, _)) => running.await,
                    None => std::future::pending().await,
                }
            } => {
                *roles = None;
                Err(role_error(ended))
            }
        }
    }

    /// Stops in the order in which no part misses another: the edge lets no new
    /// request in, the roles finish what they have, Redis writes it down.
    async fn stop(mut self) {
        use nix::sys::signal::Signal::{SIGQUIT, SIGTERM};
        if let Some(edge) = self.edge.take() {
            edge.stop(SIGQUIT).await;
        }
        if let Some((running, stop)) = self.roles.take() {
            stop.cancel();
            // An error at the very end was logged by the role itself.
            let _ = running.await;
        }
        if let Some(redis) = self.redis.take() {
            redis.stop(SIGTERM).await;
        }
    }
}

fn role_error(ended: Result<Result<(), RoleError>, tokio::task::JoinError>) -> UpError {
    match ended {
        Ok(Err(error)) => UpError::Roles(error),
        Ok(Ok(())) => UpError::Start {
            name: "the back end",
            reason: "it stopped before it was told to".to_owned(),
        },
        Err(error) => UpError::Start {
            name: "the back end",
            reason: error.to_string(),
        },
    }
}

/// Asks until the answer is 200.
async fn until_well(listen: &Listen, path: &str) {
    while !probe::is_well(listen, path).await {
        tokio::time::sleep(POLL).await;
    }
}
