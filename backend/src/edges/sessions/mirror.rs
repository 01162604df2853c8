//! The revoked sessions in the memory of a purchase role, at most a quarter of a second
//! behind. While Redis is away, they stay as they were last read; what is revoked here
//! meanwhile is in force here at once, and in Redis when it is back.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use seckill_core::Verdict;
use seckill_core::keys;
use seckill_core::shared::bans::Ban;
use seckill_core::shared::bans::listed;
use seckill_core::signing::revocation::{Mark, Marks};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Revocation, RevokeError, revoke};
use crate::metrics;
use crate::now_ms;
use crate::redis::{RedisLink, RedisLinkError};

/// How often the version is read.
const POLL: Duration = Duration::from_millis(250);
/// Entries read with one command.
const BATCH: u32 = 1_000;
/// How often what has ended is forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long after the start a request waits for the first reading.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most revocations that wait for Redis; further ones are the caller's to repeat.
const MOST_WAITING: usize = 10_000;

/// The cursor of the next batch, and entries of the list as fields and values.
type Batch = (u64, Vec<(String, String)>);
/// An entry of the stream: its id, and its fields as names and values in turn.
type Change = (String, Vec<String>);

/// A copy of the list.
#[derive(Debug, Clone)]
pub struct Mirror {
    shared: Arc<Shared>,
    was_read: watch::Receiver<bool>,
    begun: Instant,
    redis: RedisLink,
}

#[derive(Debug, Default)]
struct Shared {
    revoked: RwLock<Revoked>,
    waiting: Mutex<VecDeque<(Revocation, String)>>,
}

/// What is revoked, each with when it ends, epoch milliseconds.
#[derive(Debug, Default)]
struct Revoked {
    sessions: HashMap<Mark, u64>,
    /// Of each written id, the instant of its cut and when the cut is over.
    cuts: HashMap<Box<str>, (u64, u64)>,
}

impl Revoked {
    /// The later of two wins, as in Redis.
    fn put(&mut self, ban: Ban<'_>, until_ms: u64) {
        match ban {
            Ban::Session(mark) => {
                let until = self.sessions.entry(mark).or_default();
                *until = until_ms.max(*until);
            }
            Ban::SessionsOf { user, before_ms } => {
                let cut = self.cuts.entry(user.into()).or_default();
                *cut = (before_ms, until_ms).max(*cut);
            }
            Ban::Address(_) | Ban::User(_) => {}
        }
    }

    fn cut_of(&self, user: &str, now_ms: u64) -> Option<u64> {
        let (before_ms, until_ms) = self.cuts.get(user)?;
        (now_ms < *until_ms).then_some(*before_ms)
    }

    fn has(&self, user: &str, marks: &Marks, now_ms: u64) -> bool {
        let is_in_force = |mark: Mark| self.sessions.get(&mark).is_some_and(|at| now_ms < *at);
        let is_cut = |cut_ms| marks.is_before(cut_ms);
        marks.each().any(is_in_force) || self.cut_of(user, now_ms).is_some_and(is_cut)
    }

    fn sweep(&mut self, now_ms: u64) {
        self.sessions.retain(|_, until_ms| now_ms < *until_ms);
        self.cuts.retain(|_, (_, until_ms)| now_ms < *until_ms);
    }
}

impl Mirror {
    /// A copy that a task of its own keeps up to date, until the last clone is
    /// dropped. Must be called inside a runtime.
    #[must_use]
    pub fn following(redis: RedisLink) -> Self {
        let shared = Arc::new(Shared::default());
        let (told, was_read) = watch::channel(false);
        let mirrored = Arc::downgrade(&shared);
        let link = redis.clone();
        tokio::spawn(async move {
            let (mut held, mut swept, mut is_failing) = (None, Instant::now(), false);
            while let Some(shared) = mirrored.upgrade() {
                match shared.update(&link, &mut held).await {
                    Ok(()) => {
                        is_failing = false;
                        told.send_if_modified(|was_read| !std::mem::replace(was_read, true));
                    }
                    Err(error) if !std::mem::replace(&mut is_failing, true) => {
                        tracing::warn!(%error, "the revoked sessions cannot be read; those known stay refused");
                    }
                    Err(_) => {}
                }
                if swept.elapsed() >= SWEEP_EVERY {
                    shared.write(|revoked| revoked.sweep(now_ms()));
                    swept = Instant::now();
                }
                drop(shared);
                tokio::time::sleep(POLL).await;
            }
        });
        Self {
            shared,
            was_read,
            begun: Instant::now(),
            redis,
        }
    }

    /// Waits until the list was read once, in the first moment after the start.
    pub async fn read_once(&self) {
        let mut was_read = self.was_read.clone();
        // Without it nobody is refused: shoppers stay logged in while Redis is away.
        let read = was_read.wait_for(|was_read| *was_read);
        let _ = timeout_at(self.begun + PATIENCE, read).await;
    }

    /// Whether the list was read once.
    #[must_use]
    pub fn was_read(&self) -> bool {
        *self.was_read.borrow()
    }

