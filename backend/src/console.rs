//! The console: what operators and supervisors do, as a JSON API under
//! `/ops/api/`. The pages in `html/console/` and any script use the same calls.
//!
//! Nothing of the sale needs it. It needs the database for rounds, accounts and
//! the audit log, and says so while that is away; whoever is logged in goes on
//! seeing what lies in Redis.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::config::Config;
use crate::redis_link::RedisLink;
use crate::segments::Segments;
use crate::store::LazyStore;

/// Accounts: roles, names, passwords.
pub mod account;
/// The audit log, for reading.
mod audit;
/// What the console cannot do, said in plain sentences.
pub mod error;
/// Logging in and out.
mod login;
/// The description of the API.
mod openapi;
/// Who is asking, and whether a request is a forgery.
pub mod operator;
/// Rounds and what is sold in them.
pub mod rounds;
/// Who is logged in.
pub mod sessions;
/// How often logging in may be tried.
pub mod tries;

pub use error::ConsoleError;
pub use operator::{Operator, Supervisor};

/// What every handler of the console shares; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct ConsoleState {
    /// What is in force.
    pub config: Arc<Config>,
    /// Redis.
    pub redis: RedisLink,
    /// Where the stock lies.
    pub segments: Segments,
    /// The database, which may be away.
    pub store: LazyStore,
    sessions: sessions::Sessions,
    hashers: login::Hashers,
}

impl ConsoleState {
    /// A console of this shop.
    #[must_use]
    pub fn new(config: &Config, redis: RedisLink, segments: Segments, store: LazyStore) -> Self {
        Self {
            sessions: sessions::Sessions::new(redis.clone(), store.clone()),
            hashers: login::Hashers::default(),
            config: Arc::new(config.clone()),
            redis,
            segments,
            store,
        }
    }
}

/// All of the console's API. What is merged into `guarded` is for people with a
/// login, and writing requests have been checked: handlers take [`Operator`] or
/// [`Supervisor`], and paths begin with `/ops/api/`.
pub fn router(state: ConsoleState) -> Router {
    let guarded = Router::new()
        .route("/ops/api/me", get(login::me))
        .route("/ops/api/logout", post(login::log_out))
        .route("/ops/api/audit", get(audit::list))
        .route("/ops/api/openapi.json", get(openapi::document))
        .merge(rounds::router())
        .route_layer(from_fn_with_state(state.clone(), operator::guard));
    let open = Router::new().route("/ops/api/login", post(login::log_in));
    guarded.merge(open).with_state(state)
}
