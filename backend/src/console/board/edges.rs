//! Reads the edges' `/metrics`, each over a connection that stays open, each by
//! itself: one that hangs holds up nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::meter::{Counted, Meter, Rate};
use super::metrics::{self, Reading};

/// How often each edge is asked.
const EVERY: Duration = Duration::from_millis(500);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Largest page that is read, in bytes.
const MAX_PAGE: usize = 512 * 1024;

/// How an edge stands.
#[derive(Debug, Clone, Default)]
pub(super) struct EdgeSeen {
    /// Its last answer.
    pub(super) reading: Reading,
    /// Requests a second.
    pub(super) rate: Option<Rate>,
    /// All that it counted, over restarts that were seen.
    pub(super) total: Counted,
    /// Why it does not answer; `None` while it does.
    pub(super) away: Option<String>,
}

type Http = Client<HttpConnector, Empty<Bytes>>;

/// The edges, by `host:port`, as they were seen last; empty until they were asked.
pub(super) type Seen = Arc<Mutex<BTreeMap<String, EdgeSeen>>>;

/// Follows the edges at these addresses until the set of tasks is dropped.
pub(super) fn follow(addresses: &[Uri]) -> (Seen, JoinSet<()>) {
    let seen = Seen::default();
    let mut tasks = JoinSet::new();
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    for address in addresses {
        tasks.spawn(follow_one(http.clone(), address.clone(), Arc::clone(&seen)));
    }
    (seen, tasks)
}

/// What the board calls an edge.
pub(super) fn name_of(address: &Uri) -> String {
    let host = address.host().unwrap_or_default();
    format!("{host}:{}", address.port_u16().unwrap_or(80))
}

async fn follow_one(http: Http, address: Uri, seen: Seen) {
    let name = name_of(&address);
    let (started, mut meter) = (Instant::now(), Meter::default());
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = timeout(PATIENCE, ask(&http, &address)).await;
        let answer = asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut all = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let edge = all.entry(name.clone()).or_default();
        match answer {
            Ok(reading) => {
                meter.saw(now_ms, reading.counted.clone());
                edge.total = meter.total().clone();
                edge.reading = reading;
                edge.away = None;
            }
            Err(reason) => {
                meter.lost();
                edge.away = Some(reason);
            }
        }
        edge.rate = meter.rate();
    }
}

/// One question.
async fn ask(http: &Http, address: &Uri) -> Result<Reading, String> {
    let asked = http.get(address.clone()).await;
    let response = asked.map_err(|error| cause(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_PAGE).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    match status {
        StatusCode::OK => metrics::read(&String::from_utf8_lossy(&body))
            .ok_or_else(|| format!("{address} is no page of the module's metrics")),
        StatusCode::FORBIDDEN => Err(format!(
            "{address} is forbidden to this machine; allow its address in the edge's \"location = /metrics\""
        )),
        other => Err(format!("{address} answers {other}")),
    }
}

/// What lies at the bottom of an error: "connection refused", not "client error".
fn cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
