//! `seckill bans`: keeps addresses, networks and users out.

use std::borrow::Cow;

use crate::config::Config;
use crate::edges::bans;
use crate::edges::bans::Listed;
use crate::redis::{RedisLink, RedisLinkError};
use crate::store::{Actor, Done};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use seckill_core::shared::bans::Ban;
use seckill_core::shared::bans::listed;
use seckill_core::shared::bans::listed::{Kind, Record};
use serde_json::json;

use super::audited::AuditLog;
use super::say;
use super::texts::filled;

#[derive(Debug, Subcommand)]
pub(crate) enum BansCommand {
    /// Ban an address, a network or a user; or change the ban that is there
    Add {
        #[command(flatten)]
        target: BanTargetArgs,
        /// The reason, which the list shows
        #[arg(long, value_name = "TEXT", value_parser = short_text)]
        reason: String,
        /// For how long, such as 30s, 15m, 1h, 7d [default: for good]
        #[arg(long = "for", value_name = "TIME", value_parser = bans::parse_time)]
        time_ms: Option<u64>,
        /// Name of the operator [default: the user who runs this]
        #[arg(long, value_name = "NAME", value_parser = short_text)]
        by: Option<String>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Lift a ban
    Lift {
        #[command(flatten)]
        target: BanTargetArgs,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Print the bans in force
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

/// An address, a network or a user.
#[derive(Debug, Args)]
pub(crate) struct BanTargetArgs {
    /// "address" (or a network) or "user"
    #[arg(value_name = "KIND", value_parser = ban_kind)]
    pub(crate) kind: Kind,
    /// 203.0.113.7, 203.0.113.0/24, 2001:db8::/32, or the user's id
    value: String,
}

impl BanTargetArgs {
    /// The value as it is written in Redis and in the database.
    pub(crate) fn value(&self) -> Cow<'_, str> {
        self.kind.written(&self.value)
    }
}

fn ban_kind(text: &str) -> Result<Kind, String> {
    Kind::parse(text).ok_or_else(|| "write \"address\" or \"user\"".to_owned())
}

fn short_text(text: &str) -> Result<String, String> {
    let text = filled(text)?;
    if seckill_core::shared::bans::listed::is_text(&text) {
        Ok(text)
    } else {
        Err("write at most 200 characters on one line, without \"|\"".to_owned())
    }
}

/// Runs one of the commands.
///
/// # Errors
/// The value is no address or user, or Redis is away.
pub(crate) async fn run(config: &Config, command: BansCommand) -> anyhow::Result<()> {
    match command {
        BansCommand::Add {
            target,
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
            add(config, &target, &record, json).await
        }
        BansCommand::Lift { target, json } => lift(config, &target, json).await,
        BansCommand::List { json } => list(config, json).await,
    }
}

async fn add(
    config: &Config,
    target: &BanTargetArgs,
    record: &Record,
    json: bool,
) -> anyhow::Result<()> {
    let value = target.value();
    let ban = target.kind.read_new(&value)?;
    let redis = RedisLink::connect(&config.redis_url).await?;
    let done = Done {
        action: "ban.add",
        target: listed::field(&ban),
        detail: bans::detail(record, None),
    };
    let act = async {
        let before = bans::add(&mut redis.conn().await?, &ban, record, record.at_ms).await?;
        let detail = bans::detail(record, before.as_ref());
        Ok((before.is_some(), Some(detail)))
    };
    let log = AuditLog::open(config).await;
    let was_banned = log
        .recorded(done, act, RedisLinkError::may_have_happened)
        .await;
    log.close().await;
    let was_banned = was_banned?;
    if json {
        let report = json!({
            "ban": listed::field(&ban),
            "expires_ms": record.expires_ms,
            "was_banned": was_banned,
        });
        return say(&format!("{report}\n"));
    }
    let until = until(record.expires_ms, &config.time_zone);
    let before = if was_banned { ", as before" } else { "" };
    say(&format!("Banned {until}{before}: {}.\n", named(&ban)))
}

async fn lift(config: &Config, target: &BanTargetArgs, json: bool) -> anyhow::Result<()> {
    let value = target.value();
    let ban = target.kind.read(&value)?;
    let redis = RedisLink::connect(&config.redis_url).await?;
    let done = Done {
        action: "ban.lift",
        target: listed::field(&ban),
        detail: json!({}),
    };
    let act = async {
        let was_banned = bans::lift(&mut redis.conn().await?, &ban).await?;
        Ok((was_banned, was_banned.then(|| json!({}))))
    };
    let log = AuditLog::open(config).await;
    let was_banned = log
        .recorded(done, act, RedisLinkError::may_have_happened)
        .await;
    log.close().await;
    let was_banned = was_banned?;
    if json {
        let report = json!({ "ban": listed::field(&ban), "was_banned": was_banned });
        return say(&format!("{report}\n"));
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

fn named(ban: &Ban<'_>) -> String {
    match ban {
        Ban::Address(prefix) => format!("address {prefix}"),
        other => other.to_string(),
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

/// The name of the user who runs this command, as the audit log has it, in a record of
/// Redis, whose parts "|" separates.
pub(crate) fn whoever_runs_this() -> String {
    Actor::on_the_box().name.replace('|', "/")
}
