//! Reads what is new in the outboxes of one master, or of a Cluster.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamAutoClaimReply, StreamId, StreamReadReply};
use redis::{Pipeline, RedisResult};
use seckill_core::ids::Item;
use seckill_core::keys;
use tokio::time::{Instant, timeout};

use crate::now_ms;
use crate::outbox::relay::{BATCH, GROUP, HOLD, RelayError};
use crate::redis::segments::{Part, Segment, Segments};
use crate::redis::{RESPONSE_TIMEOUT, RedisLink};
use crate::sale::catalogue;

/// All relays read under one name: an event is taken over when it has been held
/// too long, whoever held it.
const CONSUMER: &str = "relay";
/// How long a read waits, and so how soon a new round's outbox is read.
pub(super) const LOOK_ROUND: Duration = Duration::from_millis(250);
/// First pause before outboxes that cannot be waited for are read again; it
/// doubles up to [`LOOK_ROUND`] while nothing comes.
const POLL: Duration = Duration::from_millis(5);
/// Outboxes of rounds that ended longer ago than this are only swept.
const COOLING_MS: u64 = 3_600_000;
/// How often every outbox is swept.
const SWEEP: Duration = Duration::from_secs(30);

/// One segment's outbox.
pub(super) struct Outbox {
    pub(super) segment: Segment,
    pub(super) key: String,
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
pub(super) type Fresh = (Arc<Outbox>, Vec<StreamId>);

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

/// The outboxes that one loop reads.
pub(super) struct Outboxes {
    segments: Segments,
    part: Part,
    all: Vec<Arc<Outbox>>,
    /// Of the catalogue that `all` were taken from.
    version: Option<Option<String>>,
    /// For reads that block.
    reader: Option<MultiplexedConnection>,
    /// How long to pause before outboxes that cannot be waited for are read again.
    pause: Duration,
    next_sweep: Instant,
}

impl Outboxes {
    /// Those of `part`; none is known yet.
    pub(super) fn new(segments: Segments, part: Part) -> Self {
        Self {
            segments,
            part,
            all: Vec::new(),
            version: None,
            reader: None,
            pause: POLL,
            next_sweep: Instant::now(),
        }
    }

    /// A connection on which a read broke off is not used again.
    pub(super) fn forget_reader(&mut self) {
        self.reader = None;
    }

    /// Waits for events that nobody has read yet, for a while.
    pub(super) async fn fresh(&mut self, due: &[Arc<Outbox>]) -> Result<Vec<Fresh>, RelayError> {
        match self.part {
            Part::Master(_) => self.wait_for_fresh(due).await,
            Part::Cluster => self.look_for_fresh(due).await,
        }
    }

    /// Follows the catalogue, and makes the group where there is none.
    pub(super) async fn follow(&mut self, main: &RedisLink) -> Result<(), RelayError> {
        let mut conn = main.conn().await?;
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
        self.all = readable;
        self.version = version;
        Ok(())
    }

    /// The outboxes to look at now.
    pub(super) fn due(&mut self) -> Vec<Arc<Outbox>> {
        let sweep = Instant::now() >= self.next_sweep;
        if sweep {
            self.next_sweep = Instant::now() + SWEEP;
        }
        let now = now_ms();
        let due = self
            .all
            .iter()
            .filter(|outbox| sweep || now < outbox.ends_ms + COOLING_MS);
        due.cloned().collect()
    }

    /// Events that another relay took and has not finished in time.
    pub(super) async fn abandoned(&mut self, outbox: &Outbox) -> Result<Vec<StreamId>, RelayError> {
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
}
