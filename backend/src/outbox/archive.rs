//! Archives every event of every segment to the database.
//!
//! A second consumer group reads the outboxes beside the relay's. An event is
//! acknowledged after it is in the database, and taken out of its stream when
//! both groups are done with it (`lua/stock/trim.lua`). So the archive and what
//! is still in the streams are together the whole ledger, at any moment.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamAutoClaimReply, StreamId, StreamReadReply};
use redis::{RedisError, RedisResult};
use seckill_core::keys;
use seckill_core::stock::ledger::{EntryId, Event};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::now_ms;
use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::sale::catalogue;
use crate::store::{Store, StoreError};

/// The group of the archive.
pub const GROUP: &str = "ledger";
/// The groups that must be done with an event before it is taken out.
const ALL_GROUPS: [&str; 2] = [crate::outbox::relay::GROUP, GROUP];
/// All archivers read under one name: what one left is taken over by its age.
const CONSUMER: &str = "ledger";
/// Events of one segment in one read.
const BATCH: usize = 500;
/// Pause after a look that found nothing; it doubles up to [`LONG_PAUSE`].
const PAUSE: Duration = Duration::from_millis(50);
/// Longest pause, and so how far the archive may be behind.
const LONG_PAUSE: Duration = Duration::from_millis(800);
/// How long an archiver may hold an event before another takes it over.
const HOLD: Duration = Duration::from_secs(5);
/// Outboxes of rounds that ended longer ago than this are looked at once a hold.
const COOLING_MS: u64 = 3_600_000;

/// Why events are not being archived.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis.
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
}

impl From<RedisError> for LedgerError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error.into())
    }
}

/// Archives until told to stop. Several may run: each event is handed to one of
/// them, and archiving it twice changes nothing.
pub async fn run(store: Store, redis: RedisLink, segments: Segments, stop: CancellationToken) {
    let mut archive = Archive {
        store,
        redis,
        segments,
        outboxes: Vec::new(),
        version: None,
        next_claim: Instant::now(),
    };
    let (mut pause, mut failing) = (PAUSE, false);
    while !stop.is_cancelled() {
        match archive.look().await {
            Ok(found) => {
                if failing {
                    tracing::info!("the ledger is archived again");
                }
                failing = false;
                pause = if found {
                    PAUSE
                } else {
                    (pause * 2).min(LONG_PAUSE)
                };
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "the ledger waits; events stay in their streams");
                }
                failing = true;
                pause = LONG_PAUSE;
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Archive {
    store: Store,
    redis: RedisLink,
    segments: Segments,
    /// Each with its round's end.
    outboxes: Vec<(Segment, u64)>,
    /// Of the catalogue that they were taken from.
    version: Option<Option<String>>,
    next_claim: Instant,
}

impl Archive {
    /// Looks once at every outbox; tells whether there was something. One that
    /// fails does not keep the others from being archived.
    async fn look(&mut self) -> Result<bool, LedgerError> {
        self.find_outboxes().await?;
        let claim = Instant::now() >= self.next_claim;
        if claim {
            self.next_claim = Instant::now() + HOLD;
        }
        let now = now_ms();
        let (mut found, mut outcome) = (false, Ok(()));
        let mut moved_away = false;
        for (segment, ends_ms) in &self.outboxes {
            if !claim && now > ends_ms.saturating_add(COOLING_MS) {
                continue;
            }
            match self.archive(segment, claim).await {
                Ok(some) => found |= some,
                Err(LedgerError::Redis(RedisLinkError::Refused(error)))
                    if error.code() == Some("NOGROUP") =>
                {
                    moved_away = true;
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        if moved_away {
            // Somebody emptied Redis: the groups are made again.
            self.version = None;
        }
        outcome.map(|()| found)
    }

    /// Follows the catalogue, and makes the group where there is none.
    async fn find_outboxes(&mut self) -> Result<(), LedgerError> {
        let mut conn = self.redis.conn().await?;
        let version = Some(catalogue::version(&mut conn).await?);
        if self.version == version {
            return Ok(());
        }
        let products = catalogue::read(&mut conn).await?;
        let mut outboxes = Vec::new();
        for (item, entry) in &products {
            for segment in Segment::all(item, entry) {
                let mut conn = self.segments.conn(item, segment.number).await?;
                match create_group(&mut conn, &segment).await {
                    Ok(()) => outboxes.push((segment, entry.window.ends_ms)),
                    Err(error) => {
                        tracing::error!(%segment, %error, "the events of a segment cannot be read");
                    }
                }
            }
        }
        self.outboxes = outboxes;
        self.version = version;
        Ok(())
    }

    async fn archive(&self, segment: &Segment, claim: bool) -> Result<bool, LedgerError> {
        let Segment { item, number } = segment;
        let mut conn = self.segments.conn(item, *number).await?;
        let key = keys::outbox(item, *number);
        let mut entries = fresh(&mut conn, &key).await?;
        if claim {
            entries.extend(abandoned(&mut conn, &key).await?);
        }
        if !entries.is_empty() {
            let events: Vec<Event> = entries.iter().filter_map(event).collect();
            self.store.archive(item, *number, &events, now_ms()).await?;
            let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
            redis::cmd("XACK")
                .arg(&key)
                .arg(GROUP)
                .arg(ids)
                .exec_async(&mut conn)
                .await?;
        }
        if claim || !entries.is_empty() {
            trim(&mut conn, &key).await?;
        }
        Ok(!entries.is_empty())
    }
}

/// Takes out of an outbox what relay and archive are both done with.
///
/// # Errors
/// Redis is away or refuses; the next call does it.
pub async fn trim(conn: &mut MultiplexedConnection, outbox: &str) -> RedisResult<u64> {
    scripts::stock::trim(outbox, &ALL_GROUPS).run(conn).await
}

async fn create_group(conn: &mut MultiplexedConnection, segment: &Segment) -> RedisResult<()> {
    let mut create = redis::cmd("XGROUP");
    create
        .arg("CREATE")
        .arg(keys::outbox(&segment.item, segment.number))
        .arg(GROUP)
        .arg("0")
        .arg("MKSTREAM");
    match create.exec_async(conn).await {
        Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
        _ => Ok(()),
    }
}

async fn fresh(conn: &mut MultiplexedConnection, key: &str) -> RedisResult<Vec<StreamId>> {
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg(GROUP).arg(CONSUMER);
    read.arg("COUNT")
        .arg(BATCH)
        .arg("STREAMS")
        .arg(key)
        .arg(">");
    let reply: Option<StreamReadReply> = read.query_async(conn).await?;
    let keys = reply.map(|reply| reply.keys).unwrap_or_default();
    Ok(keys.into_iter().flat_map(|key| key.ids).collect())
}

async fn abandoned(conn: &mut MultiplexedConnection, key: &str) -> RedisResult<Vec<StreamId>> {
    let mut claim = redis::cmd("XAUTOCLAIM");
    claim.arg(key).arg(GROUP).arg(CONSUMER);
    claim
        .arg(HOLD.as_millis() as u64)
        .arg("0")
        .arg("COUNT")
        .arg(BATCH);
    let reply: StreamAutoClaimReply = claim.query_async(conn).await?;
    Ok(reply.claimed)
}

/// An entry as an event; what is no text reads as empty.
pub(crate) fn event(entry: &StreamId) -> Option<Event> {
    let fields: BTreeMap<String, String> = entry
        .map
        .keys()
        .map(|name| (name.clone(), entry.get::<String>(name).unwrap_or_default()))
        .collect();
    Some(Event {
        id: EntryId::parse(&entry.id)?,
        fields,
    })
}
