//! Redrives dead letters from time to time (course §151): what could not be placed
//! because of a fault may be placed once it is mended.

use std::time::Duration;

use seckill_core::keys;
use tokio_util::sync::CancellationToken;

use crate::queue::{DeadLetters, Queue, QueueError, Queues};
use crate::redis::RedisLink;
use crate::time::periodic::Passes;

/// Longest pause before it is checked again whether it is time.
const PAUSE: Duration = Duration::from_secs(10);

/// Redrives all dead letters at an interval of `every`, until `stop`. Several may run: one
/// of them does it each time.
pub async fn run<O: Queue, C: Queue>(
    letters: DeadLetters,
    redis: RedisLink,
    queues: Queues<O, C>,
    every: Duration,
    stop: CancellationToken,
) {
    let pause = PAUSE.min(every);
    let mut passes = Passes::new(stop, "dead letters wait to be redriven", pause);
    while passes.go_on() {
        let turn = is_my_turn(&redis, every).await;
        if let Ok(true) = turn {
            redrive(&letters, &queues).await;
        }
        passes.pause_after(turn.map(|_| pause)).await;
    }
}

async fn redrive<O: Queue, C: Queue>(letters: &DeadLetters, queues: &Queues<O, C>) {
    match letters.redrive_all(queues).await {
        Ok((0, stay)) if stay.is_empty() => {}
        Ok((sent, stay)) => {
            tracing::info!(sent, "dead letters were redriven");
            for reason in stay {
                tracing::warn!(reason, "a dead letter was not redriven");
            }
        }
        Err(error) => tracing::warn!(%error, "dead letters wait for the next redrive"),
    }
}

/// The first instance that finds no mark sets one, which expires when it is time again.
async fn is_my_turn(redis: &RedisLink, every: Duration) -> Result<bool, QueueError> {
    let mut conn = redis.conn().await?;
    let mut set = redis::cmd("SET");
    let every_ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
    set.arg(keys::REDRIVER)
        .arg("1")
        .arg("NX")
        .arg("PX")
        .arg(every_ms);
    let set: Option<String> = set.query_async(&mut conn).await?;
    Ok(set.is_some())
}
