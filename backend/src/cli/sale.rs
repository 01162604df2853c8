//! `seckill sale`: importing, approving and exporting rounds.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::round::{self, RoundCommand};
use super::{open_or_make_store, open_store, say};
use crate::config::Config;
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::sale::alone;
use crate::sale::approve::{ApproveError, Approver};
use crate::sale::import::{self, ImportError};
use crate::sale::{export, file, repeat};
use crate::store::Actor;
use crate::store::round::RoundState;
use crate::store::stop::StopKind;

#[derive(Debug, Subcommand)]
pub(crate) enum SaleCommand {
    /// Check a sale file and store its rounds as drafts, all or none
    ///
    /// The file is TOML, or JSON of the same shape if its name ends in .json;
    /// examples/sale.toml shows all fields. Importing an unchanged file again
    /// changes nothing; an approved round cannot be changed.
    Import {
        /// The sale file
        file: PathBuf,
        /// Approve its rounds at once
        #[arg(long)]
        approve: bool,
        /// Take it even if a product is in two rounds at the same time
        #[arg(long)]
        overlapping: bool,
    },
    /// Put a round on sale: stock into Redis, pages under the edge
    ///
    /// Approving again is safe, and completes an approval that was interrupted.
    Approve {
        /// The round's id
        round: String,
    },
    #[command(flatten)]
    Stop(RoundCommand),
    /// Print all rounds as a sale file
    ///
    /// What a sale file cannot have, such as a round that is over or withdrawn, is
    /// commented out, and left out of JSON.
    Export {
        /// As JSON of the same shape
        #[arg(long)]
        json: bool,
    },
}

/// Carries the command out.
pub(super) async fn run(config: &Config, command: SaleCommand) -> anyhow::Result<()> {
    match command {
        SaleCommand::Import {
            file,
            approve,
            overlapping,
        } => import_sale(config, &file, approve, overlapping).await,
        SaleCommand::Approve { round } => approve_rounds(config, &[round]).await,
        SaleCommand::Stop(command) => round::run(config, command).await,
        SaleCommand::Export { json } => export_sale(config, json).await,
    }
}

async fn import_sale(
    config: &Config,
    path: &Path,
    approve: bool,
    overlapping: bool,
) -> anyhow::Result<()> {
    let now_ms = crate::now_ms();
    let rounds = file::read_at(config.site.as_ref(), path, now_ms)?;
    let rounds = repeat::by_day(rounds, &config.time_zone)?;
    // Checked before anything is stored: a sale that cannot be approved now should not be
    // stored without being approved, nor all of an amount of which others sell a part.
    match RedisLink::connect(&config.redis_url).await {
        Ok(redis) => alone::refuse(config.site.as_ref(), &redis)
            .await
            .map_err(|error| anyhow::anyhow!("nothing was imported: {error}"))?,
        Err(error) if approve => return Err(not_running(config, "imported", &error)),
        // Drafts need no Redis; approving them asks it again.
        Err(_) => {}
    }
    let store = open_or_make_store(config).await?;
    let by = Actor::on_the_box();
    let outcomes = match overlapping {
        true => import::import_overlapping(&store, &rounds, &by, now_ms).await,
        false => import::import(&store, &rounds, &by, now_ms).await,
    };
    let outcomes = outcomes.map_err(not_imported)?;
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
        .map_err(|error| not_running(config, "approved", &error))?;
    let store = open_store(config).await?;
    let segments = Segments::open(&redis, &config.redis_segments)?;
    let inventory = crate::roles::inventory(config)?;
    let approver = Approver {
        store: &store,
        redis: &redis,
        segments: &segments,
        zone: &config.time_zone,
        inventory: inventory.as_ref(),
        site: config.site.as_ref(),
    };
    let by = Actor::on_the_box();
    for round in rounds {
        let is_approved = store
            .round(round)
            .await?
            .is_some_and(|stored| stored.state == RoundState::Approved);
        // Whoever worked on it at the console is not a second person in a shell.
        let is_own = !is_approved && store.has_worked_on(round, &by.name).await?;
        anyhow::ensure!(
            !is_own,
            "round \"{round}\" was not approved: {} made, changed or submitted it at the console, so \
             a supervisor other than {} has to approve it there",
            by.name,
            by.name
        );
        let approved = approver.approve(round, &by, crate::now_ms()).await;
        approved.map_err(|error| not_approved(round, error))?;
        let stored = store.round(round).await?;
        let stop = stored.and_then(|stored| stored.stops.round);
        say(&match stop.map(|stop| stop.kind) {
            Some(StopKind::Paused) => format!(
                "Round {round}: approved, and paused; nobody can buy before \"seckill round resume \
                 {round}\".\n"
            ),
            _ => format!("Round {round}: approved and on sale.\n"),
        })?;
    }
    store.close().await;
    Ok(())
}

fn not_running(config: &Config, done: &str, error: &dyn std::fmt::Display) -> anyhow::Error {
    match config.redis_is_external {
        true => anyhow::anyhow!("nothing was {done}: {error}"),
        false => anyhow::anyhow!("nothing was {done}: {error}. \"seckill up\" starts one."),
    }
}

fn not_imported(error: ImportError) -> anyhow::Error {
    match error {
        // It may have been stored before the database was lost.
        ImportError::Store(_) => error.into(),
        error => anyhow::anyhow!("nothing was imported: {error}"),
    }
}

/// Of several rounds, those before this one are on sale.
fn not_approved(round: &str, error: ApproveError) -> anyhow::Error {
    match error {
        // They name their round, or do not say what became of it.
        ApproveError::Store(_)
        | ApproveError::Publish { .. }
        | ApproveError::NoSuchRound { .. }
        | ApproveError::Over { .. }
        | ApproveError::Withdrawn(_) => error.into(),
        error => anyhow::anyhow!("round \"{round}\" was not approved: {error}"),
    }
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
    say(&form(&rounds, &config.time_zone, crate::now_ms()))
}
