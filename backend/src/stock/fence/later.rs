//! Compares with the archive, as soon as the database responds, what could not be compared
//! when its connection was checked.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use seckill_core::keys;
use seckill_core::stock::ledger::EntryId;
use tokio::time::timeout;

use super::lost::Lacks;
use super::{Behind, Fence, last_event};
use crate::redis::segments::Segment;
use crate::redis::{RedisLink, RedisLinkError};
use crate::store::StoreError;

/// Pause between two tries to read the archive.
const PAUSE: Duration = Duration::from_millis(500);
/// How long each may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A segment that could not be compared with the archive.
#[derive(Debug, Clone)]
pub(super) struct Unread {
    pub segment: Segment,
    /// Its last event.
    pub has: EntryId,
    /// When it was read, by its master's clock, in ms: what is older than that and behind
    /// its last event, it has forgotten.
    pub at_ms: u64,
    /// Events of this process's sales that it did not have then, and that are forgotten unless
    /// the archive has them.
    pub replaced: Vec<EntryId>,
}

/// Why a segment is not compared with the archive yet.
#[derive(Debug, thiserror::Error)]
enum LaterError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
}

impl Fence {
    /// Keeps what could not be compared with the archive; the first one starts a task.
    pub(super) fn keep(&self, unread: Vec<Unread>) {
        if unread.is_empty() {
            return;
        }
        let mut waiting = self.unread();
        let is_idle = waiting.is_empty();
        for mut unread in unread {
            // This look includes an earlier one with the same last event, but for sales that
            // are not remembered any more.
            waiting.retain(|it| {
                let is_included = (&it.segment, it.has) == (&unread.segment, unread.has);
                if is_included {
                    unread.replaced.extend(&it.replaced);
                }
                !is_included
            });
            waiting.push(unread);
        }
        if let Some(own) = self.own.upgrade().filter(|_| is_idle) {
            tokio::spawn(async move { own.compare_later().await });
        }
    }

    async fn compare_later(&self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let waiting = self.unread().clone();
            for unread in waiting {
                let Ok(compared) = timeout(PATIENCE, self.compare(&unread)).await else {
                    break;
                };
                let done = match compared {
                    Ok(behind) => self.halt_later(behind).await,
                    Err(error) => Err(error),
                };
                match done {
                    Ok(()) => self.unread().retain(|it| !it.is_same(&unread)),
                    // It stays, and is compared at the next turn.
                    Err(error) => tracing::debug!(%error, "not compared yet"),
                }
            }
            // The next one starts another task.
            if self.unread().is_empty() {
                return;
            }
        }
    }

    async fn halt_later(&self, behind: Option<Behind>) -> Result<(), LaterError> {
        if let Some(behind) = behind {
            let link = self.home(&behind.segment).await?;
            let _alone = self.products.lock().await;
            self.halt(&link, &[behind]).await?;
        }
        Ok(())
    }

    /// The master that holds the segment by now.
    async fn home(&self, Segment { item, number }: &Segment) -> Result<RedisLink, RedisLinkError> {
        self.segments.link(item, *number).await
    }

    /// Whether the segment is behind the archive. What was sold since it was read has newer
    /// events; so an event of the archive between the last one that it had then and that
    /// moment is one that it has forgotten. So is one that is newer than all of its events:
    /// the clock of a new master may be behind that of the one before.
    async fn compare(&self, unread: &Unread) -> Result<Option<Behind>, LaterError> {
        let Segment { item, number } = &unread.segment;
        let store = self.store.get().await?;
        let known = store.last_archived_before(item, *number, unread.at_ms);
        let behind = |has, lacks| Behind {
            segment: unread.segment.clone(),
            has,
            lacks,
        };
        if let Some(known) = known.await?.filter(|known| *known > unread.has) {
            return Ok(Some(behind(unread.has, Lacks::Newer(known))));
        }
        let newest = store.last_archived(item, *number).await?;
        let mut conn = self.home(&unread.segment).await?.conn_unguarded().await?;
        let mut read = redis::cmd("XINFO");
        read.arg("STREAM").arg(keys::outbox(item, *number));
        let has = last_event(read.query_async(&mut conn).await).map_err(RedisLinkError::from)?;
        if let Some(known) = newest.filter(|known| *known > has) {
            return Ok(Some(behind(has, Lacks::Newer(known))));
        }
        let replaced = self.unarchived(&unread.segment, &unread.replaced).await?;
        Ok(replaced.map(|event| behind(has, Lacks::Purchase(event))))
    }

    fn unread(&self) -> MutexGuard<'_, Vec<Unread>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unread {
    fn is_same(&self, other: &Self) -> bool {
        (&self.segment, self.has, self.at_ms) == (&other.segment, other.has, other.at_ms)
    }
}
