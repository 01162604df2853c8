//! Purges changed addresses from the caches in front of the origin.
//!
//! A purge is noted on the disk before its page is replaced, under the same lock,
//! and sent after: whatever dies in between, every change is purged at least once,
//! and none before the new page can be fetched. A purge that fails is retried until
//! it succeeds. Then the caches are prewarmed with the page and its files (`warm.rs`),
//! so that the first shopper finds all of them there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use seckill_core::pages::assets::content_hash;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::cache_client::{self, Http, exchange, joined, request};
use super::origin::{Locked, Origin};
use super::warm::Prewarmer;
use super::{blocking, now_ns};
use crate::config::masked_url;
use crate::config::targets::{PurgeMethod, Targets};
use crate::now_ms;

/// Purges under way at once.
const AT_ONCE: usize = 16;
/// The pause after the first failure; it doubles up to [`LONGEST_PAUSE_MS`].
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 300_000;
/// How often notes are checked without a notification: one may be due again, or be
/// from another renderer of this folder.
const EVERY: Duration = Duration::from_secs(1);

/// A noted purge.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    path: String,
    /// Distinguishes one change of the address from the next, epoch nanoseconds.
    noted_ns: u64,
    /// When the oldest change that is not purged yet was noted, epoch milliseconds.
    since_ms: u64,
    due_ms: u64,
    attempts: u32,
    /// Targets that were purged.
    done: Vec<String>,
    error: String,
}

/// Purges that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Their number.
    pub purges: usize,
    /// Since when the oldest waits, epoch milliseconds.
    pub since_ms: Option<u64>,
    /// The last failure.
    pub error: Option<String>,
}

/// Notes purges and sends them to the targets.
#[derive(Debug, Clone)]
pub(super) struct Purges {
    targets: Arc<Targets>,
    noted: Arc<Notify>,
    warm: Arc<Prewarmer>,
}

fn name_of(path: &str) -> String {
    format!("purges/{}.json", content_hash(path.as_bytes()))
}

impl Purges {
    pub(super) fn new(targets: Targets) -> Self {
        Self {
            targets: Arc::new(targets),
            noted: Arc::default(),
            warm: Arc::default(),
        }
    }

    /// Notes that these addresses are about to change.
    pub(super) fn note(
        &self,
        locked: &Locked<'_>,
        paths: impl IntoIterator<Item = String>,
    ) -> io::Result<()> {
        if self.targets.purge.is_empty() && self.targets.prewarm.is_empty() {
            return Ok(());
        }
        let now_ms = now_ms();
        let mut notes = Vec::new();
        for path in paths {
            let name = name_of(&path);
            let note = Note {
                path,
                noted_ns: now_ns(),
                since_ms: now_ms,
                due_ms: now_ms,
                attempts: 0,
                done: Vec::new(),
                error: String::new(),
            };
            notes.push((name, note));
        }
        locked.write_notes(&notes)?;
        self.noted.notify_one();
        Ok(())
    }

