//! The relay: moves the events of every segment from its outbox to where they
//! are handled, at least once each.
//!
//! Each master's outboxes are read by a loop of their own, so that one that is
//! away holds up nobody else. An event leaves the outbox only after the queue has it, so that a queue that
//! is away makes the outbox longer and loses nothing.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamAutoClaimReply, StreamId, StreamReadReply};
use redis::{Pipeline, RedisResult};
use seckill_core::ids::Item;
use seckill_core::keys;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::ledger;
use crate::purchase::catalogue;
use crate::purchase::now_ms;
use crate::queue::{DeadLetter, DeadLetters, Message, Published, Queue, QueueError};
use crate::redis_link::{RESPONSE_TIMEOUT, RedisLink, RedisLinkError, scripts};
use crate::regrab;
use crate::segments::{Part, Segment, Segments};

/// Events as the outbox holds them.
mod event;

use event::{Event, Refund};

/// The group that all relays share, and the one name they read under: an event
/// is taken over when it has been held too long, whoever held it.
pub const GROUP: &str = "relay";
const CONSUMER: &str = "relay";
/// Events read of one outbox at a time.
const BATCH: usize = 256;
/// How long a read waits, and so how soon a new round's outbox is read.
const LOOK_ROUND: Duration = Duration::from_millis(250);
/// First pause before outboxes that cannot be waited for are read again; it
/// doubles up to [`LOOK_ROUND`] while nothing comes.
const POLL: Duration = Duration::from_millis(5);
/// How long a relay may hold an event before another takes it over.
const HOLD: Duration = Duration::from_secs(2);
/// How long to pause when Redis or the queue is away.
const PAUSE: Duration = Duration::from_millis(200);
/// Outboxes of rounds that ended longer ago than this are only swept.
const COOLING_MS: u64 = 3_600_000;
/// How often every outbox is swept.
const SWEEP: Duration = Duration::from_secs(30);

/// Moves segment events until told to stop; returns within a second of it.
/// Several may run: each event is handed to one of them.
pub async fn run(redis: RedisLink, segments: Segments, queue: impl Queue, stop: CancellationToken) {
    let mut parts = JoinSet::new();
    for part in segments.parts() {
        let relay = Relay {
            redis: redis.clone(),
            segments: segments.clone(),
            part,
            queue: queue.clone(),
            outboxes: Vec::new(),
            version: None,
            reader: None,
            pause: POLL,
            next_claim: Instant::now(),
            held_up: false,
            next_probe: Instant::now(),
            next_sweep: Instant::now(),
        };
        parts.spawn(run_part(relay, stop.clone()));
    }
    parts.join_all().await;
}

async fn run_part<Q: Queue>(mut relay: Relay<Q>, stop: CancellationToken) {
    let mut failing = false;
    while !stop.is_cancelled() {
        match relay.step().await {
            Ok(()) if failing && !relay.held_up => {
                failing = false;
                tracing::info!("the relay moves events again");
            }
            Ok(()) => {}
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "the relay waits; events stay in their outboxes");
                }
                failing = true;
                relay.reader = None;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
}

/// Why events are not being moved.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("the queue did not take an order message: {0}")]
    NotStored(String),
    #[error("a read was not answered")]
    Silent,
}

impl From<redis::RedisError> for RelayError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

/// What two steps came to: the first error, or the sum.
fn both(
    one: Result<usize, RelayError>,
    other: Result<usize, RelayError>,
) -> Result<usize, RelayError> {
    Ok(one? + other?)
}

/// One segment's outbox.
struct Outbox {
    segment: Segment,
    key: String,
    ends_ms: u64,
}

fn segment_of(outbox: &Arc<Outbox>) -> (&Item, u16) {
    (&outbox.segment.item, outbox.segment.number)
}

