//! Refusals of the console: each a stable code, a status and a sentence for operators.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use seckill_core::sale::reasons::BadReason;
use serde::Serialize;

use crate::http::error::json_response;
use crate::queue::QueueError;
use crate::redis::RedisLinkError;
use crate::store::StoreError;
use crate::store::difference::Difference;

/// A part that a request needs and that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The database of rounds, accounts and the audit log.
    Database,
    /// The main Redis.
    Redis,
    /// Memory for Redis to write with.
    RedisMemory,
    /// A Redis that does what it is sent, such as a master whose disk has room.
    RedisConsent,
    /// The OpenID provider of single sign-on.
    Provider,
}

impl Part {
    /// Its name in responses.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Part::Database => "database",
            Part::Redis => "redis",
            Part::RedisMemory => "redis_memory",
            Part::RedisConsent => "redis_consent",
            Part::Provider => "provider",
        }
    }
}

/// A field of the request that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldMistake {
    /// The field, such as `products.0.price_cents`; empty for the whole request.
    pub field: String,
    /// A stable name of the mistake, for translations.
    pub code: &'static str,
    /// A sentence that names the value and what would be right.
    pub message: String,
    /// The values in the sentence, in its order, for translations.
    pub values: Vec<String>,
    /// Where in a file it is: line and column, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<(usize, usize)>,
}

/// Why a request was refused. Each variant says its HTTP status.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// 400: the request is malformed.
    #[error("{0}")]
    BadRequest(String),
    /// 401: nobody is logged in, or no longer.
    #[error("You are not logged in, or your login has expired. Log in and continue.")]
    LoginRequired,
    /// 401: name and password do not belong together.
    #[error("This name and password do not belong together. Check both and try again.")]
    WrongLogin,
    /// 401: the password is right, and the code of the second factor is missing.
    #[error("Type the code that your authenticator app shows for this console.")]
    CodeRequired,
    /// 401: the code of the second factor is wrong, or was used before.
    #[error("This code is wrong, or was used already. Wait for the next one and type that.")]
    WrongCode,
    /// 403: the request came from another site, or without the session's token.
    #[error(
        "This request does not come from this console, so nothing was done. Reload the page and try again."
    )]
    Foreign,
    /// 403: only a supervisor may do this.
    #[error("Only a supervisor may do this. Ask a supervisor.")]
    SupervisorOnly,
    /// 403: this operator may not do this, or not now.
    #[error("{message}")]
    Forbidden {
        /// Stable name.
        code: &'static str,
        /// Why not, and who may.
        message: String,
    },
    /// 403: a change of what two people approved, which one person asked for.
    #[error(
        "This needs a second person: {}. Propose it (POST /ops/api/proposals); a supervisor other \
         than you decides.", Difference::sentence(.0)
    )]
    SecondPerson(Vec<Difference>),
    /// 404: there is nothing of this name.
    #[error("{0}")]
    NotFound(String),
    /// 409: the state has changed since the operator read it.
    #[error("{message}")]
    Conflict {
        /// Stable name.
        code: &'static str,
        /// What changed, and what to do.
        message: String,
        /// The present state, if that helps: the response's `current`.
        current: Option<Box<serde_json::Value>>,
    },
    /// 422: fields that are refused.
    #[error("{} refused; each mistake says what would be right.", if .0.len() == 1 { "One field is".to_owned() } else { format!("{} fields are", .0.len()) })]
    Mistakes(Vec<FieldMistake>),
    /// 429: too many login attempts; for how many seconds to wait.
    #[error("Too many login attempts. Try again in {} min.", .0.div_ceil(60))]
    TooManyAttempts(u64),
    /// 503: a part is away, or refuses.
    #[error("{}", away(*.0))]
    Away(Part),
    /// 500: something that must not happen. The cause is logged, not returned.
    #[error(
        "The console failed, and the log of the ops role says why. If you were changing something, \
         look whether it was done before you try again."
    )]
    Internal,
}

