//! A steady stream of clicks that were signed beforehand, in step with the clock
//! whatever the responses are, spread over several edges as a load balancer does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::Method;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::{Call, CallError, Edge};

/// How often due clicks are sent.
const TICK: Duration = Duration::from_millis(2);
/// The request id of every click: with ids of their own, all but the first click of a
/// buyer would be refused as second clicks.
const REQUEST: &str = "pace";

/// A purchase that only has to be sent.
#[derive(Debug, Clone)]
pub struct Click {
    path: String,
    cookie: String,
}

impl Click {
    /// Reads a line `path TAB session`.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (path, session) = line.split_once('\t')?;
        (path.starts_with('/') && !session.is_empty()).then(|| Self {
            path: path.to_owned(),
            cookie: format!("seckill_session={session}"),
        })
    }
}

/// How to click.
#[derive(Debug, Clone)]
pub struct Options {
    /// Addresses of the edges, `host:port`.
    pub edges: Vec<String>,
    /// Clicks a second at all edges together.
    pub rate: u64,
    /// How long to click.
    pub time: Duration,
    /// Connections to each edge.
    pub connections: usize,
}

/// The responses, counted.
#[derive(Debug, Serialize)]
pub struct PaceReport {
    /// Clicks that were sent.
    pub sent: u64,
    /// From the first click to the last, in ms.
    pub elapsed_ms: u64,
    /// Responses by code; 2xx by their status.
    pub codes: BTreeMap<String, u64>,
    /// Edges that could not be reached any more.
    pub lost_edges: usize,
}

/// Why the clicks could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum PaceError {
    /// The file holds no click.
    #[error("there are no clicks: each line must be a path, a tab and a session")]
    NoClicks,
    /// No edge can be reached.
    #[error("no edge is left that can be reached")]
    NoEdges,
    /// A task of this program panicked.
    #[error("a click was lost: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Sends `clicks`, round and round.
///
/// # Errors
/// [`PaceError`]; refusals are no errors, they are counted.
pub async fn run(clicks: &[Click], options: &Options) -> Result<PaceReport, PaceError> {
    if clicks.is_empty() {
        return Err(PaceError::NoClicks);
    }
    let mut edges: Vec<Arc<Target>> = options
        .edges
        .iter()
        .map(|authority| Arc::new(Target::new(authority, options.connections)))
        .collect();
    let mut under_way = JoinSet::new();
    let mut ticks = interval(TICK);
    // What a late tick missed is sent with the next.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (began, mut sent) = (Instant::now(), 0u64);
    while began.elapsed() < options.time {
        ticks.tick().await;
        edges.retain(|edge| !edge.is_lost());
        if edges.is_empty() {
            return Err(PaceError::NoEdges);
        }
        let now_due = due(options.rate, began.elapsed());
        for number in sent..now_due {
            let click = clicks[index(number, clicks.len())].clone();
            let edge = Arc::clone(&edges[index(number, edges.len())]);
            under_way.spawn(async move { edge.send(&click).await });
        }
        sent = sent.max(now_due);
    }
    let elapsed = began.elapsed();
    let mut codes = BTreeMap::new();
    while let Some(code) = under_way.join_next().await {
        *codes.entry(code?).or_default() += 1;
    }
    Ok(PaceReport {
        sent,
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        codes,
        lost_edges: options.edges.len() - edges.len(),
    })
}

fn due(rate: u64, elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros() * u128::from(rate) / 1_000_000).unwrap_or(u64::MAX)
}

fn index(number: u64, length: usize) -> usize {
    usize::try_from(number % length as u64).unwrap_or_default()
}

/// One edge, and whether it is still there.
#[derive(Debug)]
struct Target {
    edge: Edge,
    lost: Mutex<bool>,
}

impl Target {
    fn new(authority: &str, connections: usize) -> Self {
        Self {
            edge: Edge::new(authority, connections),
            lost: Mutex::new(false),
        }
    }

    fn is_lost(&self) -> bool {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, click: &Click) -> String {
        let call = Call {
            cookie: Some(&click.cookie),
            request: Some(REQUEST),
            ..Call::new(&Method::POST, &click.path)
        };
        match self.edge.call(call).await {
            Ok(answer) => answer.code(),
            Err(CallError::Connection(_)) => {
                *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = true;
                "no_connection".to_owned()
            }
            Err(CallError::Timeout) => "no_answer".to_owned(),
            Err(CallError::Request(_)) => "malformed".to_owned(),
        }
    }
}
