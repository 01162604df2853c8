//! Dead letters: messages that failed for good and wait for a person, each with the
//! reason. They live in a stream of their own in Redis whichever queue is in use: a
//! queue can be read from one end only, but a letter must be found by its number,
//! shown without being consumed, and redriven alone.

use redis::streams::{StreamId, StreamRangeReply};
use seckill_core::keys;

use super::{Message, Published, Queue, QueueError, Queues};
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError};

/// The key of a redriven message. Its age says nothing of how long other messages
/// wait.
pub const REDRIVEN: &str = "redriven";
/// Letters read at a time.
const PAGE: usize = 500;

/// A message that failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The body of the message.
    pub body: Vec<u8>,
    /// Why it failed, as a sentence.
    pub reason: String,
    /// The queue or outbox that it came from.
    pub source: String,
    /// The number of its deliveries.
    pub attempts: u32,
}

/// A dead letter with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLetter {
    /// Its number, which begins with the time of its addition in epoch milliseconds.
    pub id: String,
    /// The letter.
    pub letter: DeadLetter,
}

impl KeptLetter {
    /// When it was added, epoch milliseconds.
    #[must_use]
    pub fn came_ms(&self) -> u64 {
        let ms = self.id.split('-').next();
        ms.and_then(|ms| ms.parse().ok()).unwrap_or_default()
    }

    /// Whether `id` has the form of a letter's number.
    #[must_use]
    pub fn is_id(id: &str) -> bool {
        let is_number = |part: &str| part.parse::<u64>().is_ok();
        id.split('-').all(is_number) && id.matches('-').count() == 1
    }
}

/// The outcome of redriving a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// Its message was sent.
    Sent,
    /// There is no such letter; somebody else may have redriven it.
    Gone,
    /// It stays a dead letter, for this reason.
    Stays(String),
}

/// All dead letters of a shop.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    redis: RedisLink,
    segments: Segments,
}

impl DeadLetters {
    /// The dead letters in `redis`, of a shop with these segments.
    #[must_use]
    pub fn new(redis: RedisLink, segments: Segments) -> Self {
        Self { redis, segments }
    }

