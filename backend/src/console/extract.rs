//! Paths and queries of requests: what cannot be read is refused in JSON with a code, as
//! everything at the console, and control characters get no further. No name has one, and
//! PostgreSQL refuses a whole statement for a zero byte.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use seckill_core::sale::reasons::on_one_line;
use serde::de::DeserializeOwned;

use super::error::ConsoleError;

/// The parameters of a path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ConsoleError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ConsoleError> {
        if let Ok(names) = RawPathParams::from_request_parts(parts, state).await
            && let Some((_, name)) = names.iter().find(|(_, name)| has_control(name))
        {
            let name = on_one_line(name);
            let message = format!("There is nothing of the name \"{name}\".");
            return Err(ConsoleError::NotFound(message));
        }
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(names)) => Ok(Self(names)),
            Err(error) => Err(ConsoleError::BadRequest(format!(
                "The path cannot be read: {}.",
                error.body_text()
            ))),
        }
    }
}

/// The parameters of a query. Those that are not known are refused by `T`: a filter that
/// is mistyped must not find everything.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ConsoleError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ConsoleError> {
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if has_control(&name) || has_control(&value) {
                let (name, value) = (on_one_line(&name), on_one_line(&value));
                return Err(ConsoleError::BadRequest(format!(
                    "{name} = \"{value}\" has a control character in it; write it without."
                )));
            }
        }
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(error) => Err(ConsoleError::BadRequest(format!("{}.", error.body_text()))),
        }
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}
