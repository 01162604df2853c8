//! Every refusal of this back end is the contract's JSON with its stable code.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seckill_core::Verdict;

/// A request that is not served. Built from a [`Verdict`]; what caused an
/// `unavailable` is logged where it happens and never told to the client.
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

/// A JSON answer that no cache may keep.
pub fn json_response(status: StatusCode, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}

/// The answer to a path that leads nowhere.
pub async fn not_found() -> ApiError {
    ApiError(Verdict::NotFound)
}

/// The answer to a path that exists, asked with the wrong method.
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
