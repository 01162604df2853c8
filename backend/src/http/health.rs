//! `GET /livez` and `GET /readyz`: two questions. Alive is whatever answers: to restart a
//! process that waits for its database brings nothing. Ready says whether it should get
//! work now, and which of its parts are away.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::error::json_response;

/// Whether a part that a role uses answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartHealth {
    /// It answers.
    Up,
    /// It does not.
    Away,
}

impl PartHealth {
    /// Makes it of a check's result.
    #[must_use]
    pub fn of(is_up: bool) -> Self {
        match is_up {
            true => PartHealth::Up,
            false => PartHealth::Away,
        }
    }
}

/// A part that a role uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its name, such as `redis`.
    pub name: &'static str,
    /// Whether it answers.
    pub health: PartHealth,
    /// Whether the role can do nothing without it.
    pub is_needed: bool,
}

/// Looks at the parts of a role.
pub type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Vec<Part>> + Send>> + Send + Sync>;

/// The two endpoints of a role.
pub fn router<S: Clone + Send + Sync + 'static>(check: Check) -> Router<S> {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(check)
}

async fn live() -> Response {
    json_response(StatusCode::OK, r#"{"status":"alive"}"#.to_owned())
}

async fn ready(State(check): State<Check>) -> Response {
    let parts = check().await;
    let (status, word) = judged(&parts);
    let named = parts.iter().map(|part| {
        let health = serde_json::json!(part.health);
        (part.name.to_owned(), health)
    });
    let named: serde_json::Map<_, _> = named.collect();
    let body = serde_json::json!({ "status": word, "parts": named });
    json_response(status, body.to_string())
}

/// Ready, ready for a part of its work (`limited`), or not.
fn judged(parts: &[Part]) -> (StatusCode, &'static str) {
    let away = |part: &&Part| part.health == PartHealth::Away;
    if parts.iter().filter(away).any(|part| part.is_needed) {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    } else if parts.iter().any(|part| away(&part)) {
        (StatusCode::OK, "limited")
    } else {
        (StatusCode::OK, "ready")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_part_that_is_needed_makes_a_role_not_ready() {
        let part = |health, is_needed| Part {
            name: "database",
            health,
            is_needed,
        };
        let cases = [
            (part(PartHealth::Up, true), 200, "ready"),
            (part(PartHealth::Away, false), 200, "limited"),
            (part(PartHealth::Away, true), 503, "not_ready"),
        ];
        for (part, status, word) in cases {
            let judged = judged(&[part]);
            assert_eq!((judged.0.as_u16(), judged.1), (status, word));
        }
    }
}
