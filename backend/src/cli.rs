//! `seckill`: the command line of the flash sale; a file a command. The exit status is
//! 0 if it was done, 1 if it failed, and 2 if arguments or settings are wrong.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use seckill_core::sale::reasons;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::running::RunningSystem;
use crate::config::{Beside, Config, ConfigError, Setting, Source};
use crate::redis::RedisLinkError;
use crate::store::Store;

/// `seckill accounts`.
mod accounts;
/// The commands, and the settings that each of them takes.
mod arguments;
/// Commands in the audit log.
mod audited;
/// `seckill bans`.
mod bans;
/// `seckill capacity`.
mod capacity;
/// `seckill doctor`.
mod doctor;
/// `seckill drill`.
mod drill;
/// `seckill feed`.
mod feed;
/// `seckill findings`.
mod findings;
/// `seckill inventory`.
mod inventory;
/// Log format and level.
mod logging;
/// `seckill notices`.
mod notices;
/// `seckill orders`.
mod orders;
/// `seckill payments`.
mod payments;
/// `seckill retention`.
mod retention;
/// `seckill round`.
mod round;
/// `seckill sale`.
mod sale;
/// `seckill serve`.
mod serve;
/// `seckill session`.
mod session;
/// `seckill site`.
mod site;
/// `seckill status`.
mod status;
/// `seckill stock`.
mod stock;
/// Texts that are given as arguments.
mod texts;
/// `seckill tune`.
mod tune;
/// `seckill up`.
mod up;
/// `seckill verify`.
mod verify;

use arguments::{Cli, Command};

/// Reads the arguments of this process, carries the command out, and reports a failure
/// on standard error.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::read();
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
            // Only the sentence itself: it names its cause where that helps.
            let _ = writeln!(std::io::stderr(), "seckill: {error}");
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}

/// Half of the cores: Redis and nginx have work for the others, and threads beyond
/// that cost a purchase more in wakings than they bring (on two cores, 26 us of CPU
/// by one thread, 32 us by two). TOKIO_WORKER_THREADS overrides it, for a machine that
/// runs nothing else.
fn threads() -> usize {
    let set = std::env::var("TOKIO_WORKER_THREADS").ok();
    let set = set.and_then(|text| text.parse().ok());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    set.filter(|n| *n > 0).unwrap_or(cores.div_ceil(2))
}

async fn start(cli: Cli) -> anyhow::Result<()> {
    let beside = match cli.command {
        Command::Up(_) => Beside::Nothing,
        _ => Beside::RunningSystem,
    };
    let mut config = Config::load(cli.settings.config.as_deref(), cli.given(), beside)?;
    if let Command::Up(arguments) = &cli.command {
        arguments.preset(&mut config);
    }
    let stays = matches!(cli.command, Command::Up(_) | Command::Serve(_));
    if !stays {
        be_brief(&mut config);
    }
    logging::start(&config);
    if let Some(warning) = config.warning() {
        tracing::warn!("{warning}");
    }
    // Its addresses are then those of the settings, which may be others.
    let hidden = (beside == Beside::RunningSystem).then(|| RunningSystem::hidden(&config.data));
    match hidden.flatten() {
        // Its own report says so.
        Some(_) if matches!(cli.command, Command::Status(_)) => {}
        Some(hidden) => tracing::warn!("{hidden}"),
        None => {}
    }
    match carry_out(cli.command, &config).await {
        Err(error) if !stays => Err(with_cure(error, &config)),
        outcome => outcome,
    }
}

/// A command that prints something and ends reports itself that Redis is away; a log
/// line before that would only repeat it.
fn be_brief(config: &mut Config) {
    let is_untouched = |it: &Setting| it.key == "log" && it.source == Source::Default;
    if config.settings().iter().any(is_untouched) {
        config.log.push_str(",seckill::redis=error");
    }
}

