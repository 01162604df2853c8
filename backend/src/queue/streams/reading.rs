//! Receiving messages: those that are due, those that were abandoned, and new ones.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamAutoClaimReply, StreamId, StreamPendingCountReply};
use redis::{Pipeline, RedisResult};
use tokio::time::Instant;

use super::{CHECK_EVERY, StreamsQueue, WORKERS};
use crate::queue::{Delivery, QueueError, Receipt};
use crate::redis::{RedisLinkError, consumer_group, scripts};

/// Most due messages that one call of the script moves into the stream.
const DUE_BATCH: usize = 500;

impl StreamsQueue {
    /// A connection for a blocking read, which would delay all who share it. It is
    /// moved out, so that a read that is cancelled closes it: its messages must not
    /// be delivered to nobody.
    pub(super) async fn reader(&self) -> Result<MultiplexedConnection, RedisLinkError> {
        let kept = self
            .reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match kept {
            Some(conn) => Ok(conn),
            None => self.redis.dedicated().await,
        }
    }

    /// Keeps the connection for the next read.
    pub(super) fn keep(&self, conn: MultiplexedConnection) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(conn);
    }

    /// Whether only new messages are to be received. While they come in full batches,
    /// due and abandoned messages are checked for every [`CHECK_EVERY`], which saves
    /// two round trips for each batch.
    pub(super) fn is_busy(&self) -> bool {
        let until = self.busy_until.lock();
        let until = until.unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes that due and abandoned messages were just checked for.
    pub(super) fn set_busy(&self) {
        let until = self.busy_until.lock();
        *until.unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + CHECK_EVERY);
    }

    /// Has the next call check for due and abandoned messages.
    pub(super) fn set_idle(&self) {
        let until = self.busy_until.lock();
        *until.unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) async fn create_group(&self) -> Result<(), QueueError> {
        let mut conn = self.redis.conn().await?;
        let reply = WORKERS.create(&self.stream).exec_async(&mut conn).await;
        Ok(consumer_group::created(reply)?)
    }

    /// Moves due messages into the stream; returns the time until the next one is due,
    /// `None` if there is none.
    pub(super) async fn move_due(&self) -> Result<Option<Duration>, QueueError> {
        let mut conn = self.redis.conn().await?;
        let due = scripts::queue::due(&self.stream, DUE_BATCH);
        Ok(due.run(&mut conn).await?.map(Duration::from_millis))
    }

    /// Messages that workers received and neither acknowledged nor extended within the
    /// time of a hold.
    pub(super) async fn abandoned(&self, max: usize) -> RedisResult<Vec<Delivery>> {
        let Ok(mut conn) = self.redis.conn().await else {
            return Ok(Vec::new());
        };
        let claimed: StreamAutoClaimReply = WORKERS
            .claim(&self.stream, self.hold, max)
            .query_async(&mut conn)
            .await?;
        if claimed.claimed.is_empty() {
            return Ok(Vec::new());
        }
        let counts = self.delivery_counts(&mut conn, &claimed.claimed).await?;
        let times = |entry: &StreamId| counts.get(&entry.id).copied().unwrap_or(2);
        Ok(claimed
            .claimed
            .iter()
            .map(|entry| delivery(entry, times(entry)))
            .collect())
    }

    async fn delivery_counts(
        &self,
        conn: &mut MultiplexedConnection,
        entries: &[StreamId],
    ) -> RedisResult<HashMap<String, u32>> {
        let mut pipe = Pipeline::with_capacity(entries.len());
        for entry in entries {
            pipe.cmd("XPENDING")
                .arg(&self.stream)
                .arg(WORKERS.name)
                .arg(&entry.id)
                .arg(&entry.id)
                .arg(1);
        }
        let replies: Vec<StreamPendingCountReply> = pipe.query_async(conn).await?;
        let pending = replies.into_iter().flat_map(|reply| reply.ids);
        Ok(pending
            .map(|pending| {
                (
                    pending.id,
                    u32::try_from(pending.times_delivered).unwrap_or(u32::MAX),
                )
            })
            .collect())
    }

    pub(super) async fn fresh(
        &self,
        conn: &mut MultiplexedConnection,
        max: usize,
        wait: Duration,
    ) -> RedisResult<Vec<Delivery>> {
        let read = WORKERS.read(&[&self.stream], max, Some(wait));
        let entries = consumer_group::entries(read.query_async(conn).await?);
        Ok(entries.iter().map(|entry| delivery(entry, 1)).collect())
    }
}

/// An entry that was delivered `times` times since it was added, or requeued, to the
/// stream.
fn delivery(entry: &StreamId, times: u32) -> Delivery {
    // An entry without a body was written by another program; its empty body makes
    // it a dead letter.
    let body = entry.get("body").unwrap_or_default();
    let before: u32 = entry.get("attempts").unwrap_or(0);
    Delivery {
        receipt: Receipt(entry.id.clone()),
        body,
        key: entry.get("key").unwrap_or_default(),
        attempt: before.saturating_add(times),
    }
}
