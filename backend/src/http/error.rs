//! Error responses: JSON with a stable code, as the HTTP contract describes it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seckill_core::Verdict;

/// The error response of a [`Verdict`]. The cause of an `unavailable` is logged where
/// it happens and never sent to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiError(pub Verdict);

impl From<Verdict> for ApiError {
    fn from(verdict: Verdict) -> Self {
        Self(verdict)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(verdict) = self;
        let status =
            StatusCode::from_u16(verdict.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let mut response = json_response(status, verdict.json().to_owned());
        if let Some(seconds) = verdict.retry_after_s() {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A JSON response that no cache may store.
pub fn json_response(status: StatusCode, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}

/// The response to an unknown path.
pub async fn not_found() -> ApiError {
    ApiError(Verdict::NotFound)
}

/// The response to a known path with a wrong method.
pub async fn wrong_method() -> ApiError {
    ApiError(Verdict::BadRequest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_answers_with_its_status_and_is_never_cached() {
        for verdict in Verdict::ALL {
            let response = ApiError(verdict).into_response();
            assert_eq!(response.status().as_u16(), verdict.status());
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            assert_eq!(
                response.headers().contains_key(header::RETRY_AFTER),
                verdict.retry_after_s().is_some()
            );
        }
    }
}
