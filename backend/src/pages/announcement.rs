//! What operators say to everybody who waits: `/announcement.json` in the origin, written
//! when it changes. Every ops role writes it into its own origin.
//!
//! A crowd that waits reads one small file that a cache may serve as well. It says until
//! when it holds: a page stops showing it then, whatever is away.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::AsyncCommands as _;
use seckill_core::keys;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::left::put;
use crate::redis::{RedisLink, RedisLinkError};

/// The pause between two looks.
const EVERY: Duration = Duration::from_millis(700);

/// What operators say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Announcement {
    /// What it says: one line of plain text.
    pub text: String,
    /// Who says it.
    pub by: String,
    /// Since when, epoch milliseconds.
    pub at_ms: u64,
    /// Until when, epoch milliseconds.
    pub until_ms: u64,
}

/// The file: without a name, since shoppers read it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    text: Option<&'a str>,
    until_ms: u64,
}

/// Says this until its time.
///
/// # Errors
/// Redis is away.
pub async fn say(redis: &RedisLink, announcement: &Announcement) -> Result<(), RedisLinkError> {
    let text = serde_json::to_string(announcement).unwrap_or_default();
    let mut conn = redis.conn().await?;
    let mut set = redis::cmd("SET");
    set.arg(keys::ANNOUNCEMENT).arg(text);
    set.arg("PXAT").arg(announcement.until_ms);
    Ok(set.exec_async(&mut conn).await?)
}

/// Says nothing any more.
///
/// # Errors
/// Redis is away.
pub async fn end(redis: &RedisLink) -> Result<(), RedisLinkError> {
    let mut conn = redis.conn().await?;
    let () = conn.del(keys::ANNOUNCEMENT).await?;
    Ok(())
}

/// What is said at the moment.
///
/// # Errors
/// Redis is away.
pub async fn read(redis: &RedisLink) -> Result<Option<Announcement>, RedisLinkError> {
    let mut conn = redis.conn().await?;
    let text: Option<String> = conn.get(keys::ANNOUNCEMENT).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Keeps the file of this origin as Redis has it, until `stop`.
pub async fn run(origin: PathBuf, redis: RedisLink, stop: CancellationToken) {
    let file = origin.join("shop/announcement.json");
    let mut written: Option<Option<Announcement>> = None;
    loop {
        match read(&redis).await {
            Ok(now) if written.as_ref() != Some(&now) => {
                if write(&file, now.as_ref()).await {
                    written = Some(now);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "it is not known what operators say"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(EVERY) => {}
        }
    }
}

async fn write(file: &Path, announcement: Option<&Announcement>) -> bool {
    let shown = Shown {
        text: announcement.map(|it| it.text.as_str()),
        until_ms: announcement.map_or(0, |it| it.until_ms),
    };
    let text = serde_json::to_string(&shown).unwrap_or_default();
    let file = file.to_owned();
    let written = super::blocking(move || {
        std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
        put(&file, &text)
    });
    match written.await {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(%error, "what operators say was not written");
            false
        }
    }
}
