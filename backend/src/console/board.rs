//! The live board: what the whole system does at this moment, for those who run a
//! sale.
//!
//! One poller per process polls Redis, the edges and the database, while somebody
//! watches and for half a minute longer. However many watch, each poll is made and
//! serialized once; a watcher costs what it takes to send the bytes.
//!
//! `api` serves what `poller` publishes; the other files each read or judge one kind
//! of number. They use Redis, the store and plain HTTP, and nothing of the rest of the
//! console.

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
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, QueueKind};
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::store::LazyStore;

/// Judges what is wrong by the numbers of one poll.
pub mod alerts;
/// The board over HTTP.
pub mod api;
/// Reads an edge's `/metrics`.
mod edge_metrics;
/// Polls the edges.
mod edges;
/// Posts the alerts to a system of the shop's.
pub mod hook;
/// The board for Prometheus.
mod metrics;
/// Orders as the database counts them.
mod orders;
/// How fast the items of a round are taken.
mod pace;
/// The recorded past over HTTP.
pub mod past;
/// The difference between two snapshots.
mod patch;
/// Pipelines in which one command may fail without the others.
mod pipeline;
/// Polls everything and publishes a board of it.
mod poller;
/// The rounds and products that the board shows.
mod products;
/// Rates from counters.
mod rate;
/// Records the board's numbers, always.
pub(crate) mod recorder;
/// Numbers of the site as a whole: queues, living edges, bans.
mod site;
/// Stock and permits.
mod stock;
/// The board as it is sent.
mod view;
/// Visitors, as the access logs were counted.
mod visitors;

use view::{History, Point, View};

/// How long to wait for the first poll.
const FIRST_POLL: Duration = Duration::from_secs(3);
/// How long a board that nobody watches is kept.
const LINGER: Duration = Duration::from_secs(30);
/// Points that are kept for the charts: five minutes.
const POINTS: usize = 750;
/// Frames that a watcher may be behind before it gets a whole snapshot again.
const BEHIND: usize = 16;

/// What the board reads, and for how long.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The main Redis.
    pub redis: RedisLink,
    /// The Redis masters of the stock's segments.
    pub segments: Segments,
    /// The database.
    pub store: LazyStore,
    /// The addresses of the edges' `/metrics`.
    pub edges: Vec<Uri>,
    /// Whether the queue is in Redis, where its length can be read.
    pub in_streams: bool,
    /// The time zone whose midnight separates the days.
    pub time_zone: TimeZone,
    /// How long to go on when nobody watches any more, so that a reload of the page
    /// finds its charts again.
    pub linger: Duration,
    /// Ends all streams.
    pub stop: CancellationToken,
}

impl Sources {
    /// The sources that `config` names.
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
    latest: Mutex<Latest>,
    frames: broadcast::Sender<Bytes>,
}

#[derive(Debug, Default)]
struct Latest {
    poller: Option<JoinHandle<()>>,
    /// What every watcher has; `None` before the first poll.
    current: Option<Value>,
    /// The same before it was written as JSON.
    view: Option<View>,
    points: VecDeque<Point>,
}

/// A snapshot as it is sent.
#[derive(Serialize)]
struct Snapshot<'a> {
    board: &'a Value,
    history: History,
}

impl Latest {
    fn snapshot(&self) -> Option<String> {
        let snapshot = Snapshot {
            board: self.current.as_ref()?,
            history: History::of(self.points.iter()),
        };
        serde_json::to_string(&snapshot).ok()
    }
}

impl Board {
    /// A board that polls nothing yet.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self {
            shared: Arc::new(Shared {
                sources,
                latest: Mutex::default(),
                frames: broadcast::Sender::new(BEHIND),
            }),
        }
    }

    /// What it reads.
    pub(crate) fn sources(&self) -> &Sources {
        &self.shared.sources
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.shared
            .latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to watch: the snapshot, if there has been a poll, and every frame from
    /// then on. Must be called inside a runtime.
    fn watch(&self) -> (Option<String>, broadcast::Receiver<Bytes>) {
        let mut latest = self.latest();
        let frames = self.shared.frames.subscribe();
        if latest.poller.as_ref().is_none_or(JoinHandle::is_finished) {
            (latest.current, latest.view) = (None, None);
            latest.poller = Some(tokio::spawn(poller::run(self.clone())));
        }
        (latest.snapshot(), frames)
    }

    /// The numbers for Prometheus, which is one who watches: after its scrape the board
    /// is kept for a while, as after any other.
    pub async fn metrics(&self) -> String {
        let (first, mut frames) = self.watch();
        if first.is_none() {
            // The first frame arrives after the first poll.
            let _ = timeout(FIRST_POLL, frames.recv()).await;
        }
        metrics::text(self.latest().view.as_ref())
    }

    /// What is wrong at the moment; `None` before the first poll. Whoever asks watches.
    pub(crate) async fn alerts(&self) -> Option<Vec<alerts::Alert>> {
        let (first, mut frames) = self.watch();
        if first.is_none() {
            let _ = timeout(FIRST_POLL, frames.recv()).await;
        }
        let latest = self.latest();
        latest.view.as_ref().map(|view| view.alerts.clone())
    }

    /// The newest snapshot, for a watcher who is behind.
    fn snapshot(&self) -> Option<String> {
        self.latest().snapshot()
    }

    fn is_watched(&self) -> bool {
        self.shared.frames.receiver_count() > 0
    }

    /// Lets the poller end, unless somebody has begun to watch.
    fn stop_unless_watched(&self) -> bool {
        let mut latest = self.latest();
        if self.is_watched() {
            return false;
        }
        latest.poller = None;
        (latest.current, latest.view) = (None, None);
        true
    }

    /// Sends every watcher what changed.
    fn publish(&self, view: &View) {
        let Ok(now) = serde_json::to_value(view) else {
            return;
        };
        let mut latest = self.latest();
        latest.points.push_back(Point::of(view));
        latest.view = Some(view.clone());
        while latest.points.len() > POINTS {
            latest.points.pop_front();
        }
        let frame = match latest.current.replace(now) {
            None => latest.snapshot().map(|text| frame("snapshot", &text)),
            Some(before) => latest
                .current
                .as_ref()
                .and_then(|now| patch::between(&before, now))
                .map(|patch| frame("patch", &patch.to_string())),
        };
        if let Some(frame) = frame {
            // An error means that nobody watches, which the poller checks itself.
            let _ = self.shared.frames.send(frame);
        }
    }
}

/// An event as the browser's `EventSource` reads it. JSON has no line breaks.
fn frame(event: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {event}\ndata: {data}\n\n"))
}
