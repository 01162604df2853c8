//! Fences a segment whose Redis knows less than somebody else does.
//!
//! A Redis that comes back older (a snapshot was restored, a stale replica promoted, a
//! second of the append-only file lost) is consistent in itself, and would sell a second
//! time what was sold since. So every new connection to a master is checked before
//! anything is done by it: the last event of each of its segments is compared with the
//! last one that the archive has, and with the last one of this process's purchases; and its
//! records with what this process sold and moved, since others may have sold from the older
//! Redis before. A segment that is behind is halted, by a field of its stock that every
//! script heeds.
//!
//! What this process sold and the segment has forgotten goes into the journal, so that
//! it is made again once the segment is healed (`inspect/heal.rs`).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use redis::streams::StreamInfoStreamReply;
use redis::{FromRedisValue as _, RedisResult, Value};
use seckill_core::journal::request::Request;
use seckill_core::keys;
use seckill_core::stock::ledger::EntryId;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::now_ms;
use crate::redis::segments::{Segment, Segments};
use crate::redis::{Admission, Guard, RedisLink, RedisLinkError, scripts};
use crate::sale::catalogue::{self, Products};
use crate::stock::journal::Journal;
use crate::store::{LazyStore, StoreError};

/// What is compared with the archive when the database responds again.
mod later;
/// What a segment has forgotten of this process's sales.
mod lost;
/// What this process sold lately.
mod sold;

use later::Unread;
use lost::{Forgot, Lacks};
use sold::Sold;

/// Longest wait for the archive: a database that hangs must not keep a Redis that is
/// well from selling. It is compared as soon as the database answers.
const ARCHIVE_PATIENCE: Duration = Duration::from_secs(1);
/// Streams whose last events are read at once: all replies have one time limit.
const STREAMS: usize = 250;
/// How often a master that is away is tried again while nobody buys.
const FOLLOW: Duration = Duration::from_millis(250);
/// For how long after its round's end a segment is compared, in ms.
const COOLING_MS: u64 = 86_400_000;

/// Checks connections before anything is sold by them.
#[derive(Debug)]
pub struct Fence {
    /// The main Redis, for the catalogue.
    main: RedisLink,
    segments: Segments,
    store: LazyStore,
    /// Takes what a Redis has forgotten of this process's sales.
    forgotten: Option<Journal>,
    sold: Sold,
    /// Segments that this process halted, until it sells from them again.
    halted: RwLock<HashSet<Segment>>,
    /// What was on sale when it was last read; held while a connection is checked or a
    /// segment halted, so that it is done once.
    products: Arc<tokio::sync::Mutex<Products>>,
    /// What waits to be compared with the archive; while there is something, a task tries.
    unread: Mutex<Vec<Unread>>,
    /// This fence, for that task.
    own: Weak<Self>,
}

/// Before the first event.
const NONE: EntryId = EntryId { ms: 0, seq: 0 };

/// What the check of a connection found.
#[derive(Debug, Default)]
struct Check {
    /// Segments that are behind.
    behind: Vec<Behind>,
    /// Segments that could not be compared with the archive.
    unread: Vec<Unread>,
}

/// A segment whose Redis has forgotten events.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Behind {
    segment: Segment,
    /// Its last event.
    has: EntryId,
    lacks: Lacks,
}

impl Fence {
    /// Lets no connection to these masters be used before it was checked, in this
    /// process, and connects by itself to those of what it sold lately. What they have
    /// forgotten of its sales goes into the journal `forgotten`.
    #[must_use]
    pub fn around(
        main: RedisLink,
        segments: Segments,
        store: LazyStore,
        forgotten: Option<Journal>,
    ) -> Arc<Self> {
        let fence = Arc::new_cyclic(|own| Self {
            main,
            segments: segments.clone(),
            store,
            forgotten,
            sold: Sold::default(),
            halted: RwLock::default(),
            products: Arc::default(),
            unread: Mutex::default(),
            own: own.clone(),
        });
        segments.guard(&(Arc::clone(&fence) as Arc<dyn Guard>));
        tokio::spawn(follow(Arc::downgrade(&fence)));
        fence
    }

    /// Notes a purchase that this process made: its event, and what would make it again.
    /// `products` is the catalogue, if it is at hand: what has left it is forgotten.
    pub fn note(
        &self,
        segment: &Segment,
        event: EntryId,
        request: Request,
        products: Option<&Products>,
    ) {
        let made = (segment, event);
        self.sold.note(made, request, products, now_ms());
        if self.is_halted(segment) {
            let mut halted = self.halted.write().unwrap_or_else(PoisonError::into_inner);
            halted.remove(segment);
        }
    }

