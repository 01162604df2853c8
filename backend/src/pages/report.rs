//! What renderers report of themselves, for `seckill status`.

use std::collections::HashMap;
use std::time::Duration;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use seckill_core::keys;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::origin::Origin;
use super::purge::{self, Waiting};
use super::{apply, blocking};
use crate::now_ms;
use crate::redis::{RedisLink, RedisLinkError};

/// How often a renderer reports.
const EVERY: Duration = Duration::from_secs(1);
/// A renderer that was silent for this long is not running.
const SILENT_MS: u64 = 10_000;
/// And is forgotten after this.
const FORGOTTEN_MS: u64 = 86_400_000;

/// One renderer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its machine and folder.
    pub name: String,
    /// When it reported, epoch milliseconds.
    pub at_ms: u64,
    /// Product pages in its folder.
    pub pages: usize,
    /// Purges that wait.
    pub waiting: Waiting,
}

impl Report {
    /// Whether it reported lately.
    #[must_use]
    pub fn is_up(&self) -> bool {
        now_ms().saturating_sub(self.at_ms) < SILENT_MS
    }
}

/// What every renderer reported last; those that were silent for a day left out.
///
/// # Errors
/// Redis is away or refused.
pub async fn read(conn: &mut MultiplexedConnection) -> Result<Vec<Report>, RedisLinkError> {
    let all: HashMap<String, String> = conn.hgetall(keys::RENDERERS).await?;
    let mut reports: Vec<Report> = all
        .values()
        .filter_map(|text| serde_json::from_str(text).ok())
        .filter(|report: &Report| now_ms().saturating_sub(report.at_ms) < FORGOTTEN_MS)
        .collect();
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(reports)
}

/// Reports until told to stop, and at the end that this one stops.
pub(super) async fn run(origin: Origin, redis: RedisLink, stop: CancellationToken) {
    let machine = nix::unistd::gethostname().unwrap_or_default();
    let name = format!("{}:{}", machine.to_string_lossy(), origin.root().display());
    while !stop.is_cancelled() {
        if let Err(error) = tell(&origin, &redis, &name).await {
            tracing::debug!(%error, "the renderer's report waits");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn tell(origin: &Origin, redis: &RedisLink, name: &str) -> Result<(), RedisLinkError> {
    let reading = origin.clone();
    let read = blocking(move || Ok((apply::pages(&reading)?, purge::waiting(&reading)?))).await;
    let Ok((pages, waiting)) = read else {
        // The renderer itself says what is wrong with the folder.
        return Ok(());
    };
    let report = Report {
        name: name.to_owned(),
        at_ms: now_ms(),
        pages,
        waiting,
    };
    // Numbers and texts only: there is nothing in it that could fail.
    let text = serde_json::to_string(&report).unwrap_or_default();
    let mut conn = redis.conn().await?;
    let _: i64 = conn.hset(keys::RENDERERS, name, text).await?;
    Ok(())
}