/// Makes the group of every outbox. One that cannot be read is left out, so that
/// it does not keep the others from being read.
async fn with_groups(
    conn: &mut MultiplexedConnection,
    outboxes: Vec<Arc<Outbox>>,
) -> RedisResult<Vec<Arc<Outbox>>> {
    let mut pipe = Pipeline::with_capacity(outboxes.len());
    for outbox in &outboxes {
        pipe.cmd("XGROUP")
            .arg("CREATE")
            .arg(&outbox.key)
            .arg(GROUP)
            .arg("0")
            .arg("MKSTREAM");
    }
    let made: Vec<RedisResult<()>> = pipe.ignore_errors().query_async(conn).await?;
    let readable = outboxes.into_iter().zip(made).filter(|(outbox, made)| match made {
        Err(error) if error.code() != Some("BUSYGROUP") => {
            tracing::error!(outbox = outbox.key, %error, "an outbox cannot be read; remove what is in its place");
            false
        }
        _ => true,
    });
    Ok(readable.map(|(outbox, _)| outbox).collect())
}

/// Events of an outbox that nobody has read yet.
type Fresh = (Arc<Outbox>, Vec<StreamId>);

/// Reads what is new in each outbox, all in one round trip.
async fn read_each(
    link: &RedisLink,
    outboxes: Vec<Arc<Outbox>>,
) -> Result<Vec<(Arc<Outbox>, RedisResult<Option<StreamReadReply>>)>, RelayError> {
    let mut conn = link.conn().await?;
    let mut pipe = Pipeline::with_capacity(outboxes.len());
    for outbox in &outboxes {
        let read = pipe.cmd("XREADGROUP").arg("GROUP").arg(GROUP).arg(CONSUMER);
        read.arg("COUNT").arg(BATCH).arg("STREAMS");
        read.arg(&outbox.key).arg(">");
    }
    let replies: Vec<RedisResult<Option<StreamReadReply>>> =
        pipe.ignore_errors().query_async(&mut conn).await?;
    Ok(outboxes.into_iter().zip(replies).collect())
}

struct Relay<Q> {
    /// The main Redis: permits and catalogue.
    redis: RedisLink,
    segments: Segments,
    /// Whose outboxes this loop reads.
    part: Part,
    queue: Q,
    outboxes: Vec<Arc<Outbox>>,
    /// Of the catalogue that `outboxes` were taken from.
    version: Option<Option<String>>,
    /// For reads that block.
    reader: Option<MultiplexedConnection>,
    /// How long to pause before outboxes that cannot be waited for are read again.
    pause: Duration,
    next_claim: Instant,
    /// The queue takes nothing at the moment.
    held_up: bool,
    /// When to read what is new all the same.
    next_probe: Instant,
    next_sweep: Instant,
}

impl<Q: Queue> Relay<Q> {
    async fn step(&mut self) -> Result<(), RelayError> {
        self.find_outboxes().await?;
        let due = self.due();
        if due.is_empty() {
            tokio::time::sleep(LOOK_ROUND).await;
            return Ok(());
        }
        let mut outcome = Ok(0);
        if Instant::now() >= self.next_claim {
            for outbox in &due {
                // What is wrong with one outbox must not hold up the others.
                outcome = both(outcome, self.take_over(outbox).await);
            }
            self.next_claim = Instant::now() + HOLD / 2;
        }
        self.notice(&outcome);
        if self.held_up && Instant::now() < self.next_probe {
            tokio::time::sleep(PAUSE).await;
            return outcome.map(|_| ());
        }
        self.next_probe = Instant::now() + HOLD;
        let fresh = match self.part {
            Part::Master(_) => self.wait_for_fresh(&due).await,
            Part::Cluster => self.look_for_fresh(&due).await,
        };
        for (outbox, entries) in fresh? {
            outcome = both(outcome, self.relay(&outbox, &entries).await);
        }
        self.notice(&outcome);
        outcome.map(|_| ())
    }

    /// While the queue takes nothing, new events are read only now and then, to
    /// try: what was read and not handed on has to wait for its hold.
    fn notice(&mut self, outcome: &Result<usize, RelayError>) {
        match outcome {
            Err(RelayError::NotStored(_)) => self.held_up = true,
            Ok(stored) if *stored > 0 => self.held_up = false,
            _ => {}
        }
    }

    /// All that was held too long: after an absence of the queue that may be much.
    async fn take_over(&mut self, outbox: &Outbox) -> Result<usize, RelayError> {
        let mut stored = 0;
        loop {
            let held = self.abandoned(outbox).await?;
            stored += self.relay(outbox, &held).await?;
            if held.len() < BATCH {
                return Ok(stored);
            }
        }
    }

