//! `seckill retention`: removing what is old from the database.

use anyhow::Context as _;
use clap::Args;

use super::{open_store, say};
use crate::config::Config;
use crate::now_ms;
use crate::orders::retention::{Outcome, Pass, Retention};
use crate::store::Actor;

/// Remove from the database what is older than keep_orders_days and its like say
///
/// Everything is exported to keep_exports first. The ops role does the same every hour. Of
/// a round nothing is removed while anything of it is open: an order, a refund, a
/// notification, an event of the feed, what the inventory holds.
#[derive(Debug, Args)]
pub(crate) struct RetentionArgs {
    /// Only say what would be removed, and what has to stay
    #[arg(long)]
    dry_run: bool,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Carries out `seckill retention`.
pub(crate) async fn run(config: &Config, arguments: &RetentionArgs) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let retention = Retention {
        store: &store,
        keep: &config.keep,
        by: &Actor::on_the_box(),
        dry_run: arguments.dry_run,
    };
    let pass = retention.pass(now_ms()).await;
    store.close().await;
    // What was done is said even if something else failed.
    say(&text(&pass, arguments)?)?;
    pass.failure.map_or(Ok(()), |error| Err(error.into()))
}

fn text(pass: &Pass, arguments: &RetentionArgs) -> anyhow::Result<String> {
    if arguments.json {
        let text = serde_json::to_string_pretty(&pass.outcomes).context("it cannot be written")?;
        return Ok(format!("{text}\n"));
    }
    if pass.outcomes.is_empty() && pass.failure.is_none() {
        let text =
            "Nothing is old enough; \"seckill config\" shows keep_orders_days and its like.\n";
        return Ok(text.to_owned());
    }
    let lines = pass.outcomes.iter();
    Ok(lines
        .map(|outcome| line(outcome, arguments.dry_run))
        .collect())
}

fn line(outcome: &Outcome, dry_run: bool) -> String {
    let of = outcome
        .round
        .as_deref()
        .map_or_else(String::new, |round| format!(" of round {round}"));
    let what = format!("{:<8}{of}", outcome.what);
    match (outcome.stays, &outcome.file) {
        (Some(why), _) => format!("{what}: stay, since {why}\n"),
        (None, Some(file)) => format!("{what}: {} removed, exported to {file}\n", outcome.removed),
        (None, None) if dry_run && outcome.round.is_none() => {
            format!("{what}: {} would be removed\n", outcome.removed)
        }
        (None, None) => format!("{what}: would be removed\n"),
    }
}
