//! Reports of the renderers, for `seckill status`.

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
/// A renderer without a report for this long is not running.
const SILENT_MS: u64 = 10_000;
/// A renderer without a report for this long is forgotten.
const FORGOTTEN_MS: u64 = 86_400_000;

/// The report of one renderer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The renderer's machine and folder.
    pub name: String,
    /// The time of the report, epoch milliseconds.
    pub at_ms: u64,
    /// Product pages in its folder.
    pub pages: usize,
    /// Purges that wait.
    pub waiting: Waiting,
}

impl Report {
    /// Whether the report is recent.
    #[must_use]
    pub fn is_up(&self) -> bool {
        now_ms().saturating_sub(self.at_ms) < SILENT_MS
    }
}

/// The latest report of each renderer, without those that are a day old.
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

/// Reports every second until `stop`.
pub(super) async fn run(origin: Origin, redis: RedisLink, stop: CancellationToken) {
    let machine = nix::unistd::gethostname().unwrap_or_default();
    let name = format!("{}:{}", machine.to_string_lossy(), origin.root().display());
    while !stop.is_cancelled() {
        if let Err(error) = report(&origin, &redis, &name).await {
            tracing::debug!(%error, "the renderer did not report");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn report(origin: &Origin, redis: &RedisLink, name: &str) -> Result<(), RedisLinkError> {
    let reading = origin.clone();
    let read = blocking(move || Ok((apply::pages(&reading)?, purge::waiting(&reading)?))).await;
    let Ok((pages, waiting)) = read else {
        // The renderer itself logs what is wrong with the folder.
        return Ok(());
    };
    let report = Report {
        name: name.to_owned(),
        at_ms: now_ms(),
        pages,
        waiting,
    };
    // Numbers and texts always serialize.
    let text = serde_json::to_string(&report).unwrap_or_default();
    let mut conn = redis.conn().await?;
    let _: i64 = conn.hset(keys::RENDERERS, name, text).await?;
    Ok(())
}
