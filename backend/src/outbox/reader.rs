//! Reads what is new in the outboxes of one master, or of a Cluster, for one of the
//! groups that read them.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamAutoClaimReply, StreamId};
use redis::{Pipeline, RedisResult};
use seckill_core::ids::Item;
use seckill_core::keys;
use tokio::time::{Instant, timeout};

use crate::now_ms;
use crate::redis::consumer_group::{self, ConsumerGroup, ReadReply};
use crate::redis::segments::{Part, Segment, Segments};
use crate::redis::{RESPONSE_TIMEOUT, RedisLink, RedisLinkError, scripts};
use crate::sale::catalogue;

/// One of the groups that read the outboxes, and how its readers read.
#[derive(Debug, Clone, Copy)]
pub struct OutboxGroup {
    /// The consumer group.
    pub group: ConsumerGroup,
    /// Most events of an outbox in one read.
    pub(super) batch: usize,
    /// How long a reader may hold an event before another takes it over.
    pub(super) hold: Duration,
    /// How often it is looked for events that were held too long.
    claim_every: Duration,
    /// How often outboxes of rounds that ended long ago are read.
    sweep_every: Duration,
}

/// The relay's group.
pub const RELAY: OutboxGroup = OutboxGroup {
    group: ConsumerGroup {
        name: "relay",
        consumer: "relay",
    },
    batch: 256,
    hold: Duration::from_secs(2),
    claim_every: Duration::from_secs(1),
    sweep_every: Duration::from_secs(30),
};

/// The archive's group.
pub const ARCHIVE: OutboxGroup = OutboxGroup {
    group: ConsumerGroup {
        name: "ledger",
        consumer: "ledger",
    },
    batch: 500,
    hold: Duration::from_secs(2),
    claim_every: Duration::from_secs(5),
    sweep_every: Duration::from_secs(5),
};

/// The groups that must have acknowledged an event before it is deleted.
const ALL_GROUPS: [&str; 2] = [RELAY.group.name, ARCHIVE.group.name];

/// Longest wait of a read, and so how soon a new round's outbox is read.
pub(super) const WAIT: Duration = Duration::from_millis(250);
/// First pause before outboxes that cannot be waited for are read again; it doubles up
/// to [`WAIT`] while nothing comes.
const POLL: Duration = Duration::from_millis(5);
/// Outboxes of rounds that ended longer ago than this are only swept.
const COOLING_MS: u64 = 3_600_000;

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Redis is away or refuses.
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
    /// The server vanished during a read.
    #[error("Redis did not reply to a blocking read in time")]
    Silent,
}

impl From<redis::RedisError> for ReadError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

/// One segment's outbox.
pub(super) struct Outbox {
    pub(super) segment: Segment,
    pub(super) key: String,
    ends_ms: u64,
}

fn segment_of(outbox: &Arc<Outbox>) -> (&Item, u16) {
    (&outbox.segment.item, outbox.segment.number)
}

/// The outboxes of one pass.
pub(super) struct Due {
    pub(super) outboxes: Vec<Arc<Outbox>>,
    /// Whether it is time to take over events that were held too long.
    pub(super) claim: bool,
}

/// Events of an outbox that the group had not read before.
pub(super) type New = (Arc<Outbox>, Vec<StreamId>);

/// Reads the outboxes of one part of the segments for one group.
pub(super) struct OutboxReader {
    group: OutboxGroup,
    segments: Segments,
    part: Part,
    outboxes: Vec<Arc<Outbox>>,
    /// The version of the catalogue that `outboxes` were taken from.
    version: Option<Option<String>>,
    /// The connection for reads that block.
    blocking: Option<MultiplexedConnection>,
    /// The next pause before outboxes that cannot be waited for are read again.
    pause: Duration,
    next_claim: Instant,
    next_sweep: Instant,
}

impl OutboxReader {
    /// A reader that does not know any outbox yet.
    pub(super) fn new(group: OutboxGroup, segments: Segments, part: Part) -> Self {
        Self {
            group,
            segments,
            part,
            outboxes: Vec::new(),
            version: None,
            blocking: None,
            pause: POLL,
            next_claim: Instant::now(),
            next_sweep: Instant::now(),
        }
    }