    /// Adds a letter. The caller acknowledges its message afterwards, so that the
    /// message is never lost between the two.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn bury(&self, letter: DeadLetter) -> Result<(), QueueError> {
        let mut conn = self.redis.conn().await?;
        let mut add = redis::cmd("XADD");
        add.arg(keys::QUEUE_DEAD_LETTERS).arg("*");
        add.arg("body").arg(letter.body);
        add.arg("reason").arg(letter.reason);
        add.arg("source").arg(letter.source);
        add.arg("attempts").arg(letter.attempts);
        Ok(add.exec_async(&mut conn).await?)
    }

    /// Up to `most` letters, oldest first, starting after the letter `after`.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn list(
        &self,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<KeptLetter>, QueueError> {
        let from = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
        self.range(&from, "+", most).await
    }

    /// The number of dead letters.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn count(&self) -> Result<u64, QueueError> {
        let mut conn = self.redis.conn().await?;
        let mut length = redis::cmd("XLEN");
        Ok(length
            .arg(keys::QUEUE_DEAD_LETTERS)
            .query_async(&mut conn)
            .await?)
    }

    /// The letter of this number.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn find(&self, id: &str) -> Result<Option<KeptLetter>, QueueError> {
        // A malformed number names no letter.
        if !KeptLetter::is_id(id) {
            return Ok(None);
        }
        Ok(self.range(id, id, 1).await?.pop())
    }

    async fn range(
        &self,
        from: &str,
        to: &str,
        most: usize,
    ) -> Result<Vec<KeptLetter>, QueueError> {
        let mut conn = self.redis.conn().await?;
        let mut range = redis::cmd("XRANGE");
        range
            .arg(keys::QUEUE_DEAD_LETTERS)
            .arg(from)
            .arg(to)
            .arg("COUNT")
            .arg(most);
        let reply: StreamRangeReply = range.query_async(&mut conn).await?;
        Ok(reply.ids.iter().map(kept).collect())
    }

    /// Redrives a letter to the queue or the outbox that it came from, and removes it
    /// once it has arrived there.
    ///
    /// # Errors
    /// Redis is away. The letter may have been sent and still be here; sending it
    /// twice does no harm.
    pub async fn redrive<O: Queue, C: Queue>(
        &self,
        id: &str,
        queues: &Queues<O, C>,
    ) -> Result<Redriven, QueueError> {
        let Some(KeptLetter { letter, .. }) = self.find(id).await? else {
            return Ok(Redriven::Gone);
        };
        let sent = match event_fields(&letter) {
            Some(fields) => self.append(&letter.source, &fields).await?,
            None if letter.source == keys::QUEUE_CANCELS => publish(&queues.cancels, letter).await,
            None => publish(&queues.orders, letter).await,
        };
        if sent == Redriven::Sent {
            self.remove(id).await?;
        }
        Ok(sent)
    }

    /// Removes a letter of which nothing is to be done any more.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn remove(&self, id: &str) -> Result<(), QueueError> {
        let mut conn = self.redis.conn().await?;
        let mut remove = redis::cmd("XDEL");
        remove.arg(keys::QUEUE_DEAD_LETTERS).arg(id);
        Ok(remove.exec_async(&mut conn).await?)
    }

    /// Redrives every letter that is here now; returns the number of those that were
    /// sent, and the reasons why others stay.
    ///
    /// # Errors
    /// See [`Self::redrive`].
    pub async fn redrive_all<O: Queue, C: Queue>(
        &self,
        queues: &Queues<O, C>,
    ) -> Result<(u64, Vec<String>), QueueError> {
        let last = self.last().await?;
        let (mut sent, mut stay) = (0, Vec::new());
        let mut after = None;
        while let Some(last) = &last {
            let page = self.range(&start(after.as_deref()), last, PAGE).await?;
            for KeptLetter { id, .. } in &page {
                match self.redrive(id, queues).await? {
                    Redriven::Sent => sent += 1,
                    Redriven::Gone => {}
                    Redriven::Stays(reason) => stay.push(format!("{id}: {reason}")),
                }
            }
            match page.last() {
                Some(letter) => after = Some(letter.id.clone()),
                None => break,
            }
        }
        Ok((sent, stay))
    }

    /// The newest letter: those that are added while all are redriven are left alone.
    async fn last(&self) -> Result<Option<String>, QueueError> {
        let mut conn = self.redis.conn().await?;
        let mut range = redis::cmd("XREVRANGE");
        range
            .arg(keys::QUEUE_DEAD_LETTERS)
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1);
        let reply: StreamRangeReply = range.query_async(&mut conn).await?;
        Ok(reply.ids.into_iter().next().map(|entry| entry.id))
    }

    async fn append(
        &self,
        outbox: &str,
        fields: &[(String, String)],
    ) -> Result<Redriven, QueueError> {
        let Some((item, segment)) = keys::parse_outbox(outbox) else {
            return Ok(Redriven::Stays(format!("\"{outbox}\" is not an outbox")));
        };
        let mut conn = self.segments.conn(&item, segment).await?;
        let mut add = redis::cmd("XADD");
        add.arg(outbox).arg("*");
        for (name, text) in fields {
            add.arg(name).arg(text);
        }
        // The ledger has the event, and must not count it twice.
        add.arg("redriven").arg(1);
        match add
            .exec_async(&mut conn)
            .await
            .map_err(RedisLinkError::from)
        {
            Err(RedisLinkError::Refused(error)) => Ok(Redriven::Stays(error.to_string())),
            other => {
                other?;
                Ok(Redriven::Sent)
            }
        }
    }
}

fn start(after: Option<&str>) -> String {
    after.map_or_else(|| "-".to_owned(), |id| format!("({id}"))
}

async fn publish(queue: &impl Queue, letter: DeadLetter) -> Redriven {
    let outcome = queue.publish(&[Message::new(letter.body, REDRIVEN)]).await;
    match outcome.into_iter().next() {
        Some(Published::Stored) => Redriven::Sent,
        Some(
            Published::NotStored(reason) | Published::Unknown(reason) | Published::Rejected(reason),
        ) => Redriven::Stays(reason),
        None => Redriven::Stays("the queue did not reply".to_owned()),
    }
}

/// The fields of an outbox event; `None` if the letter was a message of a queue.
fn event_fields(letter: &DeadLetter) -> Option<Vec<(String, String)>> {
    if [keys::QUEUE_ORDERS, keys::QUEUE_CANCELS].contains(&letter.source.as_str()) {
        return None;
    }
    let event: serde_json::Value = serde_json::from_slice(&letter.body).ok()?;
    let fields = event.as_object()?;
    // A purchase that the queue rejected is a message, not an event.
    fields.get("kind")?;
    let field = |(name, value): (&String, &serde_json::Value)| {
        Some((name.clone(), value.as_str()?.to_owned()))
    };
    fields.iter().map(field).collect()
}

fn kept(entry: &StreamId) -> KeptLetter {
    let text = |name: &str| entry.get::<String>(name).unwrap_or_default();
    KeptLetter {
        id: entry.id.clone(),
        letter: DeadLetter {
            body: entry.get("body").unwrap_or_default(),
            reason: text("reason"),
            source: text("source"),
            attempts: entry.get("attempts").unwrap_or_default(),
        },
    }
}
