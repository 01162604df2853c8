//! Messages that nobody could use, kept for people to look at, each with the
//! reason. They live in a stream of their own in Redis whichever queue is
//! chosen: a queue can be read from one end only, but a letter is to be found
//! by its number, shown without being taken, and sent on its way again alone.

use redis::streams::{StreamId, StreamRangeReply};
use seckill_core::keys;

use super::{Message, Published, Queue, QueueError, Queues};
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError};

/// The key of a message that was a dead letter. It is old, and that says nothing
/// of how long other messages wait.
pub const REDRIVEN: &str = "redriven";
/// Letters read at a time.
const PAGE: usize = 500;

/// A message that nobody could use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message as it was.
    pub body: Vec<u8>,
    /// Why it is here, as a sentence.
    pub reason: String,
    /// Where it came from: a queue or an outbox.
    pub source: String,
    /// How many times it was handed out.
    pub attempts: u32,
}

/// A letter that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLetter {
    /// Its number, which begins with when it came here, in epoch milliseconds.
    pub id: String,
    /// The letter.
    pub letter: DeadLetter,
}

impl KeptLetter {
    /// When it came here, epoch milliseconds: its number begins with it.
    #[must_use]
    pub fn came_ms(&self) -> u64 {
        let ms = self.id.split('-').next();
        ms.and_then(|ms| ms.parse().ok()).unwrap_or_default()
    }

    /// Whether a letter can have this number.
    #[must_use]
    pub fn is_id(id: &str) -> bool {
        let is_number = |part: &str| part.parse::<u64>().is_ok();
        id.split('-').all(is_number) && id.matches('-').count() == 1
    }
}

/// What became of a letter that was to be sent on its way again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// It is on its way.
    Sent,
    /// There is no such letter; somebody else may have sent it.
    Gone,
    /// It stays here, for this reason.
    Stays(String),
}

/// All dead letters of a shop.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    redis: RedisLink,
    segments: Segments,
}

impl DeadLetters {
    /// Those that are kept in `redis`, of a shop with these segments.
    #[must_use]
    pub fn new(redis: RedisLink, segments: Segments) -> Self {
        Self { redis, segments }
    }

    /// Keeps a letter. Acknowledging its message is a step of its own, taken
    /// after this one, so that it is never in neither place.
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

    /// Up to `most` letters, oldest first, from the one after `after` on.
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

    /// How many there are.
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
        // What is no number of a letter is one that does not exist.
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

    /// Sends a letter on its way again, back to the queue or the outbox that it
    /// came from. Only what has arrived there is taken out here.
    ///
    /// # Errors
    /// Redis is away. The letter may be on its way and still be here; sending
    /// it twice does no harm.
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
            let mut conn = self.redis.conn().await?;
            let mut take_out = redis::cmd("XDEL");
            take_out.arg(keys::QUEUE_DEAD_LETTERS).arg(id);
            take_out.exec_async(&mut conn).await?;
        }
        Ok(sent)
    }

    /// Sends every letter that is here now on its way again; tells how many,
    /// and what keeps the others here.
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

    /// The newest letter: what comes while all are sent is left for the next time.
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
            return Ok(Redriven::Stays(format!("\"{outbox}\" is no outbox")));
        };
        let mut conn = self.segments.conn(&item, segment).await?;
        let mut add = redis::cmd("XADD");
        add.arg(outbox).arg("*");
        for (name, text) in fields {
            add.arg(name).arg(text);
        }
        // The ledger has the event already, and must not count it twice.
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
        None => Redriven::Stays("the queue said nothing".to_owned()),
    }
}

/// The fields of an outbox event; `None` for what was a queue's message.
fn event_fields(letter: &DeadLetter) -> Option<Vec<(String, String)>> {
    if [keys::QUEUE_ORDERS, keys::QUEUE_CANCELS].contains(&letter.source.as_str()) {
        return None;
    }
    let event: serde_json::Value = serde_json::from_slice(&letter.body).ok()?;
    let fields = event.as_object()?;
    // A purchase that the queue rejected was a message already.
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
