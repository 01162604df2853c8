//! Fences a segment whose Redis knows less than somebody else does.
//!
//! A Redis that comes back older (a snapshot was restored, a stale replica promoted, a
//! second of the append-only file lost) is consistent in itself, and would sell a second
//! time what was sold since. So every new connection to a master is checked before
//! anything is done by it: the last event of each of its segments is compared with the
//! last one that the archive has, and with the last one that this process caused. A
//! segment that is behind is halted, by a field of its stock that every script heeds.
//!
//! What this process sold and the segment has forgotten goes into the journal, so that
//! it is made again once the segment is healed (`inspect/heal.rs`).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::streams::StreamInfoStreamReply;
use redis::{FromRedisValue as _, RedisResult, Value};
use seckill_core::journal::request::Request;
use seckill_core::keys;
use seckill_core::stock::ledger::EntryId;
use tokio::time::timeout;

use crate::now_ms;
use crate::redis::segments::{Segment, Segments};
use crate::redis::{Admission, Guard, RedisLink, RedisLinkError, scripts};
use crate::sale::catalogue::{self, Products};
use crate::stock::journal::Journal;
use crate::store::{LazyStore, StoreError};

/// What this process sold lately.
mod sold;

use sold::Sold;

/// Longest wait for the archive: a database that hangs must not keep a Redis that is
/// well from selling.
const ARCHIVE_PATIENCE: Duration = Duration::from_secs(1);
/// For how long after its round's end a segment is compared, in ms.
const COOLING_MS: u64 = 86_400_000;

/// Checks connections before anything is sold by them.
#[derive(Debug)]
pub struct Fence {
    /// The main Redis, for the catalogue.
    main: RedisLink,
    segments: Segments,
    store: LazyStore,
    journal: Option<Journal>,
    sold: Sold,
    /// Segments that this process halted, until it sells from them again.
    halted: RwLock<HashSet<Segment>>,
    /// What was on sale when it was last read; held while a connection is checked, so
    /// that it is checked once.
    products: tokio::sync::Mutex<Products>,
}

/// A segment whose Redis has forgotten events.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Behind {
    segment: Segment,
    /// Its last event.
    has: EntryId,
    /// The last event that somebody else knows.
    known: EntryId,
}

impl Fence {
    /// Lets no connection to these masters be used before it was checked, in this
    /// process. What they have forgotten of its sales goes into `journal`.
    #[must_use]
    pub fn around(
        main: RedisLink,
        segments: Segments,
        store: LazyStore,
        journal: Option<Journal>,
    ) -> Arc<Self> {
        let fence = Arc::new(Self {
            main,
            segments: segments.clone(),
            store,
            journal,
            sold: Sold::default(),
            halted: RwLock::default(),
            products: tokio::sync::Mutex::default(),
        });
        segments.guard(&(Arc::clone(&fence) as Arc<dyn Guard>));
        fence
    }

    /// Notes a purchase that this process made: its event, and what would make it again.
    pub fn note(&self, segment: &Segment, event: EntryId, request: Request) {
        self.sold.note(segment, event, request, now_ms());
        if self.is_halted(segment) {
            let mut halted = self.halted.write().unwrap_or_else(PoisonError::into_inner);
            halted.remove(segment);
        }
    }

    fn note_halted(&self, segment: &Segment) {
        let mut halted = self.halted.write().unwrap_or_else(PoisonError::into_inner);
        halted.insert(segment.clone());
    }

    /// Whether this process halted a segment, and has sold nothing from it since.
    #[must_use]
    pub fn is_halted(&self, segment: &Segment) -> bool {
        let halted = self.halted.read().unwrap_or_else(PoisonError::into_inner);
        halted.contains(segment)
    }