    /// Refuses a verified session or token of this user's that is known to be revoked;
    /// before the list was read once, only what was revoked here.
    ///
    /// # Errors
    /// [`Verdict::LoginRequired`].
    pub fn check(&self, user: &str, marks: &Marks, now_ms: u64) -> Result<(), Verdict> {
        if self.read(|revoked| revoked.has(user, marks, now_ms)) {
            metrics::REVOKED_REFUSED.count();
            return Err(Verdict::LoginRequired);
        }
        Ok(())
    }

    /// When a session that begins now is to say that it was issued: not before a cut that
    /// another machine made, whose clock is ahead.
    #[must_use]
    pub fn issued_ms(&self, user: &str, now_ms: u64) -> u64 {
        self.read(|revoked| revoked.cut_of(user, now_ms))
            .map_or(now_ms, |cut_ms| now_ms.max(cut_ms))
    }

    /// Revokes, here at once.
    ///
    /// # Errors
    /// As for [`revoke`]; it stays in force here all the same.
    pub async fn revoke(&self, revocation: &Revocation, by: &str) -> Result<(), RevokeError> {
        self.shared
            .write(|revoked| revoked.put(revocation.ban(), revocation.until_ms));
        let mut conn = self.redis.conn().await?;
        revoke(&mut conn, revocation, by, now_ms()).await
    }

    /// The same for whoever cannot repeat it: if Redis is away, it follows later. Returns
    /// whether it is in Redis, or will be.
    pub async fn revoke_surely(&self, revocation: Revocation, by: &str) -> bool {
        let Err(error) = self.revoke(&revocation, by).await else {
            return true;
        };
        let waits = matches!(error, RevokeError::Redis(_)) && self.shared.wait(revocation, by);
        if !waits {
            tracing::error!(%error, "a session that was logged out is not revoked");
        }
        waits
    }

    fn read<T>(&self, see: impl FnOnce(&Revoked) -> T) -> T {
        let revoked = &self.shared.revoked;
        see(&revoked.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn write(&self, change: impl FnOnce(&mut Revoked)) {
        change(&mut self.revoked.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn wait(&self, revocation: Revocation, by: &str) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = waiting.len() < MOST_WAITING;
        if has_room {
            waiting.push_back((revocation, by.to_owned()));
        }
        has_room
    }

    async fn update(
        &self,
        redis: &RedisLink,
        held: &mut Option<String>,
    ) -> Result<(), RedisLinkError> {
        let mut conn = redis.conn().await?;
        self.send_waiting(&mut conn).await?;
        let current: Option<String> = redis::cmd("GET")
            .arg(keys::REVOKED_VERSION)
            .query_async(&mut conn)
            .await?;
        let current = current.unwrap_or_default();
        let last = match held.take() {
            Some(last) if last == current => last,
            Some(last) if self.catch_up(&mut conn, &last, &current).await? => current,
            _ => {
                self.read_all(&mut conn).await?;
                current
            }
        };
        *held = Some(last);
        Ok(())
    }

    /// Writes what was revoked while Redis was away.
    async fn send_waiting(&self, conn: &mut MultiplexedConnection) -> Result<(), RedisLinkError> {
        loop {
            let first = {
                let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.front().cloned()
            };
            let Some((revocation, by)) = first else {
                return Ok(());
            };
            match revoke(conn, &revocation, &by, now_ms()).await {
                Err(RevokeError::Redis(error)) => return Err(error),
                Err(error @ RevokeError::Full) => {
                    tracing::error!(%error, "a session that was logged out is not revoked");
                }
                Ok(()) => {}
            }
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.pop_front();
        }
    }

    /// Reads the changes after `last` up to `current`; false if the stream has not all.
    async fn catch_up(
        &self,
        conn: &mut MultiplexedConnection,
        last: &str,
        current: &str,
    ) -> Result<bool, RedisLinkError> {
        let mut last = last.to_owned();
        loop {
            if last.is_empty() {
                return Ok(false);
            }
            let changes: Vec<Change> = redis::cmd("XRANGE")
                .arg(keys::REVOKED_CHANGES)
                .arg(&last)
                .arg(("+", "COUNT", BATCH))
                .query_async(conn)
                .await?;
            let mut changes = changes.into_iter();
            // Entries younger than one that is still there are there, too.
            if changes.next().is_none_or(|(id, _)| id != last) {
                return Ok(false);
            }
            let before = last.clone();
            for (id, fields) in changes {
                let field = |name: &str| {
                    let named = fields.chunks_exact(2).find(|pair| pair[0] == name);
                    named.map_or("", |pair| &pair[1])
                };
                self.take(field("ban"), field("value"));
                last = id;
            }
            if last == current {
                return Ok(true);
            }
            if last == before {
                return Ok(false);
            }
        }
    }

    async fn read_all(&self, conn: &mut MultiplexedConnection) -> Result<(), RedisLinkError> {
        let mut cursor = 0_u64;
        loop {
            let (next, entries): Batch = redis::cmd("HSCAN")
                .arg(keys::REVOKED)
                .arg(cursor)
                .arg(("COUNT", BATCH))
                .query_async(conn)
                .await?;
            for (field, value) in &entries {
                self.take(field, value);
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    /// One entry. One that cannot be read is logged by the edges.
    fn take(&self, field: &str, value: &str) {
        if let Ok((ban, Some(until_ms))) = listed::parse(field, value)
            && now_ms() < until_ms
        {
            self.write(|revoked| revoked.put(ban, until_ms));
        }
    }
}
