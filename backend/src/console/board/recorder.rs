//! Records what the board shows, always: a point every ten seconds, whether or not
//! somebody watches.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::edges::PolledEdge;
use super::rate::RateMeter;
use super::{Sources, site};
use crate::now_ms;
use crate::store::{Actor, Done};

/// The length of a point, in ms.
pub(crate) const EVERY_MS: u64 = 10_000;
/// Timeout of reading one part: what is late is missing from the point.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// How often old points are removed, in points: an hour.
const FORGET_EVERY: u64 = 360;
const DAY_MS: u64 = 86_400_000;

/// The numbers of one point; what could not be read is missing. Rates are means over
/// the point's length, per second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Recorded {
    /// Purchase requests at all gates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) received: Option<f64>,
    /// Requests admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) admitted: Option<f64>,
    /// Orders placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) orders: Option<f64>,
    /// Messages in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) depth: Option<u64>,
    /// How long messages waited, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) age_ms: Option<u64>,
}

/// Records until the role stops; keeps `keep_days` days. Nothing is recorded while
/// the database is away.
pub(crate) async fn run(
    sources: Sources,
    keep_days: u64,
    stop: tokio_util::sync::CancellationToken,
) {
    let edges: Vec<PolledEdge> = sources.edges.iter().map(PolledEdge::new).collect();
    let mut meters: BTreeMap<String, RateMeter> = BTreeMap::new();
    let mut before: Option<(u64, u64, u64)> = None;
    note_start(&sources).await;
    for n in 0_u64.. {
        let next = (now_ms() / EVERY_MS + 1) * EVERY_MS;
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(Duration::from_millis(next.saturating_sub(now_ms()))) => {}
        }
        let mut point = Recorded::default();
        if count(&edges, &mut meters).await {
            let total = |of: fn(&RateMeter) -> u64| meters.values().map(of).sum::<u64>();
            let received = total(|meter| meter.total().received());
            let admitted = total(|meter| meter.total().admitted);
            if let Some((at_ms, was_received, was_admitted)) = before {
                let seconds = next.saturating_sub(at_ms).max(1) as f64 / 1e3;
                let rate = |n: u64| (n as f64 / seconds * 10.0).round() / 10.0;
                point.received = Some(rate(received.saturating_sub(was_received)));
                point.admitted = Some(rate(admitted.saturating_sub(was_admitted)));
            }
            before = Some((next, received, admitted));
        } else {
            before = None;
        }
        let site = timeout(
            TIMEOUT,
            site::read(&sources.redis, sources.in_streams, next),
        )
        .await;
        if let Ok(Ok(site)) = site {
            point.depth = site.depth;
            point.age_ms = site.age_ms;
        }
        let Ok(store) = sources.store.get().await else {
            continue;
        };
        if let Ok(orders) = store.placed_between(next - EVERY_MS, next).await {
            point.orders = Some(orders as f64 / (EVERY_MS as f64 / 1e3));
        }
        // Numbers always serialize.
        let data = serde_json::to_string(&point).unwrap_or_default();
        if let Err(error) = store.record_history(next, &data).await {
            tracing::debug!(%error, "a point of the board's history was not recorded");
        }
        if n % FORGET_EVERY == 0 {
            let oldest = next.saturating_sub(keep_days.saturating_mul(DAY_MS));
            if let Err(error) = store.forget_history(oldest).await {
                tracing::debug!(%error, "old points of the board's history are kept for now");
            }
        }
    }
}

/// Reads every edge's counters; `false` if one is missing, so that no rate is made of
/// less than all of them.
async fn count(edges: &[PolledEdge], meters: &mut BTreeMap<String, RateMeter>) -> bool {
    let mut is_whole = !edges.is_empty();
    for edge in edges {
        match timeout(TIMEOUT, edge.fetch()).await {
            Ok(Ok(metrics)) => {
                let meter = meters.entry(edge.name.clone()).or_default();
                meter.add(now_ms(), metrics.gate);
            }
            _ => is_whole = false,
        }
    }
    is_whole
}

/// A start is marked in the charts: what changes after it may be the new version's doing.
async fn note_start(sources: &Sources) {
    let Ok(store) = sources.store.get().await else {
        return;
    };
    let done = Done {
        action: "system.start",
        target: env!("CARGO_PKG_VERSION").to_owned(),
        detail: serde_json::json!({ "role": "ops" }),
    };
    if let Err(error) = store.note_audit(&Actor::system(), &done, now_ms()).await {
        tracing::debug!(%error, "the start was not noted for the charts");
    }
}
