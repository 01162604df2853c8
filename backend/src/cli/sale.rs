//! `seckill sale`: importing, approving and exporting rounds.

use std::path::Path;

use super::arguments::Sale;
use super::{open_store, say};
use crate::config::Config;
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::sale::approve::Approver;
use crate::sale::{export, file, import, repeat};
use crate::store::Actor;

/// Carries the command out.
pub(super) async fn run(config: &Config, command: Sale) -> anyhow::Result<()> {
    match command {
        Sale::Import {
            file,
            approve,
            overlapping,
        } => import_sale(config, &file, approve, overlapping).await,
        Sale::Approve { round } => approve_rounds(config, &[round]).await,
        Sale::Export { json } => export_sale(config, json).await,
    }
}

async fn import_sale(
    config: &Config,
    path: &Path,
    approve: bool,
    overlapping: bool,
) -> anyhow::Result<()> {
    let now_ms = crate::now_ms();
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
    let approver = Approver {
        store: &store,
        redis: &redis,
        segments: &segments,
        zone: &config.time_zone,
    };
    for round in rounds {
        approver
            .approve(round, &Actor::on_the_box(), crate::now_ms())
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
