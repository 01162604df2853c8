//! `seckill feed …`: how far the receivers of the orders are, and sending them back.

use crate::config::Config;
use crate::orders::feed::{TOPIC, WEBHOOK};
use crate::store::Done;
use crate::store::feed::{FeedState, ReplayFrom};
use crate::time::rfc3339;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::audited::stored;
use super::texts::time;
use super::{open_store, say};

#[derive(Debug, Subcommand)]
pub(crate) enum FeedCommand {
    /// Show how far each receiver is, and why it gets nothing
    Status {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Send a receiver everything again from a position or a time on
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The receiver: webhook or topic
    #[arg(value_name = "RECEIVER", value_parser = [WEBHOOK, TOPIC])]
    receiver: String,
    #[command(flatten)]
    from: Since,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Since {
    /// After this event, by the "position" that it bears
    #[arg(long, value_name = "POSITION", value_parser = position)]
    after: Option<(usize, u64)>,
    /// All that happened since then, such as 2026-11-28T12:00:00+08:00
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
}

fn position(text: &str) -> Result<(usize, u64), String> {
    let parts = text.split_once('.');
    let parsed = parts.and_then(|(shard, at)| Some((shard.parse().ok()?, at.parse().ok()?)));
    parsed.ok_or_else(|| "write a position as events bear it, such as 0.1234".to_owned())
}

/// Carries out a command of `seckill feed`.
pub(crate) async fn run(config: &Config, command: FeedCommand) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let text = match command {
        FeedCommand::Status { json } => status(&store.feed_states().await?, json)?,
        FeedCommand::Replay(ReplayArgs { receiver, from }) => {
            let shards = match from.after {
                Some((shard, _)) => shard..shard + 1,
                None => 0..store.feeds(),
            };
            anyhow::ensure!(
                shards.end <= store.feeds(),
                "there is no database {}; orders are in {}, counted from 0",
                shards.start,
                store.feeds()
            );
            let from = match (from.after, from.since) {
                (Some((_, at)), _) => ReplayFrom::Position(at),
                (None, since) => {
                    let ms = since.map_or(0, |since| since.as_millisecond());
                    ReplayFrom::Time(u64::try_from(ms).unwrap_or(0))
                }
            };
            let mut text = String::new();
            for shard in shards {
                let done = Done {
                    action: "feed.replay",
                    target: receiver.clone(),
                    detail: json!({}),
                };
                let replay = async {
                    let at = store.replay_feed(shard, &receiver, from).await?;
                    Ok((at, Some(json!({ "position": format!("{shard}.{at}") }))))
                };
                let at = stored(&store, done, replay).await?;
                text += &format!("{receiver} gets everything after {shard}.{at} again\n");
            }
            text
        }
    };
    store.close().await;
    say(&text)
}

fn status(states: &[FeedState], json: bool) -> anyhow::Result<String> {
    if json {
        let all: Vec<_> = states.iter().map(as_json).collect();
        let text = serde_json::to_string_pretty(&all).context("the list cannot be written")?;
        return Ok(format!("{text}\n"));
    }
    if states.is_empty() {
        return Ok(
            "No receiver follows the orders; see orders_webhook and rocketmq_feed_topic.\n"
                .to_owned(),
        );
    }
    Ok(states.iter().map(line).collect())
}

fn line(state: &FeedState) -> String {
    let FeedState {
        name,
        shard,
        position,
        waiting,
        ..
    } = state;
    let mut text = format!("{name:<8} at {shard}.{position}  {waiting} waiting");
    if let Some(oldest) = state.oldest_ms {
        text += &format!(" since {}", rfc3339(oldest));
    }
    if let Some((trouble, since)) = &state.trouble {
        text += &format!("\n  fails since {}: {trouble}", rfc3339(*since));
    }
    format!("{text}\n")
}

fn as_json(state: &FeedState) -> serde_json::Value {
    json!({
        "receiver": state.name,
        "position": format!("{}.{}", state.shard, state.position),
        "waiting": state.waiting,
        "oldest_ms": state.oldest_ms,
        "trouble": state.trouble.as_ref().map(|(trouble, _)| trouble),
        "trouble_since_ms": state.trouble.as_ref().map(|(_, since)| since),
    })
}
