//! `GET /ops/api/board`: a snapshot. `GET /ops/api/board/stream`: the same as
//! server-sent events, `snapshot` first and at any time, `patch` (RFC 7386) after,
//! and `alive` every ten seconds in which nothing changes.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRef, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use seckill_core::Verdict;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::{Board, FIRST_POLL};
use crate::http::error::{ApiError, json_response};

/// How long a stream lasts. The browser then reconnects, and its session is checked:
/// after a logout a stream lasts no longer than this.
const LIFE: Duration = Duration::from_secs(600);
/// After this long without a change the event `alive` is sent, so that neither the
/// page nor a proxy in between takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Frames that may wait for one watcher's network.
const QUEUED_FRAMES: usize = 2;

/// The board's paths, to be merged behind the console's guard.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Board: FromRef<S>,
{
    Router::new()
        .route("/ops/api/board", get(snapshot))
        .route("/ops/api/board/stream", get(stream))
}

/// The board as it is now: `board`, and `history` for its charts.
#[utoipa::path(get, path = "/ops/api/board", tag = "board", responses(
    (status = 200, description = "Alerts, funnel, edges, queue, orders, rounds, products"),
    (status = 503, description = "Nothing could be read in time"),
))]
pub(crate) async fn snapshot(State(board): State<Board>) -> Result<Response, ApiError> {
    let (first, mut frames) = board.watch();
    let text = match first {
        Some(text) => Some(text),
        None => {
            // The first frame arrives after the first poll.
            let _ = timeout(FIRST_POLL, frames.recv()).await;
            board.snapshot()
        }
    };
    let text = text.ok_or(ApiError(Verdict::Unavailable))?;
    Ok(json_response(StatusCode::OK, text))
}

/// The same as server-sent events: `snapshot` first and whenever a watcher was
/// behind, then `patch`, a JSON merge patch of `board`; `alive` when nothing changes.
#[utoipa::path(get, path = "/ops/api/board/stream", tag = "board", responses(
    (status = 200, description = "text/event-stream"),
))]
pub(crate) async fn stream(State(board): State<Board>) -> Response {
    let (first, frames) = board.watch();
    let (to_watcher, sent) = mpsc::channel(QUEUED_FRAMES);
    tokio::spawn(send(board, first, frames, to_watcher));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // An nginx in front forwards each event at once.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let frames = ReceiverStream::new(sent).map(Ok::<_, Infallible>);
    (headers, Body::from_stream(frames)).into_response()
}

/// Sends frames until the watcher leaves or the role stops. A watcher who is behind
/// gets a whole snapshot, and costs no memory.
async fn send(
    board: Board,
    first: Option<String>,
    mut frames: Receiver<Bytes>,
    to_watcher: mpsc::Sender<Bytes>,
) {
    let stop = board.sources().stop.clone();
    let end = tokio::time::Instant::now() + LIFE;
    let mut next = first.map(|text| super::frame("snapshot", &text));
    loop {
        if let Some(frame) = next.take() {
            let sent = tokio::select! {
                () = stop.cancelled() => return,
                sent = to_watcher.send(frame) => sent,
            };
            if sent.is_err() {
                return;
            }
        }
        let frame = tokio::select! {
            () = stop.cancelled() => return,
            () = to_watcher.closed() => return,
            () = tokio::time::sleep_until(end) => return,
            frame = timeout(KEEP_ALIVE, frames.recv()) => frame,
        };
        next = match frame {
            Err(_) => Some(super::frame("alive", "{}")),
            Ok(Ok(frame)) => Some(frame),
            Ok(Err(RecvError::Lagged(_))) => {
                frames = frames.resubscribe();
                board.snapshot().map(|text| super::frame("snapshot", &text))
            }
            Ok(Err(RecvError::Closed)) => return,
        };
    }
}
