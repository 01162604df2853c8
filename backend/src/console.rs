//! The console: what operators and supervisors do, as a JSON API under
//! `/ops/api/`. The pages in `html/console/` and any script use the same calls.
//!
//! Nothing of the sale needs it. It needs the database for rounds, accounts and
//! the audit log, and says so while that is away; whoever is logged in goes on
//! seeing what lies in Redis.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::console::board::{Board, Sources};
use crate::now_ms;
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::store::{Actor, Done, LazyStore};

/// Accounts: roles, names, passwords.
pub mod account;
/// What is asked page by page.
mod asked;
/// The audit log, for reading.
mod audit;
/// Bans: listed, added, lifted.
mod bans;
/// The live board: what the whole system does at this moment.
pub mod board;
/// What was sent.
mod body;
/// Dead letters, and refunds that are due.
mod dead_letters;
/// What the console cannot do, said in plain sentences.
pub mod error;
/// What the analysis found.
mod findings;
/// Logging in and out.
mod login;
/// The description of the API.
mod openapi;
/// Who is asking, and whether a request is a forgery.
pub mod operator;
/// Uploads of pictures.
mod pictures;
/// Rounds and what is sold in them.
pub mod rounds;
/// Who is logged in.
pub mod sessions;
/// Simulated shoppers.
mod simulation;
/// What lies where of a product, and changing how much there is.
mod stock;
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
    board: Board,
    sessions: sessions::Sessions,
    hashers: login::Hashers,
    darkroom: pictures::Darkroom,
    simulations: simulation::Simulations,
}

impl FromRef<ConsoleState> for Board {
    fn from_ref(state: &ConsoleState) -> Self {
        state.board.clone()
    }
}

impl ConsoleState {
    /// A console of this shop.
    #[must_use]
    pub fn new(config: &Config, redis: RedisLink, segments: Segments, store: LazyStore) -> Self {
        let parts = (redis.clone(), segments.clone());
        let sources = Sources::new(config, parts, store.clone(), CancellationToken::new());
        Self {
            board: Board::new(sources),
            sessions: sessions::Sessions::new(redis.clone(), store.clone()),
            hashers: login::Hashers::default(),
            darkroom: pictures::Darkroom::default(),
            simulations: simulation::Simulations::default(),
            config: Arc::new(config.clone()),
            redis,
            segments,
            store,
        }
    }

    /// Writes down what somebody is about to do. What cannot be written down is
    /// not done: on the box, the command line does it without the database.
    async fn note(
        &self,
        operator: &Operator,
        action: &'static str,
        target: &str,
        detail: serde_json::Value,
    ) -> Result<(), ConsoleError> {
        let done = Done {
            action,
            target: target.to_owned(),
            detail,
        };
        let by = Actor::at_console(&operator.name);
        let store = self.store.get().await?;
        Ok(store.note_audit(&by, &done, now_ms()).await?)
    }

    /// The same, whose streams end at `stop`.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        let sources = Sources {
            stop,
            ..self.board.sources().clone()
        };
        Self {
            board: Board::new(sources),
            ..self
        }
    }
}

/// Pictures are larger than axum takes by default; the handler has a limit of its own.
fn pictures() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/pictures", post(pictures::upload))
        .layer(DefaultBodyLimit::disable())
}

/// All of the console's API. What is merged into `guarded` is for people with a
/// login, and writing requests have been checked: handlers take [`Operator`] or
/// [`Supervisor`], and paths begin with `/ops/api/`.
pub fn router(state: ConsoleState) -> Router {
    let guarded = Router::new()
        .route("/ops/api/me", get(login::me))
        .route("/ops/api/logout", post(login::log_out))
        .merge(pictures())
        .merge(findings::routes())
        .merge(simulation::routes())
        .route("/ops/api/audit", get(audit::list))
        .route("/ops/api/openapi.json", get(openapi::document))
        .merge(rounds::router())
        .merge(board::api::router())
        .merge(bans::router())
        .merge(dead_letters::router())
        .merge(stock::router())
        .route_layer(from_fn_with_state(state.clone(), operator::guard));
    let open = Router::new().route("/ops/api/login", post(login::log_in));
    guarded.merge(open).with_state(state)
}
