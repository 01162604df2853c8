//! The queue over Redis Streams: one consumer group, whose pending list is what
//! has been handed out and not yet acknowledged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamAutoClaimReply, StreamId, StreamPendingCountReply, StreamReadReply};
use redis::{Pipeline, RedisError, RedisResult};
use seckill_core::keys;
use tokio::time::{Instant, timeout};

use super::{Capabilities, DeadLetter, Delivery, Published, Queue, QueueError, Receipt};
use crate::redis_link::{RedisLink, RedisLinkError};

/// The group that all workers of a queue share.
const GROUP: &str = "workers";
/// All workers read under one name: who holds a message is told by how long it
/// has been held, and names of workers long dead need not be swept.
const CONSUMER: &str = "worker";
/// How long one blocking read waits before it looks for abandoned messages.
const LOOK_ROUND: Duration = Duration::from_millis(500);
/// Largest message, in bytes; an order message has some 300.
const MAX_BODY: usize = 64 * 1024;

/// A queue in one Redis stream.
#[derive(Clone)]
pub struct StreamsQueue {
    redis: RedisLink,
    stream: String,
    dead_letters: String,
    hold: Duration,
    /// The connection of blocking reads, while nobody reads.
    reader: Arc<Mutex<Option<MultiplexedConnection>>>,
}

impl StreamsQueue {
    /// How long an abandoned message waits for its next worker, by default.
    pub const HOLD: Duration = Duration::from_secs(10);

    /// The queue of order messages.
    #[must_use]
    pub fn orders(redis: RedisLink) -> Self {
        Self::new(
            redis,
            keys::QUEUE_ORDERS,
            keys::QUEUE_DEAD_LETTERS,
            Self::HOLD,
        )
    }

    /// A queue in stream `stream`, whose messages stay with a worker for `hold`.
    #[must_use]
    pub fn new(redis: RedisLink, stream: &str, dead_letters: &str, hold: Duration) -> Self {
        let (stream, dead_letters) = (stream.to_owned(), dead_letters.to_owned());
        Self {
            redis,
            stream,
            dead_letters,
            hold,
            reader: Arc::default(),
        }
    }

    /// A connection for a blocking read, which would hold up all that share it.
    /// Taken out of its place, so that a read that is given up half-way closes
    /// it: its messages must not be handed to nobody.
    async fn reader(&self) -> Result<MultiplexedConnection, RedisLinkError> {
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

    fn keep(&self, conn: MultiplexedConnection) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(conn);
    }

    fn hold_ms(&self) -> u64 {
        millis(self.hold)
    }

    async fn create_group(&self) -> Result<(), QueueError> {
        let mut conn = self.redis.conn().await?;
        let mut create = redis::cmd("XGROUP");
        create
            .arg("CREATE")
            .arg(&self.stream)
            .arg(GROUP)
            .arg("0")
            .arg("MKSTREAM");
        match create.exec_async(&mut conn).await {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// What other workers took and have not been heard of for the time of a hold.
    async fn abandoned(&self, max: usize) -> RedisResult<Vec<Delivery>> {
        let Ok(mut conn) = self.redis.conn().await else {
            return Ok(Vec::new());
        };
        let claimed: StreamAutoClaimReply = redis::cmd("XAUTOCLAIM")
            .arg(&self.stream)
            .arg(GROUP)
            .arg(CONSUMER)
            .arg(self.hold_ms())
            .arg("0")
            .arg("COUNT")
            .arg(max)
            .query_async(&mut conn)
            .await?;
        if claimed.claimed.is_empty() {
            return Ok(Vec::new());
        }
        let counts = self.delivery_counts(&mut conn, &claimed.claimed).await?;
        let attempt_of = |entry: &StreamId| counts.get(&entry.id).copied().unwrap_or(2);
        Ok(claimed
            .claimed
            .iter()
            .map(|entry| delivery(entry, attempt_of(entry)))
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
                .arg(GROUP)
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

    async fn fresh(
        &self,
        conn: &mut MultiplexedConnection,
        max: usize,
        wait: Duration,
    ) -> RedisResult<Vec<Delivery>> {
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP")
            .arg(GROUP)
            .arg(CONSUMER)
            .arg("COUNT")
            .arg(max);
        // BLOCK 0 would wait for ever.
        read.arg("BLOCK")
            .arg(millis(wait).max(1))
            .arg("STREAMS")
            .arg(&self.stream)
            .arg(">");
        let reply: Option<StreamReadReply> = read.query_async(conn).await?;
        let keys = reply.map(|reply| reply.keys).unwrap_or_default();
        Ok(keys
            .iter()
            .flat_map(|key| &key.ids)
            .map(|entry| delivery(entry, 1))
            .collect())
    }

    /// Sets for how long these have been idle, without counting a delivery.
    async fn set_idle(&self, receipts: &[Receipt], idle_ms: u64) -> Result<(), QueueError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let mut conn = self.redis.conn().await?;
        let mut claim = redis::cmd("XCLAIM");
        claim.arg(&self.stream).arg(GROUP).arg(CONSUMER).arg(0);
        for receipt in receipts {
            claim.arg(&receipt.0);
        }
        claim.arg("IDLE").arg(idle_ms).arg("JUSTID");
        Ok(claim.exec_async(&mut conn).await?)
    }
}

impl Queue for StreamsQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            longest_release: self.hold,
            hold: self.hold,
            max_body: MAX_BODY,
        }
    }