    /// Follows the catalogue, and makes the group where there is none.
    async fn find_outboxes(&mut self) -> Result<(), RelayError> {
        let mut conn = self.redis.conn().await?;
        let version = Some(catalogue::version(&mut conn).await?);
        if self.version == version {
            return Ok(());
        }
        let products = catalogue::read(&mut conn).await?;
        let outboxes = products.iter().flat_map(|(item, entry)| {
            Segment::all(item, entry).map(|segment| {
                Arc::new(Outbox {
                    key: keys::outbox(&segment.item, segment.number),
                    ends_ms: entry.window.ends_ms,
                    segment,
                })
            })
        });
        let mine = outboxes.filter(|outbox| self.segments.is_in(self.part, outbox.segment.number));
        let mine = mine.collect();
        let mut readable = Vec::new();
        for (link, outboxes) in self.segments.by_master(mine, segment_of).await? {
            readable.extend(with_groups(&mut link.conn().await?, outboxes).await?);
        }
        self.outboxes = readable;
        self.version = version;
        Ok(())
    }

    /// The outboxes to look at now.
    fn due(&mut self) -> Vec<Arc<Outbox>> {
        let sweep = Instant::now() >= self.next_sweep;
        if sweep {
            self.next_sweep = Instant::now() + SWEEP;
        }
        let now = now_ms();
        let due = self
            .outboxes
            .iter()
            .filter(|outbox| sweep || now < outbox.ends_ms + COOLING_MS);
        due.cloned().collect()
    }

    /// Events that another relay took and has not finished in time.
    async fn abandoned(&mut self, outbox: &Outbox) -> Result<Vec<StreamId>, RelayError> {
        let Segment { item, number } = &outbox.segment;
        let mut conn = self.segments.conn(item, *number).await?;
        let mut claim = redis::cmd("XAUTOCLAIM");
        claim
            .arg(&outbox.key)
            .arg(GROUP)
            .arg(CONSUMER)
            .arg(HOLD.as_millis() as u64);
        claim.arg("0").arg("COUNT").arg(BATCH);
        let claimed: RedisResult<StreamAutoClaimReply> = claim.query_async(&mut conn).await;
        Ok(self
            .missing_group(claimed)?
            .map(|reply| reply.claimed)
            .unwrap_or_default())
    }

    /// Waits for events in any outbox of a master.
    async fn wait_for_fresh(&mut self, due: &[Arc<Outbox>]) -> Result<Vec<Fresh>, RelayError> {
        let Some(Segment { item, number }) = due.first().map(|outbox| &outbox.segment) else {
            return Ok(Vec::new());
        };
        let mut conn = match self.reader.take() {
            Some(conn) => conn,
            None => self.segments.link(item, *number).await?.dedicated().await?,
        };
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP")
            .arg(GROUP)
            .arg(CONSUMER)
            .arg("COUNT")
            .arg(BATCH);
        read.arg("BLOCK")
            .arg(LOOK_ROUND.as_millis() as u64)
            .arg("STREAMS");
        for outbox in due {
            read.arg(&outbox.key);
        }
        for _ in due {
            read.arg(">");
        }
        // Should the server vanish without a word, the read must end all the same.
        let bound = LOOK_ROUND + RESPONSE_TIMEOUT;
        let reply: RedisResult<Option<StreamReadReply>> =
            timeout(bound, read.query_async(&mut conn))
                .await
                .map_err(|_| RelayError::Silent)?;
        let reply = self.missing_group(reply)?.flatten().unwrap_or_default();
        self.reader = Some(conn);
        let fresh = reply.keys.into_iter().filter_map(|read| {
            let outbox = due.iter().find(|outbox| outbox.key == read.key)?;
            Some((Arc::clone(outbox), read.ids))
        });
        Ok(fresh.collect())
    }

    /// Reads each outbox of a Cluster by a command of its own, since each lives
    /// in a slot of its own; pauses when there was nothing.
    async fn look_for_fresh(&mut self, due: &[Arc<Outbox>]) -> Result<Vec<Fresh>, RelayError> {
        let mut fresh = Vec::new();
        for (link, outboxes) in self.segments.by_master(due.to_vec(), segment_of).await? {
            match read_each(&link, outboxes).await {
                Ok(read) => {
                    for (outbox, reply) in read {
                        let keys = self
                            .missing_group(reply)?
                            .flatten()
                            .unwrap_or_default()
                            .keys;
                        fresh.extend(keys.into_iter().map(|read| (Arc::clone(&outbox), read.ids)));
                    }
                }
                Err(error) => {
                    tracing::debug!(address = link.address(), %error, "outboxes wait for their master");
                }
            }
        }
        if fresh.is_empty() {
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(LOOK_ROUND);
        } else {
            self.pause = POLL;
        }
        Ok(fresh)
    }

