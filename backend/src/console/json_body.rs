//! Request bodies read as JSON.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use serde_json::Value;

use super::error::ConsoleError;

/// A JSON body. One that cannot be read is refused with a sentence that says why, and so is
/// a zero byte in any of its texts, for which PostgreSQL refuses a whole statement.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ConsoleError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ConsoleError> {
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let bytes = match Bytes::from_request(whole, state).await {
            Ok(bytes) => bytes,
            Err(error) => return Err(unexpected(&error.body_text())),
        };
        if has_zero(&bytes) {
            return Err(ConsoleError::BadRequest(
                "A text contains the control character U+0000; write it without.".to_owned(),
            ));
        }
        let request = Request::from_parts(parts, Body::from(bytes));
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::JsonDataError(error)) => {
                Err(ConsoleError::BadRequest(format!("{}.", error.body_text())))
            }
            Err(error) => Err(unexpected(&error.body_text())),
        }
    }
}

fn unexpected(what: &str) -> ConsoleError {
    ConsoleError::BadRequest(format!("This is not what was expected here: {what}."))
}

/// Whether a text of this JSON has a zero byte, which only an escape can write.
fn has_zero(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|part| part == br"\u0000")
        && serde_json::from_slice(bytes).is_ok_and(|value| holds_zero(&value))
}

fn holds_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_zero),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_zero(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_byte_is_found_where_it_is_and_not_where_it_is_only_written() {
        for with in [r#"{"a":["b\u0000"]}"#, r#"{"\u0000":1}"#, r#""\u0000""#] {
            assert!(has_zero(with.as_bytes()), "{with}");
        }
        for without in [r#"{"a":"\\u0000"}"#, r#"{"a":"\u0001"}"#, "{", ""] {
            assert!(!has_zero(without.as_bytes()), "{without}");
        }
    }
}
