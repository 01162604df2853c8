//! The day's document: assembled once for the whole site, kept for ten minutes,
//! and made anew as soon as a round is approved or edited (course §067).
//!
//! It lies in Redis for all processes, in the memory of each, and on its disk for
//! when Redis is away. Whoever finds it outdated assembles it, if nobody else
//! does: under a lock in Redis that is let go of by its owner alone. The others
//! serve the old one meanwhile, so that no crowd ever assembles twice.
//!
//! It is outdated when a product message was told after it was assembled. That is
//! looked up in Redis at most every [`LOOK`], so that a change is visible at once
//! and a crowd costs Redis nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use seckill_core::keys;
use seckill_core::pages::assets::content_hash;
use serde::{Deserialize, Serialize};

use crate::now_ms;
use crate::pages::day::listing as day;
use crate::pages::day::listing::Which;
use crate::pages::replace_file;
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::sale::message;
use crate::sale::message::Version;

/// How long a document is good for though nobody told of a change.
const LIFE_MS: u64 = 600_000;
/// How long Redis keeps it, to be served while a new one is assembled.
const KEEP_MS: u64 = 86_400_000;
/// How long what was heard of the version holds.
const LOOK: Duration = Duration::from_millis(50);
/// When a lock lapses whose owner died.
const LOCK_MS: u64 = 5_000;
/// How long one who has nothing to serve waits for whoever assembles.
const PATIENCE: Duration = Duration::from_secs(6);
/// How often he looks.
const POLL: Duration = Duration::from_millis(10);
/// How many documents are kept in memory and on the disk. Whoever asks for a
/// thousand days must not make this process hold a thousand answers.
const MOST: usize = 32;

/// A document as it is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Document {
    /// What it was assembled of.
    #[serde(with = "as_text")]
    version: Version,
    /// When, epoch milliseconds.
    at_ms: u64,
    /// The answer's JSON.
    pub(super) body: Arc<str>,
    /// The answer's ETag.
    #[serde(skip)]
    pub(super) etag: Arc<str>,
}

impl Document {
    fn new(version: Version, at_ms: u64, body: &str) -> Self {
        Self {
            version,
            at_ms,
            body: body.into(),
            etag: format!("\"{}\"", content_hash(body.as_bytes())).into(),
        }
    }

    /// Whether it says what shoppers are to know at `version`.
    fn is_current(&self, version: Version) -> bool {
        self.version >= version && self.at_ms.saturating_add(LIFE_MS) > now_ms()
    }
}

/// What this process holds.
#[derive(Debug, Default)]
struct Held {
    documents: HashMap<String, Document>,
    /// The version as last heard, and when.
    heard: Option<(Instant, Version)>,
}

/// The documents of a process.
#[derive(Debug, Clone)]
pub(super) struct Documents {
    redis: RedisLink,
    zone: TimeZone,
    /// Where copies are written; none without a folder.
    folder: Option<PathBuf>,
    held: Arc<Mutex<Held>>,
    /// Held by who refreshes in this process: the others of the process serve what
    /// is there, or wait if there is nothing.
    flight: Arc<tokio::sync::Mutex<()>>,
}

impl Documents {
    pub(super) fn new(redis: RedisLink, zone: TimeZone, folder: Option<&Path>) -> Self {
        Self {
            redis,
            zone,
            folder: folder.map(Path::to_owned),
            held: Arc::default(),
            flight: Arc::default(),
        }
    }

