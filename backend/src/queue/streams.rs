//! The queue over Redis Streams: one consumer group, whose pending list holds the
//! messages that were delivered and not yet acknowledged. Delayed messages are in a
//! sorted set by the time they are due; workers move them into the stream.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, RedisResult, Value};
use seckill_core::keys;
use tokio::time::{Instant, timeout};

use super::{
    Capabilities, Delivery, Message, Published, Queue, QueueError, Receipt, millis, unsent,
};
use crate::redis::consumer_group::{self, ConsumerGroup};
use crate::redis::{RedisLink, RedisLinkError, scripts};

/// Receiving messages.
mod reading;

/// The group that all workers of a queue share.
/// All workers read under one name: that a message was abandoned shows by how long it
/// has been pending, and names of dead workers need not be removed.
const WORKERS: ConsumerGroup = ConsumerGroup {
    name: "workers",
    consumer: "worker",
};
/// How often workers check for due and abandoned messages; one blocking read waits
/// no longer.
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// Longest delay. A sorted set allows any; a longer one is taken for a mistake.
const LONGEST_DELAY: Duration = Duration::from_secs(366 * 24 * 3600);
/// Largest message, in bytes; an order message has some 300.
const MAX_BODY: usize = 64 * 1024;

/// A queue in one Redis stream.
#[derive(Clone)]
pub struct StreamsQueue {
    redis: RedisLink,
    stream: String,
    hold: Duration,
    /// The connection for blocking reads, while no read is under way.
    reader: Arc<Mutex<Option<MultiplexedConnection>>>,
    /// Until when only new messages are received, because they come in full batches
    /// and the others have just been checked for.
    busy_until: Arc<Mutex<Option<Instant>>>,
}

impl StreamsQueue {
    /// How long a message stays with its worker by default, before it counts as
    /// abandoned.
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

    /// A queue in stream `stream`, whose messages stay with their worker for `hold`.
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

    /// Sends messages in one round trip; returns for each why it failed.
    async fn send(&self, messages: &[&Message]) -> Result<Vec<Result<(), String>>, RedisLinkError> {
        let mut conn = self.redis.conn().await?;
        let delayed = messages.iter().any(|message| !message.after.is_zero());
        // By Redis's clock, like the script that moves them into the stream.
        let now_ms = match delayed {
            true => time_ms(&mut conn).await?,
            false => 0,
        };
        // Delayed messages go in one command.
        let mut delay = redis::cmd("ZADD");
        delay.arg(keys::delayed(&self.stream));
        let mut pipe = Pipeline::with_capacity(messages.len());
        for message in messages {
            let Message { body, key, after } = message;
            if after.is_zero() {
                let add = pipe.cmd("XADD").arg(&self.stream).arg("*");
                add.arg("body").arg(body.as_slice()).arg("key").arg(key);
            } else {
                // A separator in the key would end it.
                let mut member = format!("0|{}|", key.replace('|', "_")).into_bytes();
                member.extend_from_slice(body);
                delay.arg(now_ms.saturating_add(millis(*after)));
                delay.arg(member);
            }
        }
        if delayed {
            pipe.add_command(delay);
        }
        let replies: Vec<RedisResult<Value>> = pipe.ignore_errors().query_async(&mut conn).await?;
        let mut replies = replies
            .into_iter()
            .map(|reply| reply.map(drop).map_err(|error| error.to_string()));
        let delayed_reply = match delayed {
            true => replies.next_back().unwrap_or(Ok(())),
            false => Ok(()),
        };
        let outcome = |message: &&Message| match message.after.is_zero() {
            true => replies.next().unwrap_or_else(|| Err("no reply".to_owned())),
            false => delayed_reply.clone(),
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
            Ok(replies) => {
                for (slot, reply) in slots.zip(replies) {
                    *slot = match reply {
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
            let mut next_due = CHECK_EVERY;
            if !self.is_busy() {
                next_due = self.move_due().await?.unwrap_or(CHECK_EVERY);
                match self.abandoned(max).await {
                    Ok(found) if found.is_empty() => self.set_busy(),
                    Err(error) if consumer_group::is_gone(&error) => self.create_group().await?,
                    other => return Ok(other?),
                }
            }
            let left = until
                .saturating_duration_since(Instant::now())
                .min(CHECK_EVERY)
                .min(next_due);
            let mut conn = self.reader().await?;
            // The read must end even if the server vanishes.
            let limit = left + self.redis.patience();
            let read = timeout(limit, self.fresh(&mut conn, max, left)).await;
            match read {
                Ok(Err(error)) if consumer_group::is_gone(&error) => self.create_group().await?,
                Ok(found) => {
                    let found = found?;
                    self.keep(conn);
                    if found.len() < max {
                        self.set_idle();
                    }
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Err(_) => return Err(QueueError::Unavailable("a read got no reply".into())),
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
        pipe.xack(&self.stream, WORKERS.name, &ids)
            .xdel(&self.stream, &ids);
        Ok(scripts::together(&pipe).run(&mut conn).await?)
    }

    async fn requeue(&self, receipts: &[Receipt], after: Duration) -> Result<(), QueueError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let mut conn = self.redis.conn().await?;
        let ids = receipts.iter().map(|receipt| receipt.0.as_str());
        let after_ms = millis(after.min(LONGEST_DELAY));
        let call = scripts::queue::release(&self.stream, WORKERS.name, after_ms, ids);
        call.run(&mut conn).await?;
        Ok(())
    }

    async fn extend(&self, receipts: &mut [Receipt]) -> Result<(), QueueError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let mut conn = self.redis.conn().await?;
        let mut claim = redis::cmd("XCLAIM");
        claim
            .arg(&self.stream)
            .arg(WORKERS.name)
            .arg(WORKERS.consumer)
            .arg(0);
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
