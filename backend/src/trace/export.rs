//! Sends recorded spans to the collector in batches. One that is away or hangs is tried
//! again with growing pauses; meanwhile the buffer fills, and what does not fit into it is
//! dropped where it is recorded.

use std::time::Duration;

use axum::http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Span, otlp};
use crate::config::masked_url;
use crate::http::client::HttpClient;
use crate::metrics;
use crate::time::periodic;

/// Spans in one request, at most.
const BATCH: usize = 1024;
/// How long spans are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(500);
/// Longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The first pause after a request that failed, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Most bytes of a response that are read.
const RESPONSE: usize = 64 * 1024;

/// Where spans are sent, and how that goes.
pub(super) struct Sending {
    client: HttpClient,
    to: Uri,
    host: String,
    failing: bool,
    stop: CancellationToken,
}

/// Why a request failed.
enum Failure {
    /// It may work later.
    Passing(String),
    /// The collector never takes it.
    Refused(String),
}

impl Sending {
    /// To the collector whose address, without the signal's path, is `url`.
    pub(super) fn to(url: &Uri, stop: CancellationToken) -> std::io::Result<Self> {
        let base = url.to_string();
        let base = base.trim_end_matches('/').trim_end_matches("/v1/traces");
        let to = format!("{base}/v1/traces");
        let to = to.parse().map_err(std::io::Error::other)?;
        let host = nix::unistd::gethostname().unwrap_or_default();
        Ok(Self {
            client: HttpClient::new(url.scheme_str())?,
            to,
            host: host.to_string_lossy().into_owned(),
            failing: false,
            stop,
        })
    }

    /// Sends until it is to stop, and then what is left.
    pub(super) async fn run(mut self, mut recorded: mpsc::Receiver<Span>) {
        let mut batch = Vec::with_capacity(BATCH);
        while !self.stop.is_cancelled() {
            tokio::select! {
                _ = recorded.recv_many(&mut batch, BATCH) => {}
                () = self.stop.cancelled() => {}
            }
            if batch.len() + recorded.len() < BATCH {
                periodic::sleep(&self.stop, GATHER).await;
            }
            fill(&mut batch, &mut recorded);
            self.deliver(&mut batch).await;
        }
        fill(&mut batch, &mut recorded);
        while !batch.is_empty() {
            self.deliver(&mut batch).await;
            fill(&mut batch, &mut recorded);
        }
    }

    /// Sends a batch until the collector has it or refuses it, and empties it. While this
    /// process is to stop, one attempt is all.
    async fn deliver(&mut self, batch: &mut Vec<Span>) {
        let mut pause = PAUSE;
        while !batch.is_empty() {
            let reason = match self.post(batch).await {
                Ok(rejected) => {
                    metrics::SPANS_DROPPED.add(rejected);
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("traces reach their collector again");
                    }
                    return batch.clear();
                }
                Err(Failure::Passing(reason)) if !self.stop.is_cancelled() => reason,
                Err(Failure::Passing(reason) | Failure::Refused(reason)) => {
                    metrics::SPANS_DROPPED.add(batch.len());
                    batch.clear();
                    reason
                }
            };
            if !std::mem::replace(&mut self.failing, true) {
                let to = masked_url(&self.to.to_string());
                tracing::warn!(%to, reason, "traces do not reach their collector; purchases go on without");
            }
            if !batch.is_empty() {
                periodic::sleep(&self.stop, pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Returns how many spans the collector rejected.
    async fn post(&self, batch: &[Span]) -> Result<usize, Failure> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.to)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "seckill")
            .body(Full::from(otlp::request(batch, &self.host)))
            .map_err(|error| Failure::Refused(error.to_string()))?;
        let answered = tokio::time::timeout(TIMEOUT, async {
            let response = self.client.send(request).await.map_err(Failure::Passing)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), RESPONSE).collect().await;
            // What it says beside a status is only for the count.
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            Ok::<_, Failure>((status, body))
        });
        let (status, body) = answered.await.map_err(|_| {
            Failure::Passing(format!("no response within {} s", TIMEOUT.as_secs()))
        })??;
        let reason = || format!("the collector responded {status}");
        match status {
            _ if status.is_success() => Ok(otlp::rejected(&body)),
            // Those that the protocol calls retryable.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Failure::Passing(reason())),
            _ => Err(Failure::Refused(reason())),
        }
    }
}

/// Moves what was recorded into the batch, as far as it has room.
fn fill(batch: &mut Vec<Span>, recorded: &mut mpsc::Receiver<Span>) {
    while batch.len() < BATCH
        && let Ok(span) = recorded.try_recv()
    {
        batch.push(span);
    }
}
