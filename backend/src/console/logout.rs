//! Logging out, here and at the login provider.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use serde::Serialize;

use super::error::ConsoleError;
use super::sessions::{By, Session};
use super::{ConsoleState, login, oidc};
use crate::http::error::json_response;

/// `POST /ops/api/logout`, for operators who are logged in.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new().route("/ops/api/logout", post(log_out))
}

/// What is left to do after logging out.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(super) struct LoggedOut {
    /// Where the browser logs out at the login provider too; it comes back to the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_session_url: Option<String>,
}

/// Logs out, on this browser only.
#[utoipa::path(post, path = "/ops/api/logout", tag = "login", responses(
    (status = 200, description = "Logged out", body = LoggedOut),
))]
pub(super) async fn log_out(
    State(state): State<ConsoleState>,
    headers: HeaderMap,
    session: Session,
) -> Result<Response, ConsoleError> {
    let mut out = LoggedOut::default();
    if session.by == By::Oidc {
        let id_token = state.sessions.id_token(&session).await?;
        state.sessions.end(&session.digest).await?;
        out.end_session_url = oidc::logout_url(&state, id_token.as_deref()).await;
    } else {
        state.sessions.end(&session.digest).await?;
    }
    let body = serde_json::to_string(&out).map_err(|error| ConsoleError::internal(&error))?;
    let mut response = json_response(StatusCode::OK, body);
    let gone = login::cookie("", "; Max-Age=0", login::secure(&headers));
    login::put_cookie(&mut response, &gone)?;
    Ok(response)
}
