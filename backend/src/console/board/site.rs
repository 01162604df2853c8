//! Numbers of the site as a whole: queues, living edges, bans.

use seckill_core::keys;

use super::pipeline::{self, send};
use crate::redis::{RedisLink, RedisLinkError};

/// The end of the range of heartbeats that still count.
const FOREVER: &str = "+inf";

/// The lengths of the queues, and other numbers of the site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SiteNumbers {
    /// Messages in the queue of orders, with Redis Streams.
    pub(super) depth: Option<u64>,
    /// Messages that failed and wait for their retry.
    pub(super) delayed: u64,
    /// How long the messages that were read last had waited, in ms; `None` if no
    /// worker has read the queue for ten seconds.
    pub(super) age_ms: Option<u64>,
    /// Dead letters.
    pub(super) dead_letters: u64,
    /// Edges whose heartbeat counts.
    pub(super) living_edges: u64,
    /// Entries on the list of bans.
    pub(super) bans: u64,
}

/// Reads the queues and the other numbers of the site.
///
/// # Errors
/// Redis is away.
pub(super) async fn read(
    redis: &RedisLink,
    in_streams: bool,
    now_ms: u64,
) -> Result<SiteNumbers, RedisLinkError> {
    let mut query = redis::pipe();
    query.xlen(keys::QUEUE_ORDERS);
    query.zcard(keys::delayed(keys::QUEUE_ORDERS));
    query.get(keys::QUEUE_AGE);
    query.xlen(keys::QUEUE_DEAD_LETTERS);
    query.zcount(keys::EDGES, now_ms, FOREVER);
    query.hlen(keys::BANS);
    query.ignore_errors();
    let replies = send(redis, &query).await?;
    Ok(SiteNumbers {
        depth: pipeline::read::<u64>(&replies, 0).filter(|_| in_streams),
        delayed: pipeline::read(&replies, 1).unwrap_or(0),
        age_ms: pipeline::read::<Option<u64>>(&replies, 2).flatten(),
        dead_letters: pipeline::read(&replies, 3).unwrap_or(0),
        living_edges: pipeline::read(&replies, 4).unwrap_or(0),
        bans: pipeline::read(&replies, 5).unwrap_or(0),
    })
}