    /// Follows the catalogue, and creates the group where there is none.
    ///
    /// # Errors
    /// Redis is away or refuses; the next call goes on.
    pub(super) async fn follow(&mut self, main: &RedisLink) -> Result<(), ReadError> {
        let mut conn = main.conn().await?;
        if self.version == Some(catalogue::version(&mut conn).await?) {
            return Ok(());
        }
        let (products, version) = catalogue::read_version(&mut conn).await?;
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
            readable.extend(self.with_group(&link, outboxes).await?);
        }
        self.outboxes = readable;
        self.version = Some(version);
        Ok(())
    }

    /// Creates the group of every outbox. One that cannot be read is left out, so that
    /// it does not keep the others from being read.
    async fn with_group(
        &self,
        link: &RedisLink,
        outboxes: Vec<Arc<Outbox>>,
    ) -> Result<Vec<Arc<Outbox>>, ReadError> {
        let mut conn = link.conn().await?;
        let mut pipe = Pipeline::with_capacity(outboxes.len());
        for outbox in &outboxes {
            pipe.add_command(self.group.group.create(&outbox.key));
        }
        let replies: Vec<RedisResult<()>> = pipe.ignore_errors().query_async(&mut conn).await?;
        let readable = outboxes.into_iter().zip(replies).filter(|(outbox, reply)| {
            let created = consumer_group::created(reply.clone());
            if let Err(error) = &created {
                tracing::error!(outbox = outbox.key, %error, "an outbox cannot be read; remove what is in its place");
            }
            created.is_ok()
        });
        Ok(readable.map(|(outbox, _)| outbox).collect())
    }

    /// The outboxes to read now.
    pub(super) fn due(&mut self) -> Due {
        let (now, now_ms) = (Instant::now(), now_ms());
        let sweep = now >= self.next_sweep;
        if sweep {
            self.next_sweep = now + self.group.sweep_every;
        }
        let claim = sweep || now >= self.next_claim;
        if claim {
            self.next_claim = now + self.group.claim_every;
        }
        let outboxes = self
            .outboxes
            .iter()
            .filter(|outbox| sweep || now_ms < outbox.ends_ms.saturating_add(COOLING_MS));
        Due {
            outboxes: outboxes.cloned().collect(),
            claim,
        }
    }

    /// New events of any of these outboxes; waits for them for at most [`WAIT`].
    ///
    /// # Errors
    /// [`ReadError`]; what was read and not returned is taken over later.
    pub(super) async fn wait_for_new(
        &mut self,
        outboxes: &[Arc<Outbox>],
    ) -> Result<Vec<New>, ReadError> {
        let read = match self.part {
            Part::Master(_) => self.wait(outboxes).await,
            Part::Cluster => self.poll(outboxes).await,
        };
        if read.is_err() {
            // A connection on which a read broke off is not used again.
            self.blocking = None;
        }
        read
    }

    /// Waits for events in any outbox of a master.
    async fn wait(&mut self, outboxes: &[Arc<Outbox>]) -> Result<Vec<New>, ReadError> {
        let Some(Segment { item, number }) = outboxes.first().map(|outbox| &outbox.segment) else {
            return Ok(Vec::new());
        };
        let mut conn = match self.blocking.take() {
            Some(conn) => conn,
            None => self.segments.link(item, *number).await?.dedicated().await?,
        };
        let keys: Vec<&str> = outboxes.iter().map(|outbox| outbox.key.as_str()).collect();
        let OutboxGroup { group, batch, .. } = self.group;
        let read = group.read(&keys, batch, Some(WAIT));
        // Should the server vanish without a word, the read must end all the same.
        let bound = WAIT + RESPONSE_TIMEOUT;
        let reply: RedisResult<ReadReply> = timeout(bound, read.query_async(&mut conn))
            .await
            .map_err(|_| ReadError::Silent)?;
        let reply = self.unless_gone(reply)?.flatten().unwrap_or_default();
        self.blocking = Some(conn);
        let new = reply.keys.into_iter().filter_map(|read| {
            let outbox = outboxes.iter().find(|outbox| outbox.key == read.key)?;
            Some((Arc::clone(outbox), read.ids))
        });
        Ok(new.collect())
    }

    /// Reads each outbox of a Cluster by a command of its own, since each lives in a
    /// slot of its own; pauses when there was nothing.
    async fn poll(&mut self, outboxes: &[Arc<Outbox>]) -> Result<Vec<New>, ReadError> {
        let mut new = Vec::new();
        let sorted = self.segments.by_master(outboxes.to_vec(), segment_of);
        for (link, outboxes) in sorted.await? {
            match self.read_each(&link, &outboxes).await {
                Ok(replies) => {
                    for (outbox, reply) in outboxes.into_iter().zip(replies) {
                        let reply = self.unless_gone(reply)?.flatten();
                        let entries = consumer_group::entries(reply);
                        if !entries.is_empty() {
                            new.push((outbox, entries));
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(address = link.address(), %error, "outboxes wait for their master");
                }
            }
        }
        if new.is_empty() {
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(WAIT);
        } else {
            self.pause = POLL;
        }
        Ok(new)
    }

    /// Reads outboxes of one master, in one round trip.
    async fn read_each(
        &self,
        link: &RedisLink,
        outboxes: &[Arc<Outbox>],
    ) -> Result<Vec<RedisResult<ReadReply>>, ReadError> {
        let mut conn = link.conn().await?;
        let OutboxGroup { group, batch, .. } = self.group;
        let mut pipe = Pipeline::with_capacity(outboxes.len());
        for outbox in outboxes {
            pipe.add_command(group.read(&[&outbox.key], batch, None));
        }
        Ok(pipe.ignore_errors().query_async(&mut conn).await?)
    }

    /// The next events of one outbox, without waiting for any, for a group that is done
    /// with them in their order: none while another reader has some. Events that this one
    /// took and was not done with are `mine`, and are not waited for.
    ///
    /// # Errors
    /// Its master is away or refuses.
    pub(super) async fn next_in_order(
        &mut self,
        outbox: &Outbox,
        mine: bool,
    ) -> Result<Vec<StreamId>, ReadError> {
        let mut conn = self.conn(outbox).await?;
        let OutboxGroup {
            group, batch, hold, ..
        } = &self.group;
        let hold = if mine { Duration::ZERO } else { *hold };
        let take = scripts::stock::take(&outbox.key, group, *batch, hold);
        let reply = self.unless_gone(take.run(&mut conn).await)?;
        Ok(reply.map(|reply| reply.ids).unwrap_or_default())
    }

    /// Events that another reader took and has not finished in time.
    ///
    /// # Errors
    /// Its master is away or refuses.
    pub(super) async fn abandoned(&mut self, outbox: &Outbox) -> Result<Vec<StreamId>, ReadError> {
        let mut conn = self.conn(outbox).await?;
        let OutboxGroup {
            group, batch, hold, ..
        } = self.group;
        let claim = group.claim(&outbox.key, hold, batch);
        let reply: RedisResult<StreamAutoClaimReply> = claim.query_async(&mut conn).await;
        let reply = self.unless_gone(reply)?;
        Ok(reply.map(|reply| reply.claimed).unwrap_or_default())
    }

    /// Acknowledges events, and deletes those that the other group is done with too.
    ///
    /// # Errors
    /// Redis is away or refuses; the events are handled again later.
    pub(super) async fn acknowledge(&self, outbox: &Outbox, ids: &[&str]) -> Result<(), ReadError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut conn = self.conn(outbox).await?;
        let acknowledge = self.group.group.acknowledge(&outbox.key, ids);
        acknowledge.exec_async(&mut conn).await?;
        self.trim(outbox).await
    }

    /// Deletes events that every group has acknowledged.
    ///
    /// # Errors
    /// Redis is away or refuses; the next call does it.
    pub(super) async fn trim(&self, outbox: &Outbox) -> Result<(), ReadError> {
        if self.version.is_none() {
            // The group was just found to be gone, and its events with it.
            return Ok(());
        }
        let mut conn = self.conn(outbox).await?;
        let trim = scripts::stock::trim(&outbox.key, &ALL_GROUPS);
        trim.run(&mut conn).await?;
        Ok(())
    }

    async fn conn(&self, outbox: &Outbox) -> Result<MultiplexedConnection, RedisLinkError> {
        let Segment { item, number } = &outbox.segment;
        self.segments.conn(item, *number).await
    }

    /// A group that is gone, because somebody emptied Redis, is created again at the
    /// next [`OutboxReader::follow`].
    fn unless_gone<T>(&mut self, reply: RedisResult<T>) -> RedisResult<Option<T>> {
        match reply {
            Err(error) if consumer_group::is_gone(&error) => {
                self.version = None;
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}
