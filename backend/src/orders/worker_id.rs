//! The worker id, which keeps the order numbers of this process apart from those of all
//! others.

use std::time::Duration;

use seckill_core::keys;
use tokio_util::sync::CancellationToken;

use crate::redis::{RedisLink, RedisLinkError};

/// Pause while Redis is away.
const PAUSE: Duration = Duration::from_millis(250);

/// The configured id, or the next one of a counter in Redis: unlike a random id, it is
/// used again only after a thousand starts. `None` if `stop` came first.
pub(crate) async fn draw(
    redis: &RedisLink,
    given: Option<u16>,
    stop: &CancellationToken,
) -> Option<u16> {
    if given.is_some() {
        return given;
    }
    while !stop.is_cancelled() {
        let drawn: Result<u64, RedisLinkError> = async {
            let mut conn = redis.conn().await?;
            Ok(redis::cmd("INCR")
                .arg(keys::WORKERS)
                .query_async(&mut conn)
                .await?)
        }
        .await;
        match drawn {
            Ok(number) => return u16::try_from(number % 1024).ok(),
            Err(error) => {
                tracing::warn!(%error, "order numbers cannot be made before Redis gives a worker id");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    None
}
