//! What the console cannot do, said in plain sentences.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::error::json_response;
use crate::queue::QueueError;
use crate::redis::RedisLinkError;
use crate::store::StoreError;

/// A part that the console needs for what was asked and that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The database of rounds, accounts and the audit log.
    Database,
    /// Redis.
    Redis,
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Part::Database => "database",
            Part::Redis => "redis",
        }
    }
}

/// A field of what was sent that cannot be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldMistake {
    /// Where, such as `products.0.price_cents`; empty for the whole.
    pub field: String,
    /// A stable name of the mistake, for translations.
    pub code: &'static str,
    /// The sentence: value and cure.
    pub message: String,
    /// The values in the sentence, in its order, for translations.
    pub values: Vec<String>,
}

/// Why the console did not do what was asked. Each variant says its HTTP status.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// 400: the request's form is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// 401: nobody is logged in, or no longer.
    #[error("You are not logged in, or your login has expired. Log in and go on where you were.")]
    LoginRequired,
    /// 401: name and password do not fit.
    #[error("This name and password do not belong together. Check both and try again.")]
    WrongLogin,
    /// 403: the request came from another site, or without the session's token.
    #[error(
        "This request does not come from this console, so that nothing was done. Reload the page and try again."
    )]
    Foreign,
    /// 403: only a supervisor may.
    #[error("Only a supervisor may do this. Ask somebody who is one.")]
    SupervisorOnly,
    /// 403: this person may not, for a reason of the case.
    #[error("{message}")]
    Forbidden {
        /// Stable name.
        code: &'static str,
        /// What, and who may.
        message: String,
    },
    /// 404: nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// 409: it is no longer as the asker saw it.
    #[error("{message}")]
    Conflict {
        /// Stable name.
        code: &'static str,
        /// What changed and what to do.
        message: String,
        /// As it is now, if that helps: goes into the answer as `current`.
        current: Option<Box<serde_json::Value>>,
    },
    /// 422: fields that cannot be taken.
    #[error("{} cannot be taken as it is; each mistake says what would be right.", if .0.len() == 1 { "One field".to_owned() } else { format!("{} fields", .0.len()) })]
    Mistakes(Vec<FieldMistake>),
    /// 429: too many logins were tried.
    #[error("Too many logins were tried. Try again in {} min.", .0.div_ceil(60))]
    TooManyTries(u64),
    /// 503: a part is away.
    #[error("{}", away(*.0))]
    Away(Part),
    /// 500: something that must not happen. The cause is logged, not told.
    #[error("Something went wrong here; the log of the ops role says what. Nothing was changed.")]
    Internal,
}

fn away(part: Part) -> &'static str {
    match part {
        Part::Database => {
            "The database cannot be reached: rounds, accounts and the audit log are missing until \
             it is back. Shoppers are not affected; pages, rounds and buying go on."
        }
        Part::Redis => {
            "Redis cannot be reached: nobody can log in, and nothing can be published until it is \
             back."
        }
    }
}

impl ConsoleError {
    /// Logs what must not happen, and stands for it.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "the console failed");
        Self::Internal
    }

    /// Its stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::LoginRequired => "login_required",
            Self::WrongLogin => "wrong_login",
            Self::Foreign => "foreign_request",
            Self::SupervisorOnly => "supervisor_only",
            Self::Forbidden { code, .. } | Self::Conflict { code, .. } => code,
            Self::NotFound(_) => "not_found",
            Self::Mistakes(_) => "mistakes",
            Self::TooManyTries(_) => "too_many_tries",
            Self::Away(_) => "unavailable",
            Self::Internal => "internal",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::LoginRequired | Self::WrongLogin => StatusCode::UNAUTHORIZED,
            Self::Foreign | Self::SupervisorOnly | Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::Mistakes(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyTries(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<StoreError> for ConsoleError {
    fn from(error: StoreError) -> Self {
        if error.is_passing()
            || matches!(error, StoreError::Open { .. } | StoreError::Migrate { .. })
        {
            tracing::warn!(%error, "the console misses the database");
            return Self::Away(Part::Database);
        }
        Self::internal(&error)
    }
}

impl From<RedisLinkError> for ConsoleError {
    fn from(error: RedisLinkError) -> Self {
        tracing::warn!(%error, "the console misses Redis");
        Self::Away(Part::Redis)
    }
}

impl From<redis::RedisError> for ConsoleError {
    fn from(error: redis::RedisError) -> Self {
        tracing::warn!(%error, "the console misses Redis");
        Self::Away(Part::Redis)
    }
}

impl From<QueueError> for ConsoleError {
    fn from(error: QueueError) -> Self {
        tracing::warn!(%error, "the console misses the queue");
        Self::Away(Part::Redis)
    }
}

impl IntoResponse for ConsoleError {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({ "code": self.code(), "message": self.to_string() });
        match &self {
            Self::Mistakes(mistakes) => body["mistakes"] = serde_json::json!(mistakes),
            Self::Away(part) => body["missing"] = part.as_str().into(),
            Self::Conflict {
                current: Some(current),
                ..
            } => body["current"] = (**current).clone(),
            _ => {}
        }
        let mut response = json_response(self.status(), body.to_string());
        if let Self::TooManyTries(seconds) = self {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
