//! Reads a key set, again and again, from a file or behind a URL. What was read behind a
//! URL is published in Redis for the edges, which do not fetch.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, header};
use http_body_util::Full;
use redis::{AsyncCommands as _, RedisResult};
use seckill_core::gate::directive::jwt::Jwks;
use seckill_core::keys;
use seckill_core::signing::jwt::keys::MAX_SET;
use seckill_core::signing::jwt::{KeySet, KeySetError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::http::client::HttpClient;
use crate::redis::RedisLink;

/// How often a set is read without a reason.
const EVERY: Duration = Duration::from_secs(300);
/// How often it is looked whether there is a reason: a file that has changed, an edge
/// that wants a newer set.
const TICK: Duration = Duration::from_secs(1);
/// Least time between two readings behind a URL: strangers can name unknown keys at will.
const SPACING: Duration = Duration::from_secs(5);
/// Longest time that a reading behind a URL takes.
const PATIENCE: Duration = Duration::from_secs(4);

/// Why a key set could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The file or the service.
    #[error("{0}")]
    Away(String),
    /// What it holds.
    #[error(transparent)]
    Wrong(#[from] KeySetError),
}

type Known = Option<Arc<KeySet>>;

/// A key set that is read again and again, until this is dropped.
#[derive(Debug)]
pub struct Reading {
    known: watch::Receiver<Known>,
    wishes: mpsc::Sender<oneshot::Sender<Known>>,
    _task: AbortOnDropHandle<()>,
}

impl Reading {
    /// Begins to read.
    ///
    /// # Errors
    /// The machine's certificates cannot be read.
    pub fn start(jwks: &Jwks, redis: RedisLink) -> std::io::Result<Self> {
        let (source, url) = match jwks {
            Jwks::File(path) => (Source::File(path.into()), None),
            Jwks::Url(url) => {
                let scheme = url.split_once("://").map(|(scheme, _)| scheme);
                (Source::Url(HttpClient::new(scheme)?), Some(url.clone()))
            }
        };
        let (told, known) = watch::channel(None);
        let (wishes, heard) = mpsc::channel(64);
        let reader = Reader {
            source,
            url,
            redis,
            told,
            text: Vec::new(),
            has_failed: false,
            read_at: None,
        };
        Ok(Self {
            known,
            wishes,
            _task: AbortOnDropHandle::new(tokio::spawn(reader.run(heard))),
        })
    }

    /// The keys; `None` if none could be read yet.
    pub(super) async fn keys(&self) -> Known {
        let mut known = self.known.clone();
        let found = known.borrow().clone();
        if found.is_some() {
            return found;
        }
        // The first reading may be under way.
        let first = timeout(PATIENCE, known.wait_for(Option::is_some)).await;
        first.ok()?.ok()?.clone()
    }

    /// The keys as they are now, or as they were a few seconds ago.
    pub(super) async fn read_again(&self) -> Known {
        let (answer, read) = oneshot::channel();
        self.wishes.try_send(answer).ok()?;
        timeout(PATIENCE + TICK, read).await.ok()?.ok()?
    }
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url(HttpClient),
}

struct Reader {
    source: Source,
    url: Option<String>,
    redis: RedisLink,
    told: watch::Sender<Known>,
    /// The set that is in force, as it was read.
    text: Vec<u8>,
    has_failed: bool,
    read_at: Option<Instant>,
}

impl Reader {
    async fn run(mut self, mut wishes: mpsc::Receiver<oneshot::Sender<Known>>) {
        self.read().await;
        loop {
            match timeout(TICK, wishes.recv()).await {
                Ok(None) => return,
                Ok(Some(wish)) => {
                    let is_due = |at: Instant| at.elapsed() >= SPACING;
                    if self.url.is_none() || self.read_at.is_none_or(is_due) {
                        self.read().await;
                    }
                    // Whoever wished is told what is known now.
                    let _ = wish.send(self.told.borrow().clone());
                }
                Err(_) => self.tick().await,
            }
        }
    }

    async fn tick(&mut self) {
        let Some(url) = self.url.clone() else {
            return self.read().await;
        };
        let since = self.read_at.map(|at| at.elapsed());
        let spacing = if self.has_failed { SPACING } else { EVERY };
        let is_wanted = self.is_wanted(&url).await.unwrap_or(false);
        if since.is_none_or(|since| since >= spacing || is_wanted && since >= SPACING) {
            self.read().await;
        }
    }

    /// Whether an edge wants a newer set. Publishes again what Redis has lost.
    async fn is_wanted(&self, url: &str) -> RedisResult<bool> {
        let Ok(mut conn) = self.redis.conn().await else {
            return Ok(false);
        };
        let is_published: bool = conn.hexists(keys::JWKS, url).await?;
        if !is_published && !self.text.is_empty() {
            let _: () = conn.hset(keys::JWKS, url, &self.text).await?;
        }
        let wanted: Option<String> = conn.get(keys::JWKS_WANTED).await?;
        Ok(wanted.is_some())
    }

    async fn read(&mut self) {
        self.read_at = Some(Instant::now());
        let name = match (&self.source, &self.url) {
            (Source::File(path), _) => path.display().to_string(),
            (Source::Url(_), url) => url.clone().unwrap_or_default(),
        };
        match self
            .text()
            .await
            .and_then(|text| Ok((self.parsed(&text)?, text)))
        {
            Ok((keys, text)) => {
                if text != self.text {
                    tracing::info!(
                        from = name,
                        keys = keys.len(),
                        "the keys of the login are read"
                    );
                    self.text = text;
                    self.told.send_replace(Some(Arc::new(keys)));
                }
                self.has_failed = false;
                self.publish().await;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::error!(
                        from = name, %error,
                        "the keys of the login cannot be read; those read before stay in force"
                    );
                }
            }
        }
    }

    fn parsed(&self, text: &[u8]) -> Result<KeySet, SetError> {
        Ok(match self.source {
            Source::File(_) => KeySet::parse(text)?,
            Source::Url(_) => KeySet::parse_public(text)?,
        })
    }

    async fn text(&self) -> Result<Vec<u8>, SetError> {
        let text = match (&self.source, &self.url) {
            (Source::File(path), _) => tokio::fs::read(path)
                .await
                .map_err(|error| error.to_string()),
            (Source::Url(client), url) => fetch(client, url.as_deref().unwrap_or_default()).await,
        };
        text.map_err(SetError::Away)
    }

    /// Publishes what was read for the edges, and fulfils their wish.
    async fn publish(&self) {
        let Some(url) = &self.url else { return };
        let published: RedisResult<()> = async {
            let Ok(mut conn) = self.redis.conn().await else {
                return Ok(());
            };
            let mut pipe = redis::pipe();
            pipe.hset(keys::JWKS, url, &self.text).ignore();
            pipe.del(keys::JWKS_WANTED).ignore();
            pipe.exec_async(&mut conn).await
        }
        .await;
        if let Err(error) = published {
            tracing::warn!(%error, "the keys of the login are not published for the edges");
        }
    }
}

async fn fetch(client: &HttpClient, url: &str) -> Result<Vec<u8>, String> {
    let request = Request::get(url)
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .body(Full::default())
        .map_err(|error| error.to_string())?;
    let response = client.fetch(request, MAX_SET, PATIENCE).await?;
    match response.status() {
        status if status.is_success() => Ok(response.into_body().to_vec()),
        status => Err(format!("HTTP status {status}")),
    }
}
