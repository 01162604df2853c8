//! This worker's number, which makes its order numbers different from those of
//! all other workers.

use std::time::Duration;

use seckill_core::keys;
use tokio_util::sync::CancellationToken;

use crate::redis::{RedisLink, RedisLinkError};

/// How long to pause while Redis is away.
const PAUSE: Duration = Duration::from_millis(250);

/// `given`, or the next one of a counter rather than chance: a thousand starts
/// pass before one comes again. `None` if told to stop before there was one.
pub(super) async fn draw(
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
                tracing::warn!(%error, "the orders worker waits for its number");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    None
}