    fn note_halted(&self, segment: &Segment) {
        let mut halted = self.halted.write().unwrap_or_else(PoisonError::into_inner);
        halted.insert(segment.clone());
    }

    /// Forgets what was halted of rounds that have left the catalogue: they sell no more.
    fn forget_halted(&self, products: &Products) {
        let mut halted = self.halted.write().unwrap_or_else(PoisonError::into_inner);
        halted.retain(|segment| products.contains_key(&segment.item));
    }

    /// Whether this process halted a segment, and has sold nothing from it since.
    #[must_use]
    pub fn is_halted(&self, segment: &Segment) -> bool {
        let halted = self.halted.read().unwrap_or_else(PoisonError::into_inner);
        halted.contains(segment)
    }

    /// Compares the segments on this master with the archive and with what this process
    /// sold.
    async fn check(
        &self,
        link: &RedisLink,
        products: &mut Products,
    ) -> Result<Check, RedisLinkError> {
        if let Ok(mut conn) = self.main.conn_unguarded().await {
            let read = catalogue::read(&mut conn).await?;
            // An empty one has been lost; what it held is compared all the same.
            if !read.is_empty() {
                *products = read;
                self.forget_halted(products);
            }
        }
        let here = self.segments_on(link, products).await?;
        if here.is_empty() {
            return Ok(Check::default());
        }
        // What others know is read first: others sell meanwhile, and what Redis says must not
        // be older than that.
        let deadline = Instant::now() + ARCHIVE_PATIENCE;
        let archived = self.archived(&here, deadline).await;
        let sold: Vec<Option<EntryId>> = here.iter().map(|it| self.sold.last(it)).collect();
        let mut conn = link.conn_unguarded().await?;
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut conn).await?;
        let mut replies: Vec<RedisResult<Value>> = Vec::with_capacity(here.len());
        for some in here.chunks(STREAMS) {
            let mut pipe = redis::Pipeline::with_capacity(some.len());
            for segment in some {
                pipe.cmd("XINFO")
                    .arg("STREAM")
                    .arg(keys::outbox(&segment.item, segment.number));
            }
            let some: Vec<_> = pipe.ignore_errors().query_async(&mut conn).await?;
            replies.extend(some);
        }
        let at_ms = seconds * 1000 + micros / 1000;
        let mut check = Check::default();
        for ((segment, sold), reply) in here.into_iter().zip(sold).zip(replies) {
            let has = last_event(reply)?;
            let in_archive = archived.get(&segment).copied();
            let newer = in_archive.flatten().max(sold).filter(|known| *known > has);
            // The archive is asked again only if it has answered.
            let until = in_archive.map(|_| deadline);
            let forgot = match newer {
                Some(known) => Forgot::This(Lacks::Newer(known)),
                None => self.forgot(&mut conn, &segment, until).await?,
            };
            let unread = |replaced| Unread {
                segment: segment.clone(),
                has,
                at_ms,
                replaced,
            };
            match forgot {
                Forgot::This(lacks) => check.behind.push(Behind {
                    segment,
                    has,
                    lacks,
                }),
                Forgot::Unknown(replaced) => check.unread.push(unread(replaced)),
                Forgot::Nothing if in_archive.is_none() => check.unread.push(unread(Vec::new())),
                Forgot::Nothing => {}
            }
        }
        Ok(check)
    }

    /// The segments on this master that may have sold something.
    async fn segments_on(
        &self,
        link: &RedisLink,
        products: &Products,
    ) -> Result<Vec<Segment>, RedisLinkError> {
        let now_ms = now_ms();
        let mut here = Vec::new();
        let mut known = HashSet::new();
        for (item, entry) in products {
            let window = entry.window;
            if window.opens_ms > now_ms || window.ends_ms.saturating_add(COOLING_MS) < now_ms {
                continue;
            }
            for segment in Segment::all(item, entry) {
                let home = self.segments.link(item, segment.number).await?;
                if home.is_same(link) {
                    known.insert(segment.clone());
                    here.push(segment);
                }
            }
        }
        // The catalogue may have come after the connection before, and be lost with this
        // Redis: what this process sold itself it knows without it.
        for segment in self.sold.recent(now_ms) {
            let home = self.segments.link(&segment.item, segment.number).await?;
            if home.is_same(link) && !known.contains(&segment) {
                here.push(segment);
            }
        }
        Ok(here)
    }

    /// The last event of each segment that the archive has, of those that can be read until
    /// then.
    async fn archived(
        &self,
        segments: &[Segment],
        deadline: Instant,
    ) -> HashMap<Segment, Option<EntryId>> {
        let mut last = HashMap::with_capacity(segments.len());
        let read = async {
            let store = self.store.get().await?;
            for segment in segments {
                let id = store.last_archived(&segment.item, segment.number).await?;
                last.insert(segment.clone(), id);
            }
            Ok::<_, StoreError>(())
        };
        let read = timeout_at(deadline, read).await;
        let (segments, read_in_time) = (segments.len(), last.len());
        match read {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, segments, read_in_time, "Redis is compared with what this process sold, and with the archive later: it cannot be read");
            }
            Err(_) => {
                tracing::warn!(
                    segments,
                    read_in_time,
                    "Redis is compared with what this process sold, and with the rest of the archive later: the database takes more than {ARCHIVE_PATIENCE:?}"
                );
            }
        }
        last
    }

    /// Halts segments, and then keeps what they have forgotten of this process's sales.
    /// Whatever fails, the others are halted, since others may sell meanwhile; the first
    /// failure is returned.
    async fn halt(&self, link: &RedisLink, behind: &[Behind]) -> Result<(), RedisLinkError> {
        let mut conn = link.conn_unguarded().await?;
        let mut failed = Ok(());
        for Behind {
            segment,
            has,
            lacks,
        } in behind
        {
            let reason = format!("behind|{has}|{lacks}");
            let halt = scripts::stock::halt(&segment.item, segment.number, &reason);
            failed = failed.and(halt.run(&mut conn).await.map(|_| ()));
            tracing::error!(
                %segment, master = link.address(), last_event = %has, %lacks,
                "this Redis is older than what was sold from it: the segment is halted until it is healed"
            );
            self.note_halted(segment);
        }
        failed?;
        self.keep_lost(&mut conn, behind).await
    }

    /// Checks a connection; `products` is what was on sale when it was last read.
    async fn examine(
        &self,
        link: &RedisLink,
        life: u64,
        products: &mut Products,
    ) -> Result<(), RedisLinkError> {
        let check = self.check(link, products).await?;
        if !check.behind.is_empty() {
            self.halt(link, &check.behind).await?;
        }
        link.clear(life);
        self.keep(check.unread);
        Ok(())
    }
}