    /// The segments on this master that are behind.
    async fn check(
        &self,
        link: &RedisLink,
        products: &mut Products,
    ) -> Result<Vec<Behind>, RedisLinkError> {
        if let Ok(mut conn) = self.main.conn_unguarded().await {
            let read = catalogue::read(&mut conn).await?;
            // An empty one has been lost; what it held is compared all the same.
            if !read.is_empty() {
                *products = read;
            }
        }
        let here = self.segments_on(link, products).await?;
        if here.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = link.conn_unguarded().await?;
        let mut pipe = redis::Pipeline::with_capacity(here.len());
        for segment in &here {
            pipe.cmd("XINFO")
                .arg("STREAM")
                .arg(keys::outbox(&segment.item, segment.number));
        }
        let replies: Vec<RedisResult<Value>> = pipe.ignore_errors().query_async(&mut conn).await?;
        let mut archived = self.archived(&here).await;
        let mut behind = Vec::new();
        for (segment, reply) in here.into_iter().zip(replies) {
            let has = last_event(reply);
            let known = archived.remove(&segment).max(self.sold.last(&segment));
            if let Some(known) = known.filter(|known| *known > has) {
                behind.push(Behind {
                    segment,
                    has,
                    known,
                });
            }
        }
        Ok(behind)
    }

    /// The segments on this master that may have sold something.
    async fn segments_on(
        &self,
        link: &RedisLink,
        products: &Products,
    ) -> Result<Vec<Segment>, RedisLinkError> {
        let now_ms = now_ms();
        let mut here = Vec::new();
        for (item, entry) in products {
            let window = entry.window;
            if window.opens_ms > now_ms || window.ends_ms.saturating_add(COOLING_MS) < now_ms {
                continue;
            }
            for segment in Segment::all(item, entry) {
                let home = self.segments.link(item, segment.number).await?;
                if home.is_same(link) {
                    here.push(segment);
                }
            }
        }
        Ok(here)
    }

    /// The last event of each segment that the archive has.
    async fn archived(&self, segments: &[Segment]) -> HashMap<Segment, EntryId> {
        let read = async {
            let store = self.store.get().await?;
            let mut last = HashMap::with_capacity(segments.len());
            for segment in segments {
                if let Some(id) = store.last_archived(&segment.item, segment.number).await? {
                    last.insert(segment.clone(), id);
                }
            }
            Ok::<_, StoreError>(last)
        };
        match timeout(ARCHIVE_PATIENCE, read).await {
            Ok(Ok(last)) => last,
            Ok(Err(error)) => {
                tracing::warn!(%error, "Redis is compared with what this process sold only: the archive cannot be read");
                HashMap::new()
            }
            Err(_) => {
                tracing::warn!(
                    "Redis is compared with what this process sold only: the database does not respond"
                );
                HashMap::new()
            }
        }
    }

    /// Halts a segment, and keeps what it has forgotten of this process's sales.
    async fn halt(&self, link: &RedisLink, behind: &Behind) -> Result<(), RedisLinkError> {
        let Behind {
            segment,
            has,
            known,
        } = behind;
        tracing::error!(
            %segment, master = link.address(), %has, %known,
            "this Redis is older than what was sold from it: the segment is halted until it is healed"
        );
        let mut conn = link.conn_unguarded().await?;
        let reason = format!("behind|{has}|{known}");
        scripts::stock::halt(&segment.item, segment.number, &reason)
            .run(&mut conn)
            .await?;
        self.note_halted(segment);
        let forgotten = self.sold.after(segment, *has);
        let Some(journal) = self.journal.as_ref().filter(|_| !forgotten.is_empty()) else {
            return Ok(());
        };
        let count = forgotten.len();
        for request in forgotten {
            if let Err(error) = journal.append(request).await {
                tracing::error!(%segment, %error, "a purchase that its Redis has forgotten is not made again");
            }
        }
        tracing::warn!(%segment, count, "what this process sold since is made again once the segment is healed");
        Ok(())
    }
}

impl Guard for Fence {
    fn admit<'a>(&'a self, link: &'a RedisLink, life: u64) -> Admission<'a> {
        Box::pin(async move {
            let mut products = self.products.lock().await;
            if link.is_cleared(life) {
                return Ok(());
            }
            for behind in self.check(link, &mut products).await? {
                self.halt(link, &behind).await?;
            }
            link.clear(life);
            Ok(())
        })
    }
}

/// The id of a stream's last event; 0-0 if there is no stream.
fn last_event(reply: RedisResult<Value>) -> EntryId {
    let info = reply.and_then(|value| Ok(StreamInfoStreamReply::from_redis_value(value)?));
    let last = info
        .ok()
        .and_then(|info| EntryId::parse(&info.last_generated_id));
    last.unwrap_or(EntryId { ms: 0, seq: 0 })
}