    /// Sends purges that are due, until `stop`.
    pub(super) async fn run(self, origin: Origin, stop: CancellationToken) {
        if self.targets.purge.is_empty() && self.targets.prewarm.is_empty() {
            return stop.cancelled().await;
        }
        let http = match cache_client::open() {
            Ok(http) => http,
            Err(error) => {
                tracing::error!(%error, "no page can be purged: the system's certificates cannot be read");
                return stop.cancelled().await;
            }
        };
        let mut failing = false;
        while !stop.is_cancelled() {
            match self.send_due(&origin, &http).await {
                // There may be more.
                Ok(AT_ONCE) => continue,
                Ok(_) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, "noted purges cannot be read");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.noted.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Sends up to [`AT_ONCE`] purges that are due; returns their number.
    async fn send_due(&self, origin: &Origin, http: &Http) -> io::Result<usize> {
        let reading = origin.clone();
        let due = blocking(move || {
            // Under the lock, since pages of these notes may be about to be replaced.
            let _locked = reading.lock()?;
            due(&reading, now_ms())
        })
        .await?;
        let count = due.len();
        let mut sending = JoinSet::new();
        for mut note in due {
            let (me, http, origin) = (self.clone(), http.clone(), origin.clone());
            sending.spawn(async move {
                me.send(&http, &mut note, &origin).await;
                note
            });
        }
        while let Some(sent) = sending.join_next().await {
            let Ok(note) = sent else { continue };
            let origin = origin.clone();
            blocking(move || finish(&origin, &note)).await?;
        }
        Ok(count)
    }

    /// Purges every target that is not purged yet; a failure is written to the note.
    async fn send(&self, http: &Http, note: &mut Note, origin: &Origin) {
        note.error.clear();
        for target in &self.targets.purge {
            if note.done.contains(target) {
                continue;
            }
            match self.purge(http, target, &note.path).await {
                Ok(()) => note.done.push(target.clone()),
                Err(error) => note.error = format!("{}: {error}", masked_url(target)),
            }
        }
        if !note.error.is_empty() {
            note.attempts = note.attempts.saturating_add(1);
            note.due_ms = now_ms() + pause_ms(note.attempts);
            tracing::warn!(
                path = note.path,
                attempts = note.attempts,
                error = note.error,
                "a changed page was not purged; it will be tried again"
            );
            return;
        }
        for cache in &self.targets.prewarm {
            let host = self.host();
            self.warm.page(http, cache, host, origin, &note.path).await;
        }
    }

    /// The host name by which caches know the shop.
    fn host(&self) -> Option<HeaderValue> {
        let uri: Uri = self.targets.site.as_deref()?.parse().ok()?;
        HeaderValue::from_str(uri.authority()?.as_str()).ok()
    }

    async fn purge(&self, http: &Http, target: &str, path: &str) -> Result<(), String> {
        let request = match self.targets.method {
            PurgeMethod::Purge => {
                let method = Method::from_bytes(b"PURGE").map_err(|error| error.to_string())?;
                let mut request = request(method, &joined(target, path), Bytes::new())?;
                if let Some(host) = self.host() {
                    request.headers_mut().insert(header::HOST, host);
                }
                request
            }
            PurgeMethod::Post => {
                let site = self.targets.site.as_deref();
                let url = site.map(|site| joined(site, path));
                let body = serde_json::json!({ "path": path, "url": url }).to_string();
                let mut request = request(Method::POST, target, body.into())?;
                let json = HeaderValue::from_static("application/json");
                request.headers_mut().insert(header::CONTENT_TYPE, json);
                request
            }
        };
        let status = self.request(http, request).await?;
        let is_purge = self.targets.method == PurgeMethod::Purge;
        // Several statuses mean that a cache holds nothing under this address.
        if (200..300).contains(&status) || is_purge && [404, 410, 412].contains(&status) {
            return Ok(());
        }
        Err(format!("answered {status}"))
    }

    async fn request(&self, http: &Http, mut request: Request<Full<Bytes>>) -> Result<u16, String> {
        if let Some((name, value)) = &self.targets.header {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        exchange(http, request).await
    }
}

/// The purges that wait in this folder.
pub(super) fn waiting(origin: &Origin) -> io::Result<Waiting> {
    let mut waiting = Waiting::default();
    for name in origin.notes("purges")? {
        let Some(note) = origin.note::<Note>(&format!("purges/{name}")) else {
            continue;
        };
        waiting.purges += 1;
        waiting.since_ms = Some(waiting.since_ms.unwrap_or(u64::MAX).min(note.since_ms));
        if !note.error.is_empty() {
            waiting.error = Some(note.error);
        }
    }
    Ok(waiting)
}

fn due(origin: &Origin, now_ms: u64) -> io::Result<Vec<Note>> {
    let mut due = Vec::new();
    for name in origin.notes("purges")? {
        if let Some(note) = origin.note::<Note>(&format!("purges/{name}"))
            && note.due_ms <= now_ms
        {
            due.push(note);
            if due.len() == AT_ONCE {
                break;
            }
        }
    }
    Ok(due)
}

/// Removes a note whose purge was sent, or stores its failure, unless the address has
/// changed again meanwhile.
fn finish(origin: &Origin, note: &Note) -> io::Result<()> {
    let locked = origin.lock()?;
    let name = name_of(&note.path);
    let is_same = origin
        .note::<Note>(&name)
        .is_some_and(|held| held.noted_ns == note.noted_ns);
    match (is_same, note.error.is_empty()) {
        (true, true) => locked.remove_note(&name),
        (true, false) => locked.write_note(&name, note),
        (false, _) => Ok(()),
    }
}

fn pause_ms(attempts: u32) -> u64 {
    let doubled = FIRST_PAUSE_MS << attempts.saturating_sub(1).min(16);
    doubled.min(LONGEST_PAUSE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit() {
        assert_eq!([1, 2, 3].map(pause_ms), [1_000, 2_000, 4_000]);
        assert_eq!(pause_ms(1_000), LONGEST_PAUSE_MS);
    }
}