/// The cure for a Redis that is away is to start the system, unless the operator runs
/// Redis elsewhere.
fn with_cure(error: anyhow::Error, config: &Config) -> anyhow::Error {
    match error.downcast_ref() {
        Some(RedisLinkError::Away { address, .. })
            if !config.redis_is_external && config.redis_url.ends_with(address.as_str()) =>
        {
            if RunningSystem::hidden(&config.data).is_some() {
                return anyhow::anyhow!(
                    "no Redis listens at {address}, as far as this user can see"
                );
            }
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
        Command::Up(arguments) => up::run(config, arguments).await,
        Command::Serve(arguments) => serve::run(config, arguments).await,
        Command::Round(command) => round::run(config, command).await,
        Command::Sale(command) => sale::run(config, command).await,
        Command::Stock(command) => stock::run(config, command).await,
        Command::Accounts(command) => accounts::run(config, command).await,
        Command::Bans(command) => bans::run(config, command).await,
        Command::Load(load) => {
            // Every buyer has a connection of their own.
            crate::up::raise_file_limit();
            load.run().await
        }
        Command::Feed(command) => feed::run(config, command).await,
        Command::Findings(command) => findings::run(config, command).await,
        Command::Orders(command) => orders::run(config, command).await,
        Command::Inventory(command) => inventory::run(config, command).await,
        Command::Payments(command) => payments::run(config, command).await,
        Command::Notices(command) => notices::run(config, command).await,
        Command::Retention(arguments) => retention::run(config, &arguments).await,
        Command::Session(command) => session::run(config, command).await,
        Command::Site(command) => site::run(config, command).await,
        Command::Status(arguments) => status::show(config, &arguments).await,
        Command::Verify(arguments) => verify::verify(config, &arguments).await,
        Command::Capacity(arguments) => capacity::run(config, &arguments),
        Command::Doctor(arguments) => doctor::run(config, arguments).await,
        Command::Tune(arguments) => tune::run(config, arguments).await,
        Command::Drill(arguments) => drill::run(config, &arguments).await,
        Command::Config => say(&config.table()),
    }
}

/// A token that the first SIGINT or SIGTERM cancels.
fn stop_at_signals() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be caught")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be caught")?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // First what was asked for: a log line may wait for its reader.
        stopped.cancel();
        tracing::info!("stopping");
    });
    Ok(stop)
}

/// Opens the database of a system that is there. In a wrong folder a new one would look
/// as if all were well and nothing had ever been sold.
async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let Some(missing) = config.missing_database() else {
        return open_database(config).await;
    };
    let (data, missing) = (config.data.display(), missing.display());
    match config.has_own_database() && !config.redis_is_external {
        true => anyhow::bail!(
            "the system in {data} is not running, and has no database {missing}; \"seckill up\" \
             starts one, and --data or SECKILL_DATA names another folder"
        ),
        false => anyhow::bail!(
            "there is no database {missing}; \"seckill serve\" or \"seckill sale import\" makes it, \
             database_url and order_databases name others, and --data or SECKILL_DATA names another \
             folder"
        ),
    }
}

/// Opens the database, which is made if this is the first command.
async fn open_or_make_store(config: &Config) -> anyhow::Result<Store> {
    crate::up::folders::make_database(config).map_err(|(path, error)| {
        let path = path.display();
        match config.has_own_database() {
            true => anyhow::anyhow!(
                "{path} cannot be used: {error}; choose another data folder with SECKILL_DATA"
            ),
            false => anyhow::anyhow!(
                "{path} cannot be used: {error}; database_url names another database"
            ),
        }
    })?;
    open_database(config).await
}

async fn open_database(config: &Config) -> anyhow::Result<Store> {
    let store = Store::open_sharded(&config.database_url, &config.order_databases).await?;
    // What a command changes is announced as what a role changes.
    let store = store.notifying(&config.notify.channels());
    let store = store.with_refund_stock(config.refund_stock);
    Ok(store.feeding(config.feed.is_on()))
}

/// Writes to standard output; what is stored may have been written by anybody, and acts on
/// no terminal. That a reader such as `head` left early is no error.
fn say(text: &str) -> anyhow::Result<()> {
    let text = reasons::printable(text);
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}
