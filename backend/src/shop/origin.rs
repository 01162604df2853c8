//! Refuses what a page of another site posts in a buyer's name.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use seckill_core::gate::origin::Whence;
use seckill_core::permits::outcome::{self, Outcome};

use super::state::ShopState;
use crate::http::error::json_response;

const FOREIGN: &str = r#"{"code":"foreign_request","message":"This request comes from another site. Use the shop's own page."}"#;

/// Lets a request pass that changes nothing, or that comes from a page of ours.
pub(super) async fn refuse_foreign(
    State(state): State<Arc<ShopState>>,
    request: Request,
    next: Next,
) -> Response {
    let is_read = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if is_read || whence(request.headers()).is_ours(&state.names.origins) {
        return next.run(request).await;
    }
    tracing::info!(
        origin = ?request.headers().get(header::ORIGIN),
        host = ?request.headers().get(header::HOST),
        "a request of another site's page is refused; if it is the shop's, list it in shop_origins"
    );
    let mut response = json_response(StatusCode::FORBIDDEN, FOREIGN.to_owned());
    // Should it be a purchase that an edge let pass, its permit bought nothing.
    response.headers_mut().insert(
        HeaderName::from_static(outcome::HEADER),
        HeaderValue::from_static(Outcome::Unused.as_str()),
    );
    response
}

fn whence(headers: &HeaderMap) -> Whence<'_> {
    let bytes = |name: &str| headers.get(name).map(|value| value.as_bytes());
    Whence {
        origin: bytes("origin"),
        fetch_site: bytes("sec-fetch-site"),
        host: bytes("host"),
    }
}
