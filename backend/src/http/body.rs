//! Request bodies where none belong.

use axum::body::{Body, HttpBody as _};
use seckill_core::Verdict;

use super::error::ApiError;

/// Whether there is a body.
pub(crate) fn has_body(body: &Body) -> bool {
    !body.is_end_stream()
}

/// Refuses a request with a body.
///
/// # Errors
/// `bad_request`, if there is one.
pub(crate) fn refuse_body(body: &Body) -> Result<(), ApiError> {
    if has_body(body) {
        Err(ApiError(Verdict::BadRequest))
    } else {
        Ok(())
    }
}