    /// A group that is gone (somebody emptied Redis) is made again at the next step.
    fn missing_group<T>(&mut self, reply: RedisResult<T>) -> RedisResult<Option<T>> {
        match reply {
            Err(error) if error.code() == Some("NOGROUP") => {
                self.version = None;
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// Hands on the events of one outbox, then takes out those that have arrived;
    /// tells how many purchases there were, all of which the queue has.
    async fn relay(&self, outbox: &Outbox, entries: &[StreamId]) -> Result<usize, RelayError> {
        let mut done = Vec::with_capacity(entries.len());
        let mut messages = Vec::new();
        let mut purchases = Vec::new();
        for entry in entries {
            match Event::read(entry) {
                Ok(Event::Purchase(message)) => {
                    messages.push(Message::new(message.to_json(), &message.request));
                    purchases.push(entry);
                }
                Ok(Event::Refund(refund)) => {
                    self.refund(&refund).await?;
                    done.push(&entry.id);
                }
                Ok(Event::Release { item, user, refund }) => {
                    if let Some(refund) = &refund {
                        self.refund(refund).await?;
                    }
                    regrab::allow(&mut self.redis.conn().await?, &item, &user).await?;
                    done.push(&entry.id);
                }
                Ok(Event::Movement) => done.push(&entry.id),
                Err(reason) => {
                    self.bury(outbox, event::as_json(entry), reason).await?;
                    done.push(&entry.id);
                }
            }
        }
        let (mut not_stored, count) = (None, purchases.len());
        let outcomes = self.queue.publish(&messages).await;
        for ((entry, message), outcome) in purchases.into_iter().zip(messages).zip(outcomes) {
            match outcome {
                Published::Stored => done.push(&entry.id),
                Published::Rejected(reason) => {
                    self.bury(outbox, message.body, reason).await?;
                    done.push(&entry.id);
                }
                // Stays pending, and is published again when its hold is over.
                Published::NotStored(reason) | Published::Unknown(reason) => {
                    not_stored = Some(reason);
                }
            }
        }
        self.take_out(outbox, &done).await?;
        not_stored.map_or(Ok(count), |reason| Err(RelayError::NotStored(reason)))
    }

    async fn take_out(&self, outbox: &Outbox, done: &[&String]) -> Result<(), RelayError> {
        if done.is_empty() {
            return Ok(());
        }
        let Segment { item, number } = &outbox.segment;
        let mut conn = self.segments.conn(item, *number).await?;
        redis::cmd("XACK")
            .arg(&outbox.key)
            .arg(GROUP)
            .arg(done)
            .exec_async(&mut conn)
            .await?;
        // The archive may still want them.
        ledger::trim(&mut conn, &outbox.key).await?;
        Ok(())
    }

    async fn refund(&self, refund: &Refund) -> Result<(), RelayError> {
        let mut conn = self.redis.conn().await?;
        let back: i64 = scripts::REFUND
            .key(keys::permits(&refund.item))
            .key(keys::refunds(&refund.item))
            .key(keys::leases(&refund.item))
            .arg(&refund.id)
            .arg(&refund.lease)
            .arg(refund.quantity)
            .invoke_async(&mut conn)
            .await?;
        let Refund {
            item, id, reason, ..
        } = refund;
        tracing::debug!(%item, refund = id, reason, back, "permits given back");
        Ok(())
    }

    async fn bury(&self, outbox: &Outbox, body: Vec<u8>, reason: String) -> Result<(), RelayError> {
        tracing::error!(
            outbox = outbox.key,
            reason,
            "an event goes to the dead letters"
        );
        let letter = DeadLetter {
            body,
            reason,
            source: outbox.key.clone(),
            attempts: 1,
        };
        let letters = DeadLetters::new(self.redis.clone(), self.segments.clone());
        Ok(letters.bury(letter).await?)
    }
}
