//! One box: redis-server, nginx and all roles under one supervisor.
//!
//! A child that dies is started again, with growing pauses; one that cannot be kept
//! up for a minute ends the system, in order. The children die with the supervisor,
//! whatever happens to it. Everything that is written lives in one data folder.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Listen};
use crate::inspect::probe;
use crate::roles::{self, Role, RoleError};

/// Prints the addresses once everything is up.
mod banner;
/// A child process that cannot outlive its supervisor.
mod child;
/// The demo sale.
mod demo;
/// nginx and its generated configuration.
mod edge;
/// Why the system is not up, or no longer.
mod error;
/// The data folder: made, checked, locked.
pub mod folders;
/// The processes of a group.
mod group;
/// Stops what a killed run left behind.
mod leftovers;
/// The demo's accounts at the console.
mod logins;
/// The log files of a child.
mod logs;
/// Whether the ports can be had, and if not, why.
mod ports;
/// The redis-server of this box.
mod redis_server;
/// Keeps a child up.
mod supervised;

pub use child::raise_file_limit;
use edge::Edge;
pub use error::UpError;
use redis_server::RedisServer;
use supervised::{Program, Supervised};

/// How long a part may take to become healthy.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often its health is checked until then.
const POLL: Duration = Duration::from_millis(10);

/// What `up` is to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Sell the demo sale.
    pub demo: bool,
    /// Start no nginx: the operator runs one in front.
    pub no_edge: bool,
    /// The roles that run here; the others run elsewhere.
    pub roles: Vec<Role>,
}

/// The roles' task, and the token that stops it.
type RunningRoles = (JoinHandle<Result<(), RoleError>>, CancellationToken);

/// What runs, in the order of its start.
struct Parts {
    redis: Option<Supervised<RedisServer>>,
    roles: Option<RunningRoles>,
    edge: Option<Supervised<Edge>>,
}

/// The Redis of a stopped system, started to be read.
pub struct RedisAlone {
    redis: Supervised<RedisServer>,
    /// Keeps "up" from starting meanwhile.
    _lock: folders::Lock,
}

impl RedisAlone {
    /// Stops it.
    pub async fn stop(mut self) {
        self.redis.stop(Signal::SIGTERM).await;
    }
}

/// Starts the Redis of this data folder, unless it runs or Redis runs elsewhere.
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
    let mut redis = Supervised::new(RedisServer::prepare(config)?);
    if let Err(error) = redis.start().await {
        redis.stop(Signal::SIGTERM).await;
        return Err(error);
    }
    Ok(Some(RedisAlone { redis, _lock }))
}

/// Starts everything, and keeps it up until `stop`, or until a part cannot be kept up.
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
    child::raise_file_limit();
    let mut parts = Parts::prepare(config, &options).await?;
    let _announced = folders::announce(config, &options)?;
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        failure = parts.start_and_keep_up(config, &options, began) => Err(failure),
    };
    parts.stop().await;
    outcome
}

/// Starts these roles and waits until they are healthy.
async fn start_roles(
    config: &Config,
    chosen: &[Role],
    roles: &mut Option<RunningRoles>,
) -> Result<(), UpError> {
    let stop = CancellationToken::new();
    let (stopped, config_of_roles) = (stop.clone(), config.clone());
    let to_run = chosen.to_vec();
    let running = tokio::spawn(async move { roles::run(&config_of_roles, &to_run, stopped).await });
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
    /// Finds out what can be found out before anything is started.
    async fn prepare(config: &Config, options: &Options) -> Result<Self, UpError> {
        ports::check(config, !options.no_edge)?;
        let redis = match config.redis_is_external {
            true => None,
            false => Some(Supervised::new(RedisServer::prepare(config)?)),
        };
        let edge = match options.no_edge {
            true => None,
            false => Some(Supervised::new(Edge::prepare(config).await?)),
        };
        Ok(Self {
            redis,
            roles: None,
            edge,
        })
    }

    /// Starts all parts and keeps them up; returns why that ended.
    async fn start_and_keep_up(
        &mut self,
        config: &Config,
        options: &Options,
        began: Instant,
    ) -> UpError {
        let Self { redis, roles, edge } = self;
        if let Some(redis) = redis
            && let Err(error) = redis.start().await
        {
            return error;
        }
        let others = async {
            let logins = demo::prepare(config, options.demo).await?;
            start_roles(config, &options.roles, roles).await?;
            if let Some(edge) = edge {
                edge.start().await?;
            }
            banner::print(config, options, began.elapsed(), &logins).await;
            tokio::select! {
                failure = keep_up(edge) => Err::<Infallible, _>(failure),
                failure = failure_of(roles) => Err(failure),
            }
        };
        tokio::select! {
            failure = keep_up(redis) => failure,
            Err(failure) = others => failure,
            never = redis_server::sync_every_second(config.data.join("redis")) => match never {},
        }
    }

    /// Stops in the order in which no part misses another: the edge lets no new
    /// request in, the roles finish what they work on, Redis writes it down.
    async fn stop(mut self) {
        if let Some(edge) = &mut self.edge {
            edge.stop(Signal::SIGQUIT).await;
        }
        if let Some((running, stop)) = self.roles.take() {
            stop.cancel();
            // An error at the very end was logged by the role itself.
            let _ = running.await;
        }
        if let Some(redis) = &mut self.redis {
            redis.stop(Signal::SIGTERM).await;
        }
    }
}

async fn keep_up<P: Program>(part: &mut Option<Supervised<P>>) -> UpError {
    match part {
        Some(part) => part.keep_up().await,
        None => std::future::pending().await,
    }
}

/// Waits for the end of the roles, which is a failure of one of them.
async fn failure_of(roles: &mut Option<RunningRoles>) -> UpError {
    let ended = match roles {
        Some((running, _)) => running.await,
        None => std::future::pending().await,
    };
    *roles = None;
    role_error(ended)
}

fn role_error(ended: Result<Result<(), RoleError>, tokio::task::JoinError>) -> UpError {
    match ended {
        Ok(Err(error)) => UpError::Roles(error),
        Ok(Ok(())) => UpError::Start {
            name: "the back end",
            reason: "it ended without being stopped".to_owned(),
        },
        Err(error) => UpError::Start {
            name: "the back end",
            reason: error.to_string(),
        },
    }
}

/// Requests `path` until the status is 200.
async fn until_well(listen: &Listen, path: &str) {
    while !probe::is_well(listen, path).await {
        tokio::time::sleep(POLL).await;
    }
}
