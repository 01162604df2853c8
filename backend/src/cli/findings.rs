//! `seckill findings`: what it prints.

use crate::config::Config;
use crate::edges::findings::Decision;
use crate::redis::RedisLink;
use crate::store::Actor;
use crate::store::findings::{Finding, FindingState};
use anyhow::Context as _;

use crate::cli::arguments::{Findings, Whom};
use crate::cli::bans::{until, whoever_runs_this};
use crate::cli::{open_store, say};

/// Runs one of the commands.
///
/// # Errors
/// The database or Redis is away, or there is no such finding.
pub(crate) async fn run(config: &Config, asked: Findings) -> anyhow::Result<()> {
    match asked {
        Findings::List { state, limit, json } => list(config, state, limit, json).await,
        Findings::Confirm { whom, time_ms } => confirm(config, &whom, time_ms).await,
        Findings::Dismiss { whom } => dismiss(config, &whom).await,
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
        return say("Nobody was found.\n");
    }
    let text: Vec<String> = findings.iter().map(|one| told(one, config)).collect();
    say(&format!("{}\n", text.join("\n")))
}

fn told(finding: &Finding, config: &Config) -> String {
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

async fn confirm(config: &Config, whom: &Whom, time_ms: Option<u64>) -> anyhow::Result<()> {
    let (store, redis) = open(config).await?;
    let by = me();
    let for_ms = time_ms.unwrap_or(config.analysis.ban_for_ms);
    let confirmed = decision(whom, &by).confirm(&store, &redis, for_ms).await;
    store.close().await;
    let until = until(confirmed?.ban_until_ms, &config.time_zone);
    let Whom { kind, value } = whom;
    say(&format!("Banned {until}: {} {value}.\n", kind.as_str()))
}

async fn dismiss(config: &Config, whom: &Whom) -> anyhow::Result<()> {
    let (store, redis) = open(config).await?;
    let by = me();
    let dismissed = decision(whom, &by).dismiss(&store, &redis).await;
    store.close().await;
    dismissed?;
    let Whom { kind, value } = whom;
    let kind = kind.as_str();
    say(&format!(
        "Lifted, and left alone for 90 days: {kind} {value}.\n"
    ))
}

async fn open(config: &Config) -> anyhow::Result<(crate::store::Store, RedisLink)> {
    let redis = RedisLink::connect(&config.redis_url).await?;
    Ok((open_store(config).await?, redis))
}

/// Whoever has the box, by the name that he has there.
fn me() -> Actor {
    Actor {
        name: whoever_runs_this(),
        ..Actor::on_the_box()
    }
}

fn decision<'a>(whom: &'a Whom, by: &'a Actor) -> Decision<'a> {
    Decision {
        kind: whom.kind,
        subject: &whom.value,
        by,
        now_ms: crate::now_ms(),
    }
}
