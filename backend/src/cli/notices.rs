//! `seckill notices …`: the notifications that could not be delivered.

use crate::config::Config;
use crate::now_ms;
use crate::store::Done;
use crate::store::notifications::DeadNotification;
use crate::time::rfc3339;
use anyhow::Context as _;
use clap::Subcommand;
use seckill_core::sale::reasons::on_one_line;
use serde_json::json;

use super::audited::stored;
use super::{open_store, say};

/// Notifications shown of each database.
const SHOWN: u32 = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum NoticesCommand {
    /// Show how many wait, and those that were given up, each with the reason
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Retry those that were given up
    Retry,
}

/// Carries out a command of `seckill notices`.
pub(crate) async fn run(config: &Config, command: NoticesCommand) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let text = match command {
        NoticesCommand::List { json } => {
            let count = store.count_notifications().await?;
            let dead = store.dead_notifications(SHOWN).await?;
            if json {
                let dead: Vec<_> = dead.iter().map(as_json).collect();
                let all = json!({ "waiting": count.waiting, "dead": dead });
                let text = serde_json::to_string_pretty(&all);
                format!("{}\n", text.context("the list cannot be written")?)
            } else {
                let waiting = format!("{} waiting, {} given up\n", count.waiting, count.dead);
                dead.iter().fold(waiting, |text, one| text + &line(one))
            }
        }
        NoticesCommand::Retry => {
            let done = Done {
                action: "notice.retry",
                target: "all".to_owned(),
                detail: json!({}),
            };
            let retry = async {
                let again = store.retry_dead_notifications(now_ms()).await?;
                Ok((again, (again > 0).then(|| json!({ "notices": again }))))
            };
            let again = stored(&store, done, retry).await?;
            format!("{again} will be tried again\n")
        }
    };
    store.close().await;
    say(&text)
}

fn line(dead: &DeadNotification) -> String {
    let (kind, channel) = (dead.key.kind.as_str(), dead.key.channel.as_str());
    format!(
        "{:<20} {kind:<10} by {channel:<8} {}  after {} tries: {}\n",
        dead.key.order,
        rfc3339(dead.updated_ms),
        dead.attempts,
        on_one_line(&dead.reason)
    )
}

fn as_json(dead: &DeadNotification) -> serde_json::Value {
    json!({
        "order": dead.key.order.to_string(),
        "kind": dead.key.kind.as_str(),
        "payment": dead.key.payment,
        "channel": dead.key.channel.as_str(),
        "attempts": dead.attempts,
        "reason": dead.reason,
        "given_up_ms": dead.updated_ms,
    })
}
