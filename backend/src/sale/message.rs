//! Product messages: published at every approval and every edit, read by renderers
//! and by the caches of the day's document (course §068).
//!
//! A message names a round and nothing of its content: its reader reads what Redis
//! holds by then. So a message may come twice, late, or out of order, and a reader
//! that missed messages which were trimmed from the stream reads all rounds.

use std::fmt;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamInfoStreamReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands as _, RedisResult};
use seckill_core::keys;

use crate::redis::{RedisLink, RedisLinkError};

/// About how many messages the stream keeps. A reader with a larger lag reads all
/// rounds, as every reader does at its start.
const KEEP: usize = 10_000;
/// Most messages that are read at once.
const BATCH: usize = 256;

/// The version of the rounds that something was made from: the id of the last product
/// message before they were read. A page of a later version is never replaced by one
/// of an earlier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    ms: u64,
    number: u64,
}

impl Version {
    /// Reads `1795406400000-0`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (ms, number) = text.split_once('-')?;
        let (ms, number) = (ms.parse().ok()?, number.parse().ok()?);
        Some(Self { ms, number })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.number)
    }
}

/// Publishes a message that `round` was approved, edited or withdrawn. To be called
/// when all of the change is in Redis.
///
/// # Errors
/// Redis is away or refused; the change stays, and another message does no harm.
pub async fn announce(redis: &RedisLink, round: &str) -> Result<Version, RedisLinkError> {
    let mut conn = redis.conn().await?;
    let id: String = redis::cmd("XADD")
        .arg(keys::PRODUCT_MESSAGES)
        .arg(&["MAXLEN", "~"])
        .arg(KEEP)
        .arg(&["*", "round", round])
        .query_async(&mut conn)
        .await?;
    Ok(Version::parse(&id).unwrap_or_default())
}

/// The current version; the lowest one if no message was ever published.
///
/// # Errors
/// Redis is away or refused.
pub async fn version(conn: &mut MultiplexedConnection) -> Result<Version, RedisLinkError> {
    // Not the id of the last entry, which may have been trimmed.
    let info: RedisResult<StreamInfoStreamReply> = conn.xinfo_stream(keys::PRODUCT_MESSAGES).await;
    match info {
        Ok(info) => Ok(Version::parse(&info.last_generated_id).unwrap_or_default()),
        Err(error) if error.to_string().contains("no such key") => Ok(Version::default()),
        Err(error) => Err(error.into()),
    }
}

/// A product message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProductMessage {
    pub(crate) version: Version,
    pub(crate) round: String,
}

/// Reads the messages after `last`; waits up to `wait_ms` for the first. `conn` must
/// be a connection that nobody else uses.
pub(crate) async fn next(
    conn: &mut MultiplexedConnection,
    last: Version,
    wait_ms: usize,
) -> Result<Vec<ProductMessage>, RedisLinkError> {
    let options = StreamReadOptions::default().count(BATCH).block(wait_ms);
    let reply: Option<StreamReadReply> = conn
        .xread_options(&[keys::PRODUCT_MESSAGES], &[last.to_string()], &options)
        .await?;
    let entries = reply.into_iter().flat_map(|reply| reply.keys);
    let messages = entries.flat_map(|stream| stream.ids).filter_map(|entry| {
        Some(ProductMessage {
            version: Version::parse(&entry.id)?,
            // A message without a round concerns no page, but it has a version.
            round: entry.get("round").unwrap_or_default(),
        })
    });
    Ok(messages.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number_not_by_text() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("99-10") > version("99-9"));
        assert!(version("100-0") > version("99-9"));
        assert_eq!(version("7-1").to_string(), "7-1");
        assert!(Version::parse("7").is_none());
    }
}
