//! Counts what a role serves, and serves what was counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::metrics;
use crate::metrics::requests::{self, NO_ROUTE};

/// Metrics that a role reads when it is asked for them, besides what its process counts.
pub(crate) type MoreMetrics =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// `router`, whose requests are counted, with `GET /metrics`.
pub(crate) fn observed(role: &'static str, router: Router, more: Option<MoreMetrics>) -> Router {
    let counted = router.layer(from_fn_with_state(role, count));
    counted.merge(metrics_router(more))
}

/// `GET /metrics` alone.
pub(crate) fn metrics_router(more: Option<MoreMetrics>) -> Router {
    Router::new().route("/metrics", get(serve)).with_state(more)
}

async fn serve(State(more): State<Option<MoreMetrics>>) -> impl IntoResponse {
    let mut text = metrics::of_process();
    if let Some(more) = more {
        text.push_str(&more().await);
    }
    let format = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], text)
}

async fn count(State(role): State<&'static str>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = known(request.method().as_str());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let path = path.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let status = response.status().as_u16();
    requests::count(role, method, path, status, began.elapsed());
    response
}

/// The method as a label. A client may invent methods, but no series.
fn known(method: &str) -> &'static str {
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
    let found = methods.into_iter().find(|known| *known == method);
    found.unwrap_or("other")
}
