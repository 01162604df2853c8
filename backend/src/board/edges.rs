//! Reads the edges' `/metrics`, each over a connection that stays open, each by
//! itself: one that hangs holds up nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
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

/// The edges, by `host:port`, as they were seen last; empty until they were asked.
pub(super) type Seen = Arc<Mutex<BTreeMap<String, EdgeSeen>>>;

/// Follows the edges at these addresses until the set of tasks is dropped.
pub(super) fn follow(addresses: &[Uri]) -> (Seen, JoinSet<()>) {
    let seen = Seen::default();
    let mut tasks = JoinSet::new();
    for address in addresses {
        tasks.spawn(follow_one(address.clone(), Arc::clone(&seen)));
    }
    (seen, tasks)
}

/// What the board calls an edge.
pub(super) fn name_of(address: &Uri) -> String {
    let host = address.host().unwrap_or_default();
    format!("{host}:{}", address.port_u16().unwrap_or(80))
}

async fn follow_one(address: Uri, seen: Seen) {
    let name = name_of(&address);
    let (started, mut meter, mut link) = (Instant::now(), Meter::default(), None);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = timeout(PATIENCE, ask(&mut link, &name, &address)).await;
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
                link = None;
                meter.lost();
                edge.away = Some(reason);
            }
        }
        edge.rate = meter.rate();
    }
}

/// One question. A connection that the edge has closed meanwhile, as it does at a
/// reload, is made anew before the edge counts as away.
async fn ask(
    link: &mut Option<SendRequest<Empty<Bytes>>>,
    name: &str,
    address: &Uri,
) -> Result<Reading, String> {
    if let Some(open) = link.as_mut().filter(|open| !open.is_closed())
        && let Ok(reading) = ask_on(open, name, address).await
    {
        return Ok(reading);
    }
    *link = None;
    let open = link.insert(connect(name).await?);
    ask_on(open, name, address).await
}

async fn connect(name: &str) -> Result<SendRequest<Empty<Bytes>>, String> {
    let stream = TcpStream::connect(name)
        .await
        .map_err(|error| error.to_string())?;
    let (open, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ends with the connection, or when nobody holds the sender any more.
    tokio::spawn(connection);
    Ok(open)
}

async fn ask_on(
    open: &mut SendRequest<Empty<Bytes>>,
    name: &str,
    address: &Uri,
) -> Result<Reading, String> {
    let failed = |error: hyper::Error| error.to_string();
    open.ready().await.map_err(failed)?;
    let path = address.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, name)
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let response = open.send_request(request).await.map_err(failed)?;
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
