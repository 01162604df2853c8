//! `seckill`: the command line of the flash sale. Exit status 0: done, 1: it
//! failed, 2: it was asked for in a way that makes no sense.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use seckill::config::{Config, ConfigError, QueueKind, Setting, Source};
use seckill::redis_link::{RedisLink, RedisLinkError};
use seckill::sale::approve::Desk;
use seckill::sale::{export, file, import, repeat};
use seckill::segments::Segments;
use seckill::store::{Actor, Store};
use seckill::{logging, roles, status, up, verify};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

mod accounts_command;
mod bans_command;
mod capacity_command;
mod cli;
mod drill_command;
mod findings_command;
mod notices_command;
mod orders_command;
mod stock_command;

use cli::{Cli, Command, Sale};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads())
        .enable_all()
        .build()
        .context("the runtime cannot start")
        // On the main thread: children of "up" live as long as the thread that
        // started them.
        .and_then(|runtime| runtime.block_on(run(cli)));
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

async fn run(cli: Cli) -> anyhow::Result<()> {
    let mut config = Config::load(cli.settings.config.as_deref(), cli.given())?;
    if matches!(cli.command, Command::Up { demo: true, .. }) {
        config.prepare_demo();
    }
    let stays = matches!(cli.command, Command::Up { .. } | Command::Serve { .. });
    if !stays {
        be_brief(&mut config);
    }
    logging::start(&config);
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
        config.log.push_str(",seckill::redis_link=error");
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
        Command::Sale(Sale::Import {
            file,
            approve,
            overlapping,
        }) => import_sale(config, &file, approve, overlapping).await,
        Command::Sale(Sale::Approve { round }) => approve_rounds(config, &[round]).await,
        Command::Sale(Sale::Export { json }) => export_sale(config, json).await,
        Command::Stock(command) => stock_command::run(config, command).await,
        Command::Accounts(asked) => accounts_command::run(config, asked).await,
        Command::Bans(asked) => bans_command::run(config, asked).await,
        Command::Load(load) => {
            // Everybody has a connection of his own.
            up::raise_file_limit();
            load.run().await
        }
        Command::Findings(asked) => findings_command::run(config, asked).await,
        Command::Orders(asked) => orders_command::run(config, asked).await,
        Command::Notices(asked) => notices_command::run(config, asked).await,
        Command::Status { json } => show_status(config, json).await,
        Command::Verify { json } => verify_system(config, json).await,
        Command::Capacity(asked) => capacity_command::run(config, &asked),
        Command::Drill { name, arguments } => drill_command::run(config, &name, &arguments),
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

async fn import_sale(
    config: &Config,
    path: &Path,
    approve: bool,
    overlapping: bool,
) -> anyhow::Result<()> {
    let now_ms = seckill::now_ms();
    let rounds = repeat::by_day(file::read(path, now_ms)?, &config.time_zone)?;
    if approve {
        // Asked before anything is stored: a sale that cannot be approved now
        // should not be half of what was wanted.
        RedisLink::connect(&config.redis_url)
            .await
            .map_err(|error| not_running(&error))?;
    }
    let store = open_store(config).await?;
    let by = Actor::on_the_box();
    let outcomes = match overlapping {
        true => import::import_overlapping(&store, &rounds, &by, now_ms).await?,
        false => import::import(&store, &rounds, &by, now_ms).await?,
    };
    store.close().await;
    for outcome in &outcomes {
        say(&format!("Round {}: {}.\n", outcome.round, outcome.change))?;
    }
    if approve {
        let ids: Vec<String> = outcomes.into_iter().map(|outcome| outcome.round).collect();
        return approve_rounds(config, &ids).await;
    }
    Ok(())
}

async fn approve_rounds(config: &Config, rounds: &[String]) -> anyhow::Result<()> {
    let redis = RedisLink::connect(&config.redis_url)
        .await
        .map_err(|error| not_running(&error))?;
    let store = open_store(config).await?;
    let segments = Segments::open(&redis, &config.redis_segments)?;
    let desk = Desk {
        store: &store,
        redis: &redis,
        segments: &segments,
        zone: &config.time_zone,
    };
    for round in rounds {
        desk.approve(round, &Actor::on_the_box(), seckill::now_ms())
            .await?;
        say(&format!("Round {round}: approved and on sale.\n"))?;
    }
    store.close().await;
    Ok(())
}

fn not_running(error: &dyn std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("nothing was approved: {error}. \"seckill up\" starts one.")
}

async fn export_sale(config: &Config, json: bool) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let rounds = store.rounds().await?;
    store.close().await;
    let form = if json {
        export::to_json
    } else {
        export::to_toml
    };
    say(&form(&rounds, &config.time_zone))
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

async fn verify_system(config: &Config, json: bool) -> anyhow::Result<()> {
    // A stopped system's Redis is started for this; a running one's is used.
    let alone = up::redis_alone(config).await?;
    let report = read_and_verify(config).await;
    if let Some(alone) = alone {
        alone.stop().await;
    }
    let report = report?;
    match json {
        true => {
            let text =
                serde_json::to_string_pretty(&report).context("the report cannot be written")?;
            say(&format!("{text}\n"))?;
        }
        false => say(&report.text())?,
    }
    if report.pass {
        return Ok(());
    }
    anyhow::bail!("{} breaches were found", report.breaches.len())
}

async fn read_and_verify(config: &Config) -> anyhow::Result<verify::Report> {
    let redis = RedisLink::connect(&config.redis_url).await?;
    let segments = Segments::open(&redis, &config.redis_segments)?;
    let store = open_store(config).await?;
    let system = verify::System {
        store: &store,
        redis: &redis,
        segments: &segments,
        queue_is_visible: config.queue == QueueKind::Streams,
        pause: verify::PAUSE,
    };
    let report = verify::verify(system).await;
    store.close().await;
    Ok(report?)
}

async fn show_status(config: &Config, json: bool) -> anyhow::Result<()> {
    let status = status::read(config).await;
    if json {
        let text = serde_json::to_string_pretty(&status).context("the report cannot be written")?;
        say(&format!("{text}\n"))?;
    } else {
        say(&status.table())?;
    }
    if status.is_all_up() {
        return Ok(());
    }
    let down: Vec<&str> = status
        .parts
        .iter()
        .filter(|part| !part.up)
        .map(|part| part.name)
        .collect();
    let (are, them) = match down.len() {
        1 => ("is", "it"),
        _ => ("are", "them"),
    };
    anyhow::bail!(
        "not everything is up: {} {are} away; \"seckill up\" starts {them}",
        down.join(", ")
    )
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
