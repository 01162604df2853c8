//! `seckill round`: the stop switch.

use clap::{Args, Subcommand};
use seckill_core::sale::reasons;

use super::texts::filled;
use super::{open_store, say};
use crate::config::Config;
use crate::redis::RedisLink;
use crate::sale::switch::Switch;
use crate::store::Actor;
use crate::store::stop::Cancelling;
use crate::store::stops::{MAX_REASON, StopOrder, StopStep};

#[derive(Debug, Subcommand)]
pub(crate) enum RoundCommand {
    /// Interrupt the sale of a round or of one product: every edge refuses with "paused"
    ///
    /// What was bought before is placed and may be paid as usual.
    Pause(StopArgs),
    /// Go on selling what was paused
    Resume(StopArgs),
    /// End a round, or one product of it, before its time
    End(CancelArgs),
    /// Take a round, or one product of it, off sale for good, and off the shop's pages
    Withdraw(CancelArgs),
}

/// What is stopped.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The round's id
    round: String,
    /// One product of it; left out, the whole round
    #[arg(value_parser = filled)]
    product: Option<String>,
    /// Why, for the audit log
    #[arg(long, value_parser = filled)]
    reason: Option<String>,
}

/// What is stopped, and what becomes of its orders.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    stop: StopArgs,
    /// Cancel these orders too, also those that are placed later from purchases that were
    /// under way; of paid ones a refund is due
    #[arg(long, value_enum, default_value = "none")]
    cancel: Cancelling,
}

/// Carries the command out.
pub(super) async fn run(config: &Config, command: RoundCommand) -> anyhow::Result<()> {
    let (step, stop, cancel) = match command {
        RoundCommand::Pause(stop) => (StopStep::Pause, stop, Cancelling::None),
        RoundCommand::Resume(stop) => (StopStep::Resume, stop, Cancelling::None),
        RoundCommand::End(it) => (StopStep::End, it.stop, it.cancel),
        RoundCommand::Withdraw(it) => (StopStep::Withdraw, it.stop, it.cancel),
    };
    let redis = RedisLink::of_command(&config.redis_url)?;
    let store = open_store(config).await?;
    let order = StopOrder {
        step,
        round: &stop.round,
        product: stop.product.as_deref(),
        cancel,
        reason: reasons::check(
            "reason",
            stop.reason.as_deref().unwrap_or_default(),
            (0, MAX_REASON),
        )?,
    };
    let switch = Switch {
        store: &store,
        redis: &redis,
    };
    let switched = switch
        .carry_out(&order, &Actor::on_the_box(), crate::now_ms())
        .await?;
    store.close().await;
    let what = match &stop.product {
        None => format!("Round {}", stop.round),
        Some(product) => format!("Product {product} of round {}", stop.round),
    };
    let now = match step {
        StopStep::Pause => "paused",
        StopStep::Resume => "selling again",
        StopStep::End => "ended",
        StopStep::Withdraw => "withdrawn",
    };
    let before = if switched.changed { "" } else { " already" };
    match switched.problem {
        None => say(&format!(
            "{what} is{before} {now}; every edge knows within a second.\n"
        )),
        Some(error) => Err(anyhow::anyhow!(
            "{what} is{before} {now} in the database, but the edges do not know yet: {error}. The \
             ops role tells them as soon as it can; giving the command again does no harm"
        )),
    }
}
