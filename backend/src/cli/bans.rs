//! `seckill bans`: what it prints.

use crate::config::Config;
use crate::edges::bans;
use crate::edges::bans::Listed;
use crate::redis::RedisLink;
use anyhow::Context as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use seckill_core::shared::bans::Ban;
use seckill_core::shared::bans::listed as ban;
use seckill_core::shared::bans::listed::Record;

use crate::cli::arguments::{Bans, Whom};
use crate::cli::say;

/// Runs one of the commands.
///
/// # Errors
/// The value is no address or user, or Redis is away.
pub(crate) async fn run(config: &Config, asked: Bans) -> anyhow::Result<()> {
    match asked {
        Bans::Add {
            whom,
            reason,
            time_ms,
            by,
            json,
        } => {
            let now_ms = crate::now_ms();
            let record = Record {
                expires_ms: time_ms.map(|ms| now_ms + ms),
                at_ms: now_ms,
                by: by.unwrap_or_else(whoever_runs_this),
                reason,
            };
            add(config, &whom, &record, json).await
        }
        Bans::Lift { whom, json } => lift(config, &whom, json).await,
        Bans::List { json } => list(config, json).await,
    }
}

async fn add(config: &Config, whom: &Whom, record: &Record, json: bool) -> anyhow::Result<()> {
    let ban = whom.kind.read(&whom.value)?;
    let redis = RedisLink::connect(&config.redis_url).await?;
    let before = bans::add(&mut redis.conn().await?, &ban, record, record.at_ms).await?;
    let was_banned = before.is_some_and(|before| !has_ended(before.expires_ms, record.at_ms));
    if json {
        let told = serde_json::json!({
            "ban": ban::field(&ban),
            "expires_ms": record.expires_ms,
            "was_banned": was_banned,
        });
        return say(&format!("{told}\n"));
    }
    let until = until(record.expires_ms, &config.time_zone);
    let before = if was_banned { ", as before" } else { "" };
    say(&format!("Banned {until}{before}: {}.\n", named(&ban)))
}

async fn lift(config: &Config, whom: &Whom, json: bool) -> anyhow::Result<()> {
    let ban = whom.kind.read(&whom.value)?;
    let redis = RedisLink::connect(&config.redis_url).await?;
    let was_banned = bans::lift(&mut redis.conn().await?, &ban).await?;
    if json {
        let told = serde_json::json!({ "ban": ban::field(&ban), "was_banned": was_banned });
        return say(&format!("{told}\n"));
    }
    let name = named(&ban);
    if was_banned {
        say(&format!("Lifted: {name}.\n"))
    } else {
        say(&format!(
            "Nothing to lift: {name} was not banned. \"seckill bans list\" shows who is; a network is lifted as it was banned.\n"
        ))
    }
}

async fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let redis = RedisLink::connect(&config.redis_url).await?;
    let bans = bans::list(&mut redis.conn().await?, crate::now_ms()).await?;
    for garbage in &bans.garbage {
        tracing::warn!("skipped: {garbage}");
    }
    if json {
        let text = serde_json::to_string(&bans.listed).context("the list cannot be written")?;
        return say(&format!("{text}\n"));
    }
    if bans.listed.is_empty() {
        return say("Nobody is banned.\n");
    }
    let zone = &config.time_zone;
    let lines: Vec<String> = bans.listed.iter().map(|ban| line(ban, zone)).collect();
    say(&format!("{}\n", lines.join("\n")))
}

fn line(ban: &Listed, zone: &TimeZone) -> String {
    let Listed {
        kind,
        value,
        by,
        reason,
        ..
    } = ban;
    let until = until(ban.expires_ms, zone);
    format!("{kind:<8} {value:<30} {until:<32} {reason} ({by})")
}

fn has_ended(expires_ms: Option<u64>, now_ms: u64) -> bool {
    expires_ms.is_some_and(|at| at <= now_ms)
}

fn named(ban: &Ban<'_>) -> String {
    match ban {
        Ban::Address(prefix) => format!("address {prefix}"),
        Ban::User(user) => format!("user {user}"),
    }
}

pub(crate) fn until(expires_ms: Option<u64>, zone: &TimeZone) -> String {
    let time = expires_ms
        .and_then(|ms| i64::try_from(ms).ok())
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    match time {
        None => "for good".to_owned(),
        Some(time) => time
            .to_zoned(zone.clone())
            .strftime("until %Y-%m-%d %H:%M:%S %Z")
            .to_string(),
    }
}

/// The name under which the system knows whoever types this.
pub(crate) fn whoever_runs_this() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|name| !name.is_empty() && ban::is_text(name))
        .unwrap_or_else(|| "unknown".to_owned())
}