fn away(part: Part) -> &'static str {
    match part {
        Part::Database => {
            "The database cannot be reached: rounds, accounts and the audit log are unavailable \
             until it is back. Shoppers are not affected: pages, rounds and buying go on."
        }
        Part::Redis => {
            "Redis cannot be reached: nobody can log in, and nothing can be published until it is \
             back."
        }
        Part::RedisMemory => {
            "Redis has no memory left (maxmemory) and refuses to write: nobody can log in, and \
             nothing can be published until it has more."
        }
        Part::RedisConsent => {
            "Redis can be reached, and refuses this. The log of the ops role says why, and \"seckill \
             doctor\" what to do."
        }
        Part::Provider => {
            "The login provider cannot be reached, or its response makes no sense; the log of the \
             ops role says which. Try again in a moment."
        }
    }
}

impl ConsoleError {
    /// Logs an error that must not happen, and hides its cause from the response.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "the console failed");
        Self::Internal
    }

    /// The refusal of an account that is disabled.
    pub(super) fn disabled() -> Self {
        Self::Forbidden {
            code: "account_disabled",
            message: "This account is disabled. Ask a supervisor to enable it.".to_owned(),
        }
    }

    /// Whether what was asked for may have been done all the same.
    pub(super) fn may_have_happened(&self) -> bool {
        matches!(self, Self::Away(part) if !matches!(part, Part::RedisMemory | Part::RedisConsent))
    }

    /// Its stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::LoginRequired => "login_required",
            Self::WrongLogin => "wrong_login",
            Self::CodeRequired => "code_required",
            Self::WrongCode => "wrong_code",
            Self::Foreign => "foreign_request",
            Self::SupervisorOnly => "supervisor_only",
            Self::SecondPerson(_) => "second_person",
            Self::Forbidden { code, .. } | Self::Conflict { code, .. } => code,
            Self::NotFound(_) => "not_found",
            Self::Mistakes(_) => "mistakes",
            Self::TooManyAttempts(_) => "too_many_tries",
            Self::Away(_) => "unavailable",
            Self::Internal => "internal",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::LoginRequired | Self::WrongLogin | Self::CodeRequired | Self::WrongCode => {
                StatusCode::UNAUTHORIZED
            }
            Self::Foreign
            | Self::SupervisorOnly
            | Self::SecondPerson(_)
            | Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::Mistakes(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<StoreError> for ConsoleError {
    fn from(error: StoreError) -> Self {
        if let StoreError::Statement(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) =
            error
        {
            // It answers, and not what the tables should hold.
            return Self::internal(&error);
        }
        if error.is_passing()
            || matches!(error, StoreError::Open { .. } | StoreError::Migrate { .. })
        {
            tracing::warn!(%error, "the console cannot reach the database");
            return Self::Away(Part::Database);
        }
        Self::internal(&error)
    }
}

impl From<BadReason> for ConsoleError {
    fn from(error: BadReason) -> Self {
        Self::BadRequest(format!("The {error}."))
    }
}

impl From<RedisLinkError> for ConsoleError {
    fn from(error: RedisLinkError) -> Self {
        match error {
            RedisLinkError::Refused(_) => {
                tracing::warn!(%error, "Redis refuses what the console needs");
                let is_full = error.is_full();
                Self::Away(if is_full {
                    Part::RedisMemory
                } else {
                    Part::RedisConsent
                })
            }
            error => {
                tracing::warn!(%error, "the console cannot reach Redis");
                Self::Away(Part::Redis)
            }
        }
    }
}

impl From<redis::RedisError> for ConsoleError {
    fn from(error: redis::RedisError) -> Self {
        RedisLinkError::from(error).into()
    }
}

impl From<QueueError> for ConsoleError {
    fn from(error: QueueError) -> Self {
        tracing::warn!(%error, "the console cannot reach the queue");
        Self::Away(Part::Redis)
    }
}

impl IntoResponse for ConsoleError {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({ "code": self.code(), "message": self.to_string() });
        match &self {
            Self::Mistakes(mistakes) => body["mistakes"] = serde_json::json!(mistakes),
            Self::SecondPerson(changes) => body["changes"] = serde_json::json!(changes),
            Self::Away(part) => body["missing"] = part.as_str().into(),
            Self::Conflict {
                current: Some(current),
                ..
            } => body["current"] = (**current).clone(),
            _ => {}
        }
        let mut response = json_response(self.status(), body.to_string());
        if let Self::TooManyAttempts(seconds) = self {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
