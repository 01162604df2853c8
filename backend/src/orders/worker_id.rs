//! The worker id, which keeps the order numbers of this process apart from those of all
//! others.

use std::time::Duration;

use seckill_core::keys;
use tokio_util::sync::CancellationToken;

use crate::redis::{RedisLink, RedisLinkError};
use crate::time::periodic::Passes;

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
    let waiting = "order numbers wait for a worker id from Redis";
    let mut passes = Passes::new(stop.clone(), waiting, PAUSE);
    while passes.go_on() {
        let drawn: Result<u64, RedisLinkError> = async {
            let mut conn = redis.conn().await?;
            Ok(redis::cmd("INCR")
                .arg(keys::WORKERS)
                .query_async(&mut conn)
                .await?)
        }
        .await;
        let worker_id = drawn.as_ref().ok().map(|number| number % 1024);
        passes.pause_after(drawn.map(|_| Duration::ZERO)).await;
        if let Some(id) = worker_id {
            return u16::try_from(id).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_redis_that_is_away_is_reported_once() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("log");
        let log = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(Arc::new(File::create(&path).unwrap()))
            .with_ansi(false);
        let _logging = tracing::subscriber::set_default(log.finish());
        let away = format!("unix://{}", folder.path().join("redis.sock").display());
        let (redis, stop) = (RedisLink::lazy(&away).unwrap(), CancellationToken::new());
        let reported = |level: &str| {
            let log = std::fs::read_to_string(&path).unwrap();
            let of_level = log.lines().filter(|line| line.contains(level));
            of_level.filter(|line| line.contains("worker id")).count()
        };
        let drawing = draw(&redis, None, &stop);
        let thrice = async {
            while reported("DEBUG") < 2 {
                tokio::time::sleep(PAUSE / 10).await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(drawing, thrice) };
        let (drawn, ()) = tokio::time::timeout(Duration::from_secs(60), both)
            .await
            .unwrap();
        assert_eq!((drawn, reported("WARN")), (None, 1));
    }
}
