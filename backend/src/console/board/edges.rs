//! Polls the edges' `/metrics`, each over a connection that stays open and in a task
//! of its own: an edge that hangs delays no other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::edge_metrics::{self, EdgeMetrics};
use super::rate::{GateCounts, Rate, RateMeter};
use crate::config::masked_url;
use crate::http::client::HttpClient;

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

/// The edges' last known states, by `host:port`; empty until they were polled.
pub(super) type EdgeStates = Arc<Mutex<BTreeMap<String, EdgeState>>>;

/// Follows the edges at these addresses until the set of tasks is dropped.
pub(super) fn follow(addresses: &[Uri]) -> (EdgeStates, JoinSet<()>) {
    let states = EdgeStates::default();
    let mut tasks = JoinSet::new();
    for address in addresses {
        tasks.spawn(follow_one(PolledEdge::new(address), Arc::clone(&states)));
    }
    (states, tasks)
}

/// An edge whose metrics are polled, by HTTP or HTTPS.
pub(super) struct PolledEdge {
    /// What the board calls it: its `host:port`.
    pub(super) name: String,
    address: Uri,
    /// Keeps its connection; else why there is none.
    client: Result<HttpClient, String>,
}

async fn follow_one(edge: PolledEdge, states: EdgeStates) {
    let (started, mut meter) = (Instant::now(), RateMeter::default());
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let response = timeout(TIMEOUT, edge.fetch()).await;
        let metrics = response.unwrap_or_else(|_| Err(format!("no response within {TIMEOUT:?}")));
        let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut all = states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = all.entry(edge.name.clone()).or_default();
        match metrics {
            Ok(metrics) => {
                meter.add(now_ms, metrics.gate.clone());
                state.total = meter.total().clone();
                state.metrics = metrics;
                state.away = None;
            }
            Err(reason) => {
                meter.reset();
                state.away = Some(reason);
            }
        }
        state.rate = meter.rate();
    }
}

impl PolledEdge {
    pub(super) fn new(address: &Uri) -> Self {
        let (scheme, host) = (address.scheme_str(), address.host().unwrap_or_default());
        let usual = if scheme == Some("https") { 443 } else { 80 };
        Self {
            name: format!("{host}:{}", address.port_u16().unwrap_or(usual)),
            address: address.clone(),
            client: HttpClient::new(scheme).map_err(|error| error.to_string()),
        }
    }

    /// Fetches the metrics once.
    pub(super) async fn fetch(&self) -> Result<EdgeMetrics, String> {
        let request = Request::get(self.address.clone()).body(Full::new(Bytes::new()));
        let request = request.map_err(|error| error.to_string())?;
        let response = self.client.as_ref()?.send(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_PAGE).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        // It may hold credentials, and everybody at the console reads why an edge is away.
        let address = masked_url(&self.address.to_string());
        match status {
            StatusCode::OK => edge_metrics::read(&String::from_utf8_lossy(&body))
                .ok_or_else(|| format!("{address} is no page of the module's metrics")),
            StatusCode::FORBIDDEN => Err(format!(
                "{address} is forbidden to this machine; allow its address in the edge's \"location = /metrics\""
            )),
            other => Err(format!("{address} responds with {other}")),
        }
    }
}