    /// The document of `which`: the current one, or the last one while another is
    /// being assembled or cannot be. `wanted` is a version that the asker heard
    /// of: nothing older is current for him.
    pub(super) async fn get(
        &self,
        which: Which,
        wanted: Option<Version>,
    ) -> Result<Document, RedisLinkError> {
        let name = which.name(&self.zone);
        if let Some(document) = self.current(&name, wanted) {
            return Ok(document);
        }
        let old = self.held().documents.get(&name).cloned();
        let flight = match (&old, self.flight.try_lock()) {
            (_, Ok(flight)) => flight,
            // Somebody is at it.
            (Some(old), Err(_)) => return Ok(old.clone()),
            (None, Err(_)) => self.flight.lock().await,
        };
        if let Some(document) = self.current(&name, wanted) {
            return Ok(document);
        }
        let refreshed = self.refresh(which, &name, old.as_ref()).await;
        drop(flight);
        match refreshed {
            Ok(document) => Ok(document),
            Err(error) => match old.or_else(|| self.read_copy(which)) {
                Some(old) => {
                    tracing::debug!(%error, "an earlier document is served");
                    self.hold(&name, &old);
                    Ok(old)
                }
                None => Err(error),
            },
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What can be served without asking anybody.
    fn current(&self, name: &str, wanted: Option<Version>) -> Option<Document> {
        let held = self.held();
        let (at, version) = held.heard?;
        let document = held.documents.get(name)?;
        let is_heard = at.elapsed() < LOOK;
        let is_new_enough = document.is_current(version) && Some(document.version) >= wanted;
        (is_heard && is_new_enough).then(|| document.clone())
    }

    fn hold(&self, name: &str, document: &Document) {
        let mut held = self.held();
        if held.documents.len() >= MOST && !held.documents.contains_key(name) {
            let oldest = held.documents.iter().min_by_key(|(_, it)| it.at_ms);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                held.documents.remove(&oldest);
            }
        }
        held.documents.insert(name.to_owned(), document.clone());
    }

    /// Hears the version, and if what is held is outdated, takes what another
    /// process assembled or assembles it.
    async fn refresh(
        &self,
        which: Which,
        name: &str,
        old: Option<&Document>,
    ) -> Result<Document, RedisLinkError> {
        let mut conn = self.redis.conn().await?;
        let began = Instant::now();
        loop {
            let version = message::version(&mut conn).await?;
            self.held().heard = Some((Instant::now(), version));
            if let Some(old) = old.filter(|old| old.is_current(version)) {
                return Ok(old.clone());
            }
            let stored = stored(&mut conn, name).await?;
            if let Some(document) = stored.as_ref().filter(|it| it.is_current(version)) {
                self.keep(which, name, document);
                return Ok(document.clone());
            }
            if let Some(document) = self.assemble(&mut conn, which, name, version).await? {
                return Ok(document);
            }
            // Another process is at it.
            if let Some(document) = stored.as_ref().or(old) {
                self.hold(name, document);
                return Ok(document.clone());
            }
            if began.elapsed() > PATIENCE {
                return Err(RedisLinkError::Away {
                    address: self.redis.address().to_owned(),
                    reason: "nobody finishes assembling the day's rounds".to_owned(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// `None` if another process holds the lock.
    async fn assemble(
        &self,
        conn: &mut MultiplexedConnection,
        which: Which,
        name: &str,
        version: Version,
    ) -> Result<Option<Document>, RedisLinkError> {
        let lock = keys::day_lock(name);
        let token = token();
        let taken: Option<String> = redis::cmd("SET")
            .arg(&lock)
            .arg(&token)
            .arg("NX")
            .arg("PX")
            .arg(LOCK_MS)
            .query_async(conn)
            .await?;
        if taken.is_none() {
            return Ok(None);
        }
        // Whoever had the lock until now may have just finished.
        let outcome = match stored(conn, name).await {
            Ok(Some(document)) if document.is_current(version) => {
                self.keep(which, name, &document);
                Ok(document)
            }
            Ok(_) => self.write(conn, which, name, version).await,
            Err(error) => Err(error),
        };
        if let Err(error) = scripts::day::unlock(&lock, &token).run(conn).await {
            tracing::debug!(%error, "the lock of the day's document lapses by itself");
        }
        outcome.map(Some)
    }

    async fn write(
        &self,
        conn: &mut MultiplexedConnection,
        which: Which,
        name: &str,
        version: Version,
    ) -> Result<Document, RedisLinkError> {
        let body = day::read(conn, which, &self.zone).await?;
        let document = Document::new(version, now_ms(), &body.json);
        // A day without rounds is quickly assembled, and anybody may ask for any
        // number of them.
        if !body.is_empty || which == Which::Now {
            let key = keys::day_document(name);
            let fields = [
                ("version", version.to_string()),
                ("at_ms", document.at_ms.to_string()),
                ("body", body.json),
            ];
            redis::pipe()
                .atomic()
                .hset_multiple(&key, &fields)
                .ignore()
                .pexpire(&key, i64::try_from(KEEP_MS).unwrap_or(i64::MAX))
                .ignore()
                .exec_async(conn)
                .await?;
            self.keep(which, name, &document);
        }
        tracing::debug!(day = name, %version, "the day's document was assembled");
        Ok(document)
    }

    /// In memory, and on the disk for when Redis is away.
    fn keep(&self, which: Which, name: &str, document: &Document) {
        self.hold(name, document);
        let Some(folder) = &self.folder else { return };
        let (path, document) = (copy_of(folder, which), document.clone());
        let folder = folder.clone();
        tokio::task::spawn_blocking(move || {
            let written = serde_json::to_vec(&document)
                .map_err(std::io::Error::other)
                .and_then(|text| replace_file(&path, &text))
                .and_then(|()| remove_oldest(&folder));
            if let Err(error) = written {
                tracing::warn!(path = %path.display(), %error, "the day's document has no copy on the disk");
            }
        });
    }

    fn read_copy(&self, which: Which) -> Option<Document> {
        let bytes = std::fs::read(copy_of(self.folder.as_deref()?, which)).ok()?;
        let copy: Document = serde_json::from_slice(&bytes).ok()?;
        Some(Document::new(copy.version, copy.at_ms, &copy.body))
    }
}

/// "Now" has one copy whatever the day: after midnight without Redis, yesterday's
/// still says what was to come.
fn copy_of(folder: &Path, which: Which) -> PathBuf {
    match which {
        Which::On(date) => folder.join(format!("{date}.json")),
        Which::Now => folder.join("now.json"),
    }
}

/// Keeps as many copies as are held in memory.
fn remove_oldest(folder: &Path) -> std::io::Result<()> {
    let mut copies = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|it| it == "json") {
            copies.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    copies.sort();
    let over = copies.len().saturating_sub(MOST);
    copies
        .iter()
        .take(over)
        .try_for_each(|(_, path)| std::fs::remove_file(path))
}

/// The document that Redis holds, of whatever age.
async fn stored(
    conn: &mut MultiplexedConnection,
    name: &str,
) -> Result<Option<Document>, RedisLinkError> {
    type Fields = (Option<String>, Option<u64>, Option<String>);
    let fields = ["version", "at_ms", "body"];
    let (version, at_ms, body): Fields = conn.hmget(keys::day_document(name), &fields).await?;
    let version = version.as_deref().and_then(Version::parse);
    Ok(match (version, at_ms, body) {
        (Some(version), Some(at_ms), Some(body)) => Some(Document::new(version, at_ms, &body)),
        _ => None,
    })
}

/// Tells one owner of a lock from another.
fn token() -> String {
    let mut random = [0_u8; 8];
    // Without randomness the process and the time are still his own.
    let _ = getrandom::fill(&mut random);
    let random = u64::from_be_bytes(random);
    format!("{}-{}-{random:016x}", std::process::id(), now_ms())
}

/// A version in JSON.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::Version;

    pub(super) fn serialize<S: Serializer>(version: &Version, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(version)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Version, D::Error> {
        let text = String::deserialize(from)?;
        Version::parse(&text).ok_or_else(|| D::Error::custom("not a version"))
    }
}
