//! Compares with the archive, as soon as the database responds, what could not be compared
//! when its connection was checked.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use seckill_core::stock::ledger::EntryId;
use tokio::time::timeout;

use super::{ARCHIVE_PATIENCE, Behind, Fence, Missing};
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
    pub link: RedisLink,
    pub segment: Segment,
    /// Its last event.
    pub has: EntryId,
    /// An event of this process that it does not have.
    pub missing: Option<Missing>,
    /// When it was read, by its master's clock, in ms: what is older than that and behind
    /// its last event, it has forgotten.
    pub at_ms: u64,
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
    /// Compares at once, if the database responds: whether the segment is behind.
    pub(super) async fn compare_soon(&self, unread: &Unread) -> Option<Option<Behind>> {
        let compared = timeout(ARCHIVE_PATIENCE, self.compare(unread)).await;
        compared.ok()?.ok()
    }

    /// Keeps what could not be compared with the archive; the first one starts a task.
    pub(super) fn keep(&self, unread: Vec<Unread>) {
        if unread.is_empty() {
            return;
        }
        let mut waiting = self.unread();
        let is_idle = waiting.is_empty();
        for unread in unread {
            // Nothing was sold from it since an earlier look.
            if !waiting.iter().any(|it| it.is_like(&unread)) {
                waiting.push(unread);
            }
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
                match timeout(PATIENCE, self.halt_if_behind(&unread)).await {
                    Ok(Ok(())) => self.unread().retain(|it| !it.is_like(&unread)),
                    // It stays, and is compared at the next turn.
                    Ok(Err(error)) => tracing::debug!(%error, "not compared yet"),
                    Err(_) => break,
                }
            }
            // The next one starts another task.
            if self.unread().is_empty() {
                return;
            }
        }
    }

    async fn halt_if_behind(&self, unread: &Unread) -> Result<(), LaterError> {
        if let Some(behind) = self.compare(unread).await? {
            let _alone = self.products.lock().await;
            self.halt(&unread.link, &behind).await?;
        }
        Ok(())
    }

    /// Whether the segment is behind the archive, or has forgotten what is missing. What was
    /// sold since it was read has newer events; so an event of the archive between the last
    /// one that it had then and that moment is one that it has forgotten.
    async fn compare(&self, unread: &Unread) -> Result<Option<Behind>, StoreError> {
        let Segment { item, number } = &unread.segment;
        let store = self.store.get().await?;
        let known = store.last_archived_before(item, *number, unread.at_ms);
        if let Some(known) = known.await?.filter(|known| *known > unread.has) {
            return Ok(Some(Behind {
                segment: unread.segment.clone(),
                has: unread.has,
                known,
            }));
        }
        let Some(missing) = unread.missing else {
            return Ok(None);
        };
        let before_ms = missing.own.ms.saturating_add(1);
        let archived = store.last_archived_before(item, *number, before_ms).await?;
        Ok(missing.behind(&unread.segment, archived))
    }

    fn unread(&self) -> MutexGuard<'_, Vec<Unread>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unread {
    fn is_like(&self, other: &Self) -> bool {
        (&self.segment, self.has, self.missing) == (&other.segment, other.has, other.missing)
    }
}
