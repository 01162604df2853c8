//! `seckill verify`: checks every invariant of the system in a data folder.

use anyhow::Context as _;
use clap::Args;

use super::{open_store, say};
use crate::config::{Config, QueueKind};
use crate::inspect::verify;
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::up;

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// As JSON, with all breaches
    #[arg(long)]
    json: bool,
    /// Rounds that have left Redis, by their archived ledgers, instead of those in it
    #[arg(long)]
    archived: bool,
}

/// Prints the report; an error if there is a breach.
pub(super) async fn verify(config: &Config, arguments: &VerifyArgs) -> anyhow::Result<()> {
    if arguments.archived {
        let store = open_store(config).await?;
        let report = verify::verify_archived(&store).await;
        store.close().await;
        return show(&report?, arguments);
    }
    // A stopped system's Redis is started for this; a running one's is used.
    let alone = up::redis_alone(config).await?;
    let report = read_and_verify(config).await;
    if let Some(alone) = alone {
        alone.stop().await;
    }
    show(&report?, arguments)
}

fn show(report: &verify::Report, arguments: &VerifyArgs) -> anyhow::Result<()> {
    match arguments.json {
        true => {
            let text =
                serde_json::to_string_pretty(report).context("the report cannot be written")?;
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
