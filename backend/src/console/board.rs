//! The live board: what the whole system does at this moment, for those who run
//! a sale.
//!
//! One gatherer a process looks at Redis, the edges and the database, while
//! somebody watches and for half a minute longer. However many watch, each look
//! is made and written once; a watcher costs what it takes to send the bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Uri;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, QueueKind};
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::store::LazyStore;

/// What is wrong, by the numbers of one look.
pub mod alerts;
/// The board over HTTP.
pub mod api;
/// Follows the edges' counters.
mod edges;
/// Looks at everything.
mod gather;
/// Rates from counters.
mod meter;
/// What an edge says of itself.
mod metrics;
/// What changed between two snapshots.
mod patch;
/// Products and rounds, with their names.
mod shelves;
/// Stock, permits and queues.
mod stocks;
/// What the database counts.
mod tally;
/// The board as it is sent.
mod view;
/// Who came, as the access logs tell.
mod visitors;

use view::{History, Point, View};

/// How long a board that nobody watches is kept.
const LINGER: Duration = Duration::from_secs(30);
/// Points that are kept for the charts: five minutes.
const POINTS: usize = 750;
/// Frames that a watcher may be behind before it gets a whole snapshot again.
const BEHIND: usize = 16;

/// Where the numbers come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The main Redis.
    pub redis: RedisLink,
    /// Where stock lies.
    pub segments: Segments,
    /// The database.
    pub store: LazyStore,
    /// The edges' metrics.
    pub edges: Vec<Uri>,
    /// Whether the queue is in Redis, where its length can be seen.
    pub in_streams: bool,
    /// Whose midnight separates the days.
    pub time_zone: TimeZone,
    /// How long to go on when nobody watches any more: whoever reloads the page
    /// finds its charts again.
    pub linger: Duration,
    /// Ends all streams.
    pub stop: CancellationToken,
}

impl Sources {
    /// Those that `config` names.
    #[must_use]
    pub fn new(
        config: &Config,
        (redis, segments): (RedisLink, Segments),
        store: LazyStore,
        stop: CancellationToken,
    ) -> Self {
        Self {
            redis,
            segments,
            store,
            edges: config.edges.clone(),
            in_streams: config.queue == QueueKind::Streams,
            time_zone: config.time_zone.clone(),
            linger: LINGER,
            stop,
        }
    }
}

/// The board; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Board {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sources: Sources,
    stage: Mutex<Stage>,
    frames: broadcast::Sender<Bytes>,
}

#[derive(Debug, Default)]
struct Stage {
    gatherer: Option<JoinHandle<()>>,
    /// What every watcher has; `None` before the first look.
    current: Option<Value>,
    points: VecDeque<Point>,
}

/// A snapshot as it is sent.
#[derive(Serialize)]
struct Snapshot<'a> {
    board: &'a Value,
    history: History,
}

impl Stage {
    fn snapshot(&self) -> Option<String> {
        let snapshot = Snapshot {
            board: self.current.as_ref()?,
            history: History::of(self.points.iter()),
        };
        serde_json::to_string(&snapshot).ok()
    }
}

impl Board {
    /// One that has not looked yet.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self {
            shared: Arc::new(Shared {
                sources,
                stage: Mutex::default(),
                frames: broadcast::Sender::new(BEHIND),
            }),
        }
    }

    /// Where its numbers come from.
    pub(crate) fn sources(&self) -> &Sources {
        &self.shared.sources
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.shared
            .stage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to watch: the snapshot, if there has been a look, and every frame
    /// from then on. Must be called inside a runtime.
    fn watch(&self) -> (Option<String>, broadcast::Receiver<Bytes>) {
        let mut stage = self.stage();
        let frames = self.shared.frames.subscribe();
        if stage.gatherer.as_ref().is_none_or(JoinHandle::is_finished) {
            stage.current = None;
            stage.gatherer = Some(tokio::spawn(gather::run(self.clone())));
        }
        (stage.snapshot(), frames)
    }

    /// The newest snapshot, for whoever is behind.
    fn snapshot(&self) -> Option<String> {
        self.stage().snapshot()
    }

    fn is_watched(&self) -> bool {
        self.shared.frames.receiver_count() > 0
    }

    /// Ends the gatherer's work, unless somebody has begun to watch.
    fn put_away(&self) -> bool {
        let mut stage = self.stage();
        if self.is_watched() {
            return false;
        }
        stage.gatherer = None;
        stage.current = None;
        true
    }

    /// Tells every watcher what changed.
    fn publish(&self, view: &View) {
        let Ok(now) = serde_json::to_value(view) else {
            return;
        };
        let mut stage = self.stage();
        stage.points.push_back(Point::of(view));
        while stage.points.len() > POINTS {
            stage.points.pop_front();
        }
        let frame = match stage.current.replace(now) {
            None => stage.snapshot().map(|text| frame("snapshot", &text)),
            Some(before) => stage
                .current
                .as_ref()
                .and_then(|now| patch::between(&before, now))
                .map(|patch| frame("patch", &patch.to_string())),
        };
        if let Some(frame) = frame {
            // Nobody watches: that is for the gatherer to find out.
            let _ = self.shared.frames.send(frame);
        }
    }
}

/// An event as the browser's `EventSource` reads it. JSON has no line breaks.
fn frame(event: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {event}\ndata: {data}\n\n"))
}
