//! The orders role.
use tokio_util::sync::CancellationToken;

use crate::queue::Queue;
use crate::redis_link::RedisLink;
use crate::store::Store;

/// How fast orders are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Most orders a second, over time; bursts of as many are placed at once.
    pub per_second: u32,
    /// Most orders in flight at once (course: 125).
    pub in_flight: usize,
    /// Number of this worker, 0 to 1,023, unique among those that run; drawn from Redis if `None`.
    pub worker: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            per_second: 500,
            in_flight: 125,
            worker: None,
        }
    }
}

/// Places orders until told to stop.
pub async fn run(
    _queue: impl Queue,
    _store: Store,
    _redis: RedisLink,
    _options: Options,
    stop: CancellationToken,
) {
    stop.cancelled().await;
}
