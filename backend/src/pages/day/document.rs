//! The document of the day: assembled once for the whole site, cached for ten minutes,
//! and assembled again as soon as a round is approved or edited (course §067).
//!
//! It is cached in Redis for all processes, in the memory of each, and on its disk
//! for when Redis is away. The process that finds it outdated assembles it, under a
//! lock in Redis that only its owner releases. The others serve the old document
//! meanwhile, so that no crowd ever assembles twice.
//!
//! It is outdated when a product message was published after it was assembled. Redis
//! is checked for that at most every [`CHECK_EVERY`], so that a change is visible at
//! once and a crowd costs Redis nothing.

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
use crate::pages::day::listing::{self, Which};
use crate::pages::replace_file;
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::sale::message;
use crate::sale::message::Version;

/// How long a document is current without a product message, in milliseconds.
const LIFE_MS: u64 = 600_000;
/// How long Redis keeps it in milliseconds, to be served while a new one is assembled.
const KEEP_MS: u64 = 86_400_000;
/// How long a version that was read from Redis counts as the latest.
const CHECK_EVERY: Duration = Duration::from_millis(50);
/// How long a lock lasts whose owner died, in milliseconds.
const LOCK_MS: u64 = 5_000;
/// How long a process without any document waits for the one that assembles it.
const WAIT: Duration = Duration::from_secs(6);
/// How often it polls meanwhile.
const POLL: Duration = Duration::from_millis(10);
/// Most documents in memory and on the disk. A client that requests a thousand days
/// must not make this process hold a thousand documents.
const MAX_DOCUMENTS: usize = 32;

/// A document as it is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Document {
    /// The version of the rounds that it was assembled from.
    #[serde(with = "as_text")]
    version: Version,
    /// When it was assembled, epoch milliseconds.
    at_ms: u64,
    /// The JSON of the response.
    pub(super) body: Arc<str>,
    /// The ETag of the response.
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

    /// Whether it may be served when the latest version is `version`.
    fn is_current(&self, version: Version) -> bool {
        self.version >= version && self.at_ms.saturating_add(LIFE_MS) > now_ms()
    }
}

/// The cache in this process's memory.
#[derive(Debug, Default)]
struct Held {
    documents: HashMap<String, Document>,
    /// The version that was last read from Redis, and when.
    latest: Option<(Instant, Version)>,
}

/// The documents of a process.
#[derive(Debug, Clone)]
pub(super) struct Documents {
    redis: RedisLink,
    zone: TimeZone,
    /// The folder for copies on the disk, if there are any.
    folder: Option<PathBuf>,
    held: Arc<Mutex<Held>>,
    /// Held by the task of this process that refreshes: the others serve what is
    /// cached, or wait if nothing is.
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
    /// being assembled or cannot be. `wanted` is a version that the client knows: an
    /// older document is not current for them.
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
            // Another task refreshes it.
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

    /// The document, if memory alone shows that it is current.
    fn current(&self, name: &str, wanted: Option<Version>) -> Option<Document> {
        let held = self.held();
        let (at, version) = held.latest?;
        let document = held.documents.get(name)?;
        let is_recent = at.elapsed() < CHECK_EVERY;
        let is_new_enough = document.is_current(version) && Some(document.version) >= wanted;
        (is_recent && is_new_enough).then(|| document.clone())
    }

    fn hold(&self, name: &str, document: &Document) {
        let mut held = self.held();
        if held.documents.len() >= MAX_DOCUMENTS && !held.documents.contains_key(name) {
            let oldest = held.documents.iter().min_by_key(|(_, it)| it.at_ms);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                held.documents.remove(&oldest);
            }
        }
        held.documents.insert(name.to_owned(), document.clone());
    }

    /// Reads the latest version; if the document is outdated, takes the one that another
    /// process assembled, or assembles it.
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
            self.held().latest = Some((Instant::now(), version));
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
            // Another process assembles it.
            if let Some(document) = stored.as_ref().or(old) {
                self.hold(name, document);
                return Ok(document.clone());
            }
            if began.elapsed() > WAIT {
                return Err(RedisLinkError::Away {
                    address: self.redis.address().to_owned(),
                    reason: "no process finished assembling the day's rounds".to_owned(),
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
        // The last owner of the lock may have just finished.
        let outcome = match stored(conn, name).await {
            Ok(Some(document)) if document.is_current(version) => {
                self.keep(which, name, &document);
                Ok(document)
            }
            Ok(_) => self.write(conn, which, name, version).await,
            Err(error) => Err(error),
        };
        if let Err(error) = scripts::day::unlock(&lock, &token).run(conn).await {
            tracing::debug!(%error, "the lock of the day's document was not released; it expires by itself");
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
        let body = listing::read(conn, which, &self.zone).await?;
        let document = Document::new(version, now_ms(), &body.json);
        // A day without rounds is quickly assembled, and clients may request any
        // number of them.
        if !body.is_empty || which == Which::Now {
            let key = keys::day_document(name);
            let fields = [
                ("version", version.to_string()),
                ("at_ms", document.at_ms.to_string()),
                ("body", body.json),
            ];
            let mut write = redis::pipe();
            write
                .hset_multiple(&key, &fields)
                .pexpire(&key, i64::try_from(KEEP_MS).unwrap_or(i64::MAX));
            let () = scripts::together(&write).run(conn).await?;
            self.keep(which, name, &document);
        }
        tracing::debug!(day = name, %version, "the day's document was assembled");
        Ok(document)
    }

    /// Keeps a document in memory, and on the disk for when Redis is away.
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
                tracing::warn!(path = %path.display(), %error, "the day's document was not written to the disk");
            }
        });
    }

    fn read_copy(&self, which: Which) -> Option<Document> {
        let bytes = std::fs::read(copy_of(self.folder.as_deref()?, which)).ok()?;
        let copy: Document = serde_json::from_slice(&bytes).ok()?;
        Some(Document::new(copy.version, copy.at_ms, &copy.body))
    }
}

/// The path of a document's copy. [`Which::Now`] has one copy for all days: after
/// midnight without Redis, yesterday's still lists the rounds to come.
fn copy_of(folder: &Path, which: Which) -> PathBuf {
    match which {
        Which::On(date) => folder.join(format!("{date}.json")),
        Which::Now => folder.join("now.json"),
    }
}

/// Removes the oldest copies beyond [`MAX_DOCUMENTS`].
fn remove_oldest(folder: &Path) -> std::io::Result<()> {
    let mut copies = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|it| it == "json") {
            copies.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    copies.sort();
    let over = copies.len().saturating_sub(MAX_DOCUMENTS);
    copies
        .iter()
        .take(over)
        .try_for_each(|(_, path)| std::fs::remove_file(path))
}

/// The document in Redis, of any age.
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

/// A token that distinguishes the owner of a lock from others.
fn token() -> String {
    let mut random = [0_u8; 8];
    // Without randomness, the process id and the time still distinguish it.
    let _ = getrandom::fill(&mut random);
    let random = u64::from_be_bytes(random);
    format!("{}-{}-{random:016x}", std::process::id(), now_ms())
}

/// Serializes a version as text.
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
