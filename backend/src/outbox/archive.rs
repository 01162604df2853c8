//! Archives every event of every segment in the database.
//!
//! Its consumer group reads the outboxes beside the relay's. An event is acknowledged
//! after it is in the database, and deleted from its stream when both groups have
//! acknowledged it (`lua/stock/trim.lua`). So the archive and the streams together
//! hold the whole ledger, at any moment.
//!
//! A segment's events are archived in their order (`lua/stock/take.lua`), also after the
//! database was away: what the archive has of a segment never lacks an event in the
//! middle. Should Redis be lost, or a backup be restored, the segment is healed from it
//! without a person.

use std::collections::HashSet;
use std::time::Duration;

use seckill_core::stock::ledger::Event;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::event;
use super::reader::{ARCHIVE, Outbox, OutboxReader, ReadError};
use crate::now_ms;
use crate::redis::RedisLink;
use crate::redis::segments::{Segment, Segments};
use crate::store::{Store, StoreError};
use crate::time::periodic::Passes;

/// Pause after a pass that found nothing; it doubles up to [`LONG_PAUSE`].
const PAUSE: Duration = Duration::from_millis(50);
/// Longest pause, and so how far the archive may be behind.
const LONG_PAUSE: Duration = Duration::from_millis(800);

/// Why events are not being archived.
#[derive(Debug, thiserror::Error)]
enum ArchiveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Archives until `stop`. Several may run: one of them has a segment's next events, the
/// others wait until it is done or has had them for too long. Archiving an event twice
/// changes nothing.
pub async fn run(store: Store, redis: RedisLink, segments: Segments, stop: CancellationToken) {
    let mut parts = JoinSet::new();
    for part in segments.parts() {
        let archive = Archive {
            store: store.clone(),
            redis: redis.clone(),
            reader: OutboxReader::new(ARCHIVE, segments.clone(), part),
            unfinished: HashSet::new(),
        };
        parts.spawn(archive.run(stop.clone()));
    }
    parts.join_all().await;
}

struct Archive {
    store: Store,
    /// The main Redis, for the catalogue.
    redis: RedisLink,
    reader: OutboxReader,
    /// The outboxes of which events were read and could not be archived.
    unfinished: HashSet<String>,
}

impl Archive {
    async fn run(mut self, stop: CancellationToken) {
        let waiting = "events wait in their outboxes to be archived";
        let mut passes = Passes::new(stop, waiting, LONG_PAUSE);
        let mut pause = PAUSE;
        while passes.go_on() {
            let outcome = self.pass().await.map(|found| {
                pause = match found {
                    true => PAUSE,
                    false => (pause * 2).min(LONG_PAUSE),
                };
                pause
            });
            passes.pause_after(outcome).await;
        }
    }

    /// Reads every outbox once; returns whether there was an event. One that fails does
    /// not keep the others from being archived.
    async fn pass(&mut self) -> Result<bool, ArchiveError> {
        self.reader.follow(&self.redis).await?;
        let due = self.reader.due();
        let (mut found, mut outcome) = (false, Ok(()));
        for outbox in &due.outboxes {
            match self.archive(outbox, due.claim).await {
                Ok(some) => found |= some,
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome.map(|()| found)
    }

    async fn archive(&mut self, outbox: &Outbox, trim: bool) -> Result<bool, ArchiveError> {
        let mine = self.unfinished.contains(&outbox.key);
        let entries = self.reader.next_in_order(outbox, mine).await?;
        if entries.is_empty() {
            self.unfinished.remove(&outbox.key);
            if trim {
                self.reader.trim(outbox).await?;
            }
            return Ok(false);
        }
        if !mine {
            self.unfinished.insert(outbox.key.clone());
        }
        let Segment { item, number } = &outbox.segment;
        let events: Vec<Event> = entries.iter().filter_map(event::of_ledger).collect();
        self.store.archive(item, *number, &events, now_ms()).await?;
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        self.reader.acknowledge(outbox, &ids).await?;
        self.unfinished.remove(&outbox.key);
        Ok(true)
    }
}
