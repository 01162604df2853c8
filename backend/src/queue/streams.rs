//! The queue over Redis Streams: one consumer group, whose pending list is what
//! has been handed out and not yet acknowledged. Messages that are kept back lie
//! in a sorted set by when they are due; whoever reads lets them in.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, RedisResult, Value};
use seckill_core::keys;
use tokio::time::{Instant, timeout};

use super::{
    Capabilities, Delivery, Message, Published, Queue, QueueError, Receipt, millis, unsent,
};
use crate::redis::{RedisLink, RedisLinkError, scripts};

/// Taking messages.
mod reading;

/// The group that all workers of a queue share.
const GROUP: &str = "workers";
/// All workers read under one name: who holds a message is told by how long it
/// has been held, and names of workers long dead need not be swept.
const CONSUMER: &str = "worker";
/// How long one blocking read waits before it looks for abandoned messages.
const LOOK_ROUND: Duration = Duration::from_millis(500);
/// Longest delay. A sorted set keeps any; this is where a delay is a mistake.
const LONGEST_DELAY: Duration = Duration::from_secs(366 * 24 * 3600);
/// Largest message, in bytes; an order message has some 300.
const MAX_BODY: usize = 64 * 1024;

/// A queue in one Redis stream.
#[derive(Clone)]
pub struct StreamsQueue {
    redis: RedisLink,
    stream: String,
    hold: Duration,
    /// The connection of blocking reads, while nobody reads.
    reader: Arc<Mutex<Option<MultiplexedConnection>>>,
    /// Until when new messages alone are taken, because they come in full
    /// batches and the others have just been looked for.
    busy_until: Arc<Mutex<Option<Instant>>>,
}

impl StreamsQueue {
    /// How long an abandoned message waits for its next worker, by default.
    pub const HOLD: Duration = Duration::from_secs(10);

    /// The queue of order messages.
    #[must_use]
    pub fn orders(redis: RedisLink) -> Self {
        Self::new(redis, keys::QUEUE_ORDERS, Self::HOLD)
    }

    /// The queue of orders that are to be cancelled unless they are paid.
    #[must_use]
    pub fn cancels(redis: RedisLink) -> Self {
        Self::new(redis, keys::QUEUE_CANCELS, Self::HOLD)
    }

    /// A queue in stream `stream`, whose messages stay with a worker for `hold`.
    #[must_use]
    pub fn new(redis: RedisLink, stream: &str, hold: Duration) -> Self {
        Self {
            redis,
            stream: stream.to_owned(),
            hold,
            reader: Arc::default(),
            busy_until: Arc::default(),
        }
    }

    /// Sends what fits, all in one round trip, and tells of each what was wrong.
    async fn send(&self, messages: &[&Message]) -> Result<Vec<Result<(), String>>, RedisLinkError> {
        let mut conn = self.redis.conn().await?;
        let delayed = messages.iter().any(|message| !message.after.is_zero());
        // By Redis's clock, as the letting in is.
        let now_ms = match delayed {
            true => time_ms(&mut conn).await?,
            false => 0,
        };
        // Those that are kept back go together.
        let mut keep_back = redis::cmd("ZADD");
        keep_back.arg(keys::delayed(&self.stream));
        let mut pipe = Pipeline::with_capacity(messages.len());
        for message in messages {
            let Message { body, key, after } = message;
            if after.is_zero() {
                let add = pipe.cmd("XADD").arg(&self.stream).arg("*");
                add.arg("body").arg(body.as_slice()).arg("key").arg(key);
            } else {
                // A key with a separator in it could not be told from the body.
                let mut member = format!("0|{}|", key.replace('|', "_")).into_bytes();
                member.extend_from_slice(body);
                keep_back.arg(now_ms.saturating_add(millis(*after)));
                keep_back.arg(member);
            }
        }
        if delayed {
            pipe.add_command(keep_back);
        }
        let replies: Vec<RedisResult<Value>> = pipe.ignore_errors().query_async(&mut conn).await?;
        let mut replies = replies
            .into_iter()
            .map(|reply| reply.map(drop).map_err(|error| error.to_string()));
        let kept_back = match delayed {
            true => replies.next_back().unwrap_or(Ok(())),
            false => Ok(()),
        };
        let outcome = |message: &&Message| match message.after.is_zero() {
            true => replies
                .next()
                .unwrap_or_else(|| Err("no answer".to_owned())),
            false => kept_back.clone(),
        };
        Ok(messages.iter().map(outcome).collect())
    }
}

