//! `seckill findings`: who seems to be a program, and the decisions on it.

use crate::config::Config;
use crate::edges::bans;
use crate::edges::findings::Decision;
use crate::redis::RedisLink;
use crate::store::Actor;
use crate::store::findings::{Finding, FindingState};
use anyhow::Context as _;
use clap::Subcommand;
use seckill_core::shared::bans::listed::Kind;

use super::bans::{BanTargetArgs, until};
use super::{open_store, say};

#[derive(Debug, Subcommand)]
pub(crate) enum FindingsCommand {
    /// Print them, worst first, each with its reasons
    List {
        /// Only those that are proposed, banned, confirmed or dismissed
        #[arg(long, value_name = "STATE", value_parser = finding_state)]
        state: Option<FindingState>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// It is a program: ban it
    Confirm {
        #[command(flatten)]
        target: BanTargetArgs,
        /// For how long, such as 30s, 15m, 1h, 7d [default: analysis_ban_minutes]
        #[arg(long = "for", value_name = "TIME", value_parser = bans::parse_time)]
        time_ms: Option<u64>,
    },
    /// It is a person: lift the ban, and leave it alone for 90 days
    Dismiss {
        #[command(flatten)]
        target: BanTargetArgs,
    },
}

fn finding_state(text: &str) -> Result<FindingState, String> {
    FindingState::parse(text)
        .ok_or_else(|| "write proposed, banned, confirmed or dismissed".to_owned())
}

/// Runs one of the commands.
///
/// # Errors
/// The database or Redis is away, or there is no such finding.
pub(crate) async fn run(config: &Config, command: FindingsCommand) -> anyhow::Result<()> {
    match command {
        FindingsCommand::List { state, limit, json } => list(config, state, limit, json).await,
        FindingsCommand::Confirm { target, time_ms } => confirm(config, &target, time_ms).await,
        FindingsCommand::Dismiss { target } => dismiss(config, &target).await,
    }
}

async fn list(
    config: &Config,
    state: Option<FindingState>,
    limit: u32,
    json: bool,
) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let findings = store.findings(state, limit).await;
    store.close().await;
    let findings = findings?;
    if json {
        let text = serde_json::to_string(&findings).context("the list cannot be written")?;
        return say(&format!("{text}\n"));
    }
    if findings.is_empty() {
        return say("There are no findings.\n");
    }
    let text: Vec<String> = findings.iter().map(|one| line(one, config)).collect();
    say(&format!("{}\n", text.join("\n")))
}

fn line(finding: &Finding, config: &Config) -> String {
    let Finding {
        kind,
        subject,
        score,
        ..
    } = finding;
    let decided = match (finding.state, &finding.decided_by) {
        (FindingState::Proposed, _) => "proposed".to_owned(),
        (FindingState::Dismissed, by) => {
            format!("a person, says {}", by.as_deref().unwrap_or("somebody"))
        }
        (_, by) => {
            let until = until(finding.ban_until_ms, &config.time_zone);
            let by = by.as_deref().unwrap_or("the policy");
            format!("banned {until} by {by}")
        }
    };
    let mut text = format!("{kind:<8} {subject:<30} {score:>4}  {decided}");
    for reason in &finding.reasons {
        let sentence = reason.get("sentence").and_then(|it| it.as_str());
        text.push_str(&format!("\n         {}", sentence.unwrap_or_default()));
    }
    text
}

async fn confirm(
    config: &Config,
    target: &BanTargetArgs,
    time_ms: Option<u64>,
) -> anyhow::Result<()> {
    let (store, redis) = open(config).await?;
    let (by, value) = (Actor::on_the_box(), target.value());
    let for_ms = time_ms.unwrap_or(config.analysis.ban_for_ms);
    let confirmed = decision(target.kind, &value, &by)
        .confirm(&store, &redis, for_ms)
        .await;
    store.close().await;
    let until = until(confirmed?.ban_until_ms, &config.time_zone);
    say(&format!(
        "Banned {until}: {} {value}.\n",
        target.kind.as_str()
    ))
}

async fn dismiss(config: &Config, target: &BanTargetArgs) -> anyhow::Result<()> {
    let (store, redis) = open(config).await?;
    let (by, value) = (Actor::on_the_box(), target.value());
    let dismissed = decision(target.kind, &value, &by)
        .dismiss(&store, &redis)
        .await;
    store.close().await;
    dismissed?;
    let kind = target.kind.as_str();
    say(&format!(
        "Lifted, and left alone for 90 days: {kind} {value}.\n"
    ))
}

async fn open(config: &Config) -> anyhow::Result<(crate::store::Store, RedisLink)> {
    let redis = RedisLink::connect(&config.redis_url).await?;
    Ok((open_store(config).await?, redis))
}

fn decision<'a>(kind: Kind, subject: &'a str, by: &'a Actor) -> Decision<'a> {
    Decision {
        kind,
        subject,
        by,
        now_ms: crate::now_ms(),
    }
}
