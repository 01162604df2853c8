//! Polls the edges' `/metrics`, each over a connection that stays open and in a task
//! of its own: an edge that hangs delays no other.

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

use super::edge_metrics::{self, EdgeMetrics};
use super::rate::{GateCounts, Rate, RateMeter};

/// How often each edge is polled.
const EVERY: Duration = Duration::from_millis(500);
/// Timeout of one request.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// Largest page that is read, in bytes.
const MAX_PAGE: usize = 512 * 1024;

/// The last known state of an edge.
#[derive(Debug, Clone, Default)]
pub(super) struct EdgeState {
    /// Its last metrics.
    pub(super) metrics: EdgeMetrics,
    /// Requests per second.
    pub(super) rate: Option<Rate>,
    /// Requests at its gate since it started, and before restarts that were seen.
    pub(super) total: GateCounts,
    /// Why it does not respond; `None` while it does.
    pub(super) away: Option<String>,
}

/// A client for the edges' metrics.
pub(super) type Http = Client<HttpConnector, Empty<Bytes>>;

/// A client whose connections stay open.
pub(super) fn client() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

/// The edges' last known states, by `host:port`; empty until they were polled.
pub(super) type EdgeStates = Arc<Mutex<BTreeMap<String, EdgeState>>>;

/// Follows the edges at these addresses until the set of tasks is dropped.
pub(super) fn follow(addresses: &[Uri]) -> (EdgeStates, JoinSet<()>) {
    let states = EdgeStates::default();
    let mut tasks = JoinSet::new();
    let http = client();
    for address in addresses {
        tasks.spawn(follow_one(
            http.clone(),
            address.clone(),
            Arc::clone(&states),
        ));
    }
    (states, tasks)
}

/// What the board calls an edge.
pub(super) fn name_of(address: &Uri) -> String {
    let host = address.host().unwrap_or_default();
    format!("{host}:{}", address.port_u16().unwrap_or(80))
}

async fn follow_one(http: Http, address: Uri, states: EdgeStates) {
    let name = name_of(&address);
    let (started, mut meter) = (Instant::now(), RateMeter::default());
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let response = timeout(TIMEOUT, fetch(&http, &address)).await;
        let metrics = response.unwrap_or_else(|_| Err(format!("no response within {TIMEOUT:?}")));
        let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut all = states.lock().unwrap_or_else(PoisonError::into_inner);
        let edge = all.entry(name.clone()).or_default();
        match metrics {
            Ok(metrics) => {
                meter.add(now_ms, metrics.gate.clone());
                edge.total = meter.total().clone();
                edge.metrics = metrics;
                edge.away = None;
            }
            Err(reason) => {
                meter.reset();
                edge.away = Some(reason);
            }
        }
        edge.rate = meter.rate();
    }
}

/// Fetches the metrics once.
pub(super) async fn fetch(http: &Http, address: &Uri) -> Result<EdgeMetrics, String> {
    let response = http.get(address.clone()).await;
    let response = response.map_err(|error| cause(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_PAGE).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    match status {
        StatusCode::OK => edge_metrics::read(&String::from_utf8_lossy(&body))
            .ok_or_else(|| format!("{address} is no page of the module's metrics")),
        StatusCode::FORBIDDEN => Err(format!(
            "{address} is forbidden to this machine; allow its address in the edge's \"location = /metrics\""
        )),
        other => Err(format!("{address} responds with {other}")),
    }
}

/// The root cause of an error: "connection refused", not "client error".
fn cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