impl Guard for Fence {
    fn learn(&self, segment: &Segment, transfer: &str) {
        self.sold.learn(segment, transfer, now_ms());
    }

    fn admit<'a>(&'a self, link: &'a RedisLink, life: u64) -> Admission<'a> {
        Box::pin(async move {
            let ended = |reason: String| RedisLinkError::Away {
                address: link.address().to_owned(),
                reason,
            };
            let mut products = Arc::clone(&self.products).lock_owned().await;
            if link.is_cleared(life) {
                return Ok(());
            }
            let Some(own) = self.own.upgrade() else {
                return Err(ended("this process ends".to_owned()));
            };
            // In a task of its own: whoever asks for the connection may leave, and with a
            // request that is dropped half of what was forgotten would be.
            let checked = link.clone();
            let check = async move { own.examine(&checked, life, &mut products).await };
            match tokio::spawn(check).await {
                Ok(checked) => checked,
                Err(error) => Err(ended(format!("its check ended: {error}"))),
            }
        })
    }
}

/// Connects again to the masters of what this process sold lately, also while nobody buys:
/// what they have forgotten must be in the journal before they are healed, a second later
/// (`inspect/heal.rs`).
async fn follow(fence: Weak<Fence>) {
    while let Some(fence) = fence.upgrade() {
        let sold = fence.sold.recent(now_ms());
        let masters = fence.segments.by_master(sold, |it| (&it.item, it.number));
        let mut connects = JoinSet::new();
        for (link, _) in masters.await.unwrap_or_default() {
            // One that is away is tried again.
            connects.spawn(async move { link.conn().await.is_ok() });
        }
        drop(fence);
        connects.join_all().await;
        tokio::time::sleep(FOLLOW).await;
    }
}

/// The id of a stream's last event; 0-0 if there is no stream.
///
/// # Errors
/// Redis refuses to say, as while it loads its files: that is no stream that is missing.
fn last_event(reply: RedisResult<Value>) -> RedisResult<EntryId> {
    match reply {
        Ok(value) => {
            let info = StreamInfoStreamReply::from_redis_value(value)?;
            Ok(EntryId::parse(&info.last_generated_id).unwrap_or(NONE))
        }
        Err(error) if error.to_string().contains("no such key") => Ok(NONE),
        Err(error) => Err(error),
    }
}