    async fn publish(&self, batch: &[Vec<u8>]) -> Vec<Published> {
        let mut outcome: Vec<Published> = batch.iter().map(|body| refusal(body)).collect();
        let mut pipe = Pipeline::with_capacity(batch.len());
        let fits = |outcome: &Published| !matches!(outcome, Published::Rejected(_));
        for (body, _) in batch
            .iter()
            .zip(&outcome)
            .filter(|(_, outcome)| fits(outcome))
        {
            pipe.cmd("XADD")
                .arg(&self.stream)
                .arg("*")
                .arg("body")
                .arg(body.as_slice());
        }
        if pipe.is_empty() {
            return outcome;
        }
        let sent = match self.redis.conn().await {
            Ok(mut conn) => {
                let answers: RedisResult<Vec<RedisResult<String>>> =
                    pipe.ignore_errors().query_async(&mut conn).await;
                answers.map_err(RedisLinkError::from)
            }
            Err(error) => Err(error),
        };
        let slots = outcome.iter_mut().filter(|outcome| fits(outcome));
        match sent {
            Ok(answers) => {
                for (slot, answer) in slots.zip(answers) {
                    *slot = match answer {
                        Ok(_) => Published::Stored,
                        Err(error) => Published::NotStored(error.to_string()),
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
            match self.abandoned(max).await {
                Ok(found) if found.is_empty() => {}
                Err(error) if error.code() == Some("NOGROUP") => self.create_group().await?,
                other => return Ok(other?),
            }
            let left = until
                .saturating_duration_since(Instant::now())
                .min(LOOK_ROUND);
            let mut conn = self.reader().await?;
            // Should the server vanish without a word, the read must end all the same.
            let bound = left + crate::redis_link::RESPONSE_TIMEOUT;
            let read = timeout(bound, self.fresh(&mut conn, max, left)).await;
            match read {
                Ok(Err(error)) if error.code() == Some("NOGROUP") => self.create_group().await?,
                Ok(found) => {
                    let found = found?;
                    self.keep(conn);
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
        // A message comes again once it was idle for the time of a hold.
        self.set_idle(receipts, self.hold_ms().saturating_sub(millis(after)))
            .await
    }

    async fn extend(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.set_idle(receipts, 0).await
    }

    async fn bury(&self, letter: DeadLetter) -> Result<(), QueueError> {
        let mut conn = self.redis.conn().await?;
        let mut add = redis::cmd("XADD");
        add.arg(&self.dead_letters)
            .arg("*")
            .arg("body")
            .arg(letter.body);
        add.arg("reason")
            .arg(letter.reason)
            .arg("source")
            .arg(letter.source);
        add.arg("attempts").arg(letter.attempts);
        Ok(add.exec_async(&mut conn).await?)
    }
}

/// What publishing comes to as long as nothing was heard of the server.
fn refusal(body: &[u8]) -> Published {
    if body.len() > MAX_BODY {
        let len = body.len();
        Published::Rejected(format!(
            "the message has {len} bytes, the queue takes {MAX_BODY}"
        ))
    } else {
        Published::NotStored("not yet sent".into())
    }
}

fn delivery(entry: &StreamId, attempt: u32) -> Delivery {
    // An entry without a body is somebody else's writing; it reads as empty and
    // ends among the dead letters.
    let body = entry.get("body").unwrap_or_default();
    Delivery {
        receipt: Receipt(entry.id.clone()),
        body,
        attempt,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
