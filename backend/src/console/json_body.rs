//! Request bodies read as JSON.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};

use super::error::ConsoleError;

/// A JSON body. One that cannot be read is refused with a sentence that says why.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ConsoleError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ConsoleError> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::JsonDataError(error)) => {
                Err(ConsoleError::BadRequest(format!("{}.", error.body_text())))
            }
            Err(error) => Err(ConsoleError::BadRequest(format!(
                "This is not what was expected here: {}.",
                error.body_text()
            ))),
        }
    }
}