impl Queue for StreamsQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            longest_delay: LONGEST_DELAY,
            hold: self.hold,
            max_body: MAX_BODY,
        }
    }

    async fn publish(&self, batch: &[Message]) -> Vec<Published> {
        let mut outcome: Vec<Published> = batch.iter().map(|it| unsent(it, MAX_BODY)).collect();
        let fits = |outcome: &Published| !matches!(outcome, Published::Rejected(_));
        let fitting = batch.iter().zip(&outcome).filter(|(_, it)| fits(it));
        let messages: Vec<&Message> = fitting.map(|(message, _)| message).collect();
        if messages.is_empty() {
            return outcome;
        }
        let sent = self.send(&messages).await;
        let slots = outcome.iter_mut().filter(|outcome| fits(outcome));
        match sent {
            Ok(answers) => {
                for (slot, answer) in slots.zip(answers) {
                    *slot = match answer {
                        Ok(()) => Published::Stored,
                        Err(reason) => Published::NotStored(reason),
                    };
                }
            }
            Err(error) => {
                let unknown = matches!(error, RedisLinkError::Unknown(_));
                let reason = error.to_string();
                for slot in slots {
                    let reason = reason.clone();
                    *slot = match unknown {
                        true => Published::Unknown(reason),
                        false => Published::NotStored(reason),
                    };
                }
            }
        }
        outcome
    }

    async fn next(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let until = Instant::now() + wait;
        loop {
            let mut next_due = LOOK_ROUND;
            if !self.is_busy() {
                next_due = self.let_in_due().await?.unwrap_or(LOOK_ROUND);
                match self.abandoned(max).await {
                    Ok(found) if found.is_empty() => self.looked(),
                    Err(error) if error.code() == Some("NOGROUP") => self.create_group().await?,
                    other => return Ok(other?),
                }
            }
            let left = until
                .saturating_duration_since(Instant::now())
                .min(LOOK_ROUND)
                .min(next_due);
            let mut conn = self.reader().await?;
            // Should the server vanish without a word, the read must end all the same.
            let bound = left + self.redis.patience();
            let read = timeout(bound, self.fresh(&mut conn, max, left)).await;
            match read {
                Ok(Err(error)) if error.code() == Some("NOGROUP") => self.create_group().await?,
                Ok(found) => {
                    let found = found?;
                    self.keep(conn);
                    if found.len() < max {
                        self.is_idle();
                    }
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Err(_) => return Err(QueueError::Unavailable("a read was not answered".into())),
            }
            if Instant::now() >= until {
                return Ok(Vec::new());
            }
        }
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = receipts.iter().map(|receipt| receipt.0.as_str()).collect();
        let mut conn = self.redis.conn().await?;
        let mut pipe = redis::pipe();
        pipe.atomic()
            .xack(&self.stream, GROUP, &ids)
            .ignore()
            .xdel(&self.stream, &ids)
            .ignore();
        Ok(pipe.exec_async(&mut conn).await?)
    }

    async fn release(&self, receipts: &[Receipt], after: Duration) -> Result<(), QueueError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let mut conn = self.redis.conn().await?;
        let ids = receipts.iter().map(|receipt| receipt.0.as_str());
        let after_ms = millis(after.min(LONGEST_DELAY));
        let call = scripts::queue::release(&self.stream, GROUP, after_ms, ids);
        call.run(&mut conn).await?;
        Ok(())
    }

    async fn extend(&self, receipts: &mut [Receipt]) -> Result<(), QueueError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let mut conn = self.redis.conn().await?;
        let mut claim = redis::cmd("XCLAIM");
        claim.arg(&self.stream).arg(GROUP).arg(CONSUMER).arg(0);
        for receipt in receipts {
            claim.arg(&receipt.0);
        }
        // JUSTID counts no delivery.
        claim.arg("IDLE").arg(0).arg("JUSTID");
        Ok(claim.exec_async(&mut conn).await?)
    }
}

/// Redis's clock.
async fn time_ms(conn: &mut MultiplexedConnection) -> RedisResult<u64> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(conn).await?;
    Ok(seconds * 1000 + micros / 1000)
}

impl From<RedisLinkError> for QueueError {
    fn from(error: RedisLinkError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<RedisError> for QueueError {
    fn from(error: RedisError) -> Self {
        RedisLinkError::from(error).into()
    }
}
