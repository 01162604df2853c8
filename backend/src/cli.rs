//! `seckill`: the command line of the flash sale. Exit status 0: done, 1: it
//! failed, 2: it was asked for in a way that makes no sense.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Beside, Config, ConfigError, Setting, Source};
use crate::redis::RedisLinkError;
use crate::store::Store;
use crate::{roles, up};

/// `seckill accounts`.
mod accounts;
/// The arguments of every command.
mod arguments;
/// `seckill bans`.
mod bans;
/// `seckill capacity`.
mod capacity;
/// `seckill drill`.
mod drill;
/// `seckill findings`.
mod findings;
/// Log format and level.
mod logging;
/// `seckill notices`.
mod notices;
/// `seckill orders`.
mod orders;
/// `seckill sale`.
mod sale;
/// `seckill status`.
mod status;
/// `seckill stock`.
mod stock;
/// `seckill verify`.
mod verify;

use arguments::{Cli, Command};

/// Reads the arguments of this process, carries the command out, and reports a failure
/// on standard error.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads())
        .enable_all()
        .build()
        .context("the runtime cannot start")
        // On the main thread: children of "up" live as long as the thread that
        // started them.
        .and_then(|runtime| runtime.block_on(start(cli)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The sentences themselves; they name their causes where that helps.
            let _ = writeln!(std::io::stderr(), "seckill: {error}");
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}

/// Half of the cores: Redis and nginx have work for the others, and threads beyond
/// that cost a purchase more in wakings than they bring (on two cores, 26 us of CPU
/// by one thread, 32 us by two). TOKIO_WORKER_THREADS says otherwise, for a box of
/// this role alone.
fn threads() -> usize {
    let asked = std::env::var("TOKIO_WORKER_THREADS").ok();
    let asked = asked.and_then(|text| text.parse().ok());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    asked.filter(|n| *n > 0).unwrap_or(cores.div_ceil(2))
}

async fn start(cli: Cli) -> anyhow::Result<()> {
    let beside = match cli.command {
        Command::Up { .. } => Beside::Nothing,
        _ => Beside::RunningSystem,
    };
    let mut config = Config::load(cli.settings.config.as_deref(), cli.given(), beside)?;
    if matches!(cli.command, Command::Up { demo: true, .. }) {
        config.prepare_demo();
    }
    let stays = matches!(cli.command, Command::Up { .. } | Command::Serve { .. });
    if !stays {
        be_brief(&mut config);
    }
    logging::start(&config);
    if let Some(warning) = config.warning() {
        tracing::warn!("{warning}");
    }
    match carry_out(cli.command, &config).await {
        Err(error) if !stays => Err(with_cure(error, &config)),
        outcome => outcome,
    }
}

/// A command that answers and ends tells by its answer that Redis is away; a log
/// line before it says the same once more.
fn be_brief(config: &mut Config) {
    let is_untouched = |it: &Setting| it.key == "log" && it.source == Source::Default;
    if config.settings().iter().any(is_untouched) {
        config.log.push_str(",seckill::redis=error");
    }
}

/// Whoever has no Redis of his own has to start the system, not to look for one.
fn with_cure(error: anyhow::Error, config: &Config) -> anyhow::Error {
    match error.downcast_ref() {
        Some(RedisLinkError::Away { address, .. })
            if !config.redis_is_external && config.redis_url.ends_with(address.as_str()) =>
        {
            anyhow::anyhow!(
                "the system in {} is not running: no Redis listens at {address}; \"seckill up\" \
                 starts it, and --data or SECKILL_DATA names another folder",
                config.data.display()
            )
        }
        _ => error,
    }
}

async fn carry_out(command: Command, config: &Config) -> anyhow::Result<()> {
    match command {
        Command::Up {
            demo,
            no_edge,
            roles,
            ..
        } => {
            let options = up::Options {
                demo,
                no_edge,
                roles: roles.unwrap_or_else(|| roles::Role::ALL.to_vec()),
            };
            Ok(up::run(config, options, stop_at_signals()?).await?)
        }
        Command::Serve { roles } => Ok(roles::run(config, &roles, stop_at_signals()?).await?),
        Command::Sale(command) => sale::run(config, command).await,
        Command::Stock(command) => stock::run(config, command).await,
        Command::Accounts(asked) => accounts::run(config, asked).await,
        Command::Bans(asked) => bans::run(config, asked).await,
        Command::Load(load) => {
            // Everybody has a connection of his own.
            up::raise_file_limit();
            load.run().await
        }
        Command::Findings(asked) => findings::run(config, asked).await,
        Command::Orders(asked) => orders::run(config, asked).await,
        Command::Notices(asked) => notices::run(config, asked).await,
        Command::Status { json } => status::show(config, json).await,
        Command::Verify { json } => verify::verify(config, json).await,
        Command::Capacity(asked) => capacity::run(config, &asked),
        Command::Drill { name, arguments } => drill::run(config, &name, &arguments),
        Command::Config => say(&config.table()),
    }
}

/// A token that the first SIGINT or SIGTERM cancels.
fn stop_at_signals() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be caught")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be caught")?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        told.cancel();
    });
    Ok(stop)
}

/// Opens the database, whose folder is made if this is the first command.
async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let data = &config.data;
    up::folders::make_database(config).map_err(|error| {
        let data = data.display();
        anyhow::anyhow!(
            "the data folder {data} cannot be used: {error}; choose another with SECKILL_DATA"
        )
    })?;
    Ok(Store::open_sharded(&config.database_url, &config.order_databases).await?)
}

/// Writes to standard output. That a reader such as `head` left early is no error.
fn say(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("the answer cannot be written")
        }
        _ => Ok(()),
    }
}
