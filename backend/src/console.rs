//! The operator's HTTP API under `/ops/api/`. The pages in `html/console/` and any
//! script use the same calls.
//!
//! Here live a router, its state, and one file per resource with its routes and
//! handlers. They may use everything below the console in the crate's layers and what
//! they share here (`auth`, `error`, `json_body`, `paging`), not one another.
//!
//! Nothing of the sale needs the console. It needs the database for rounds, accounts
//! and the audit log, and says so while that is away; operators who are logged in go
//! on seeing what Redis holds.

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::from_fn_with_state;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::console::board::{Board, Sources};
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::sale::inventory::HttpInventory;
use crate::store::{Actor, Did, Done, LazyStore};

/// Accounts of the console, managed by supervisors.
mod accounts;
/// What operators say to everybody who waits.
mod announcement;
/// The audit log.
mod audit;
/// Who makes a request, and whether it is forged.
pub mod auth;
/// Bans: listed, added, lifted.
mod bans;
/// The live board: what the whole system does at this moment.
pub mod board;
/// How amounts are written.
mod currency;
/// Dead letters: listed and redriven.
mod dead_letters;
/// Refusals: each a code, a status and a sentence.
pub mod error;
/// Paths and queries of requests.
mod extract;
/// What the analysis found, and the decisions about it.
mod findings;
/// Request bodies read as JSON.
mod json_body;
/// Logging in.
mod login;
/// Limits how often logging in may be tried.
pub mod login_attempts;
/// Logging out, here and at the login provider.
mod logout;
/// Single sign-on by OpenID Connect.
mod oidc;
/// The description of this API.
mod openapi;
/// Orders of all buyers.
mod orders;
/// One's own account: password, second factor, sessions.
mod own_account;
/// Lists that are read page by page.
mod paging;
/// Hashing and checking the accounts' passwords.
pub mod passwords;
/// Uploads of pictures.
mod pictures;
/// Refunds due.
mod refunds;
/// Rounds and their products.
pub mod rounds;
/// The second factor: codes that change with time.
mod second_factor;
/// The sessions of operators, in Redis.
pub mod sessions;
/// Simulated shoppers.
mod simulation;
/// A product's stock, and adjusting its amount.
mod stock;

pub use auth::{Operator, Supervisor};
pub use error::ConsoleError;

/// What every handler of the console shares; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct ConsoleState {
    /// The configuration.
    pub config: Arc<Config>,
    /// The main Redis.
    pub redis: RedisLink,
    /// The Redis masters of the stock's segments.
    pub segments: Segments,
    /// The database, which may be away.
    pub store: LazyStore,
    /// The shop's own inventory, which holds the items of approved rounds.
    pub inventory: Option<Arc<HttpInventory>>,
    board: Board,
    sessions: sessions::Sessions,
    oidc: Option<Arc<oidc::Provider>>,
    hash_limit: login::HashLimit,
    decode_limit: pictures::DecodeLimit,
    simulations: simulation::Simulations,
}

impl FromRef<ConsoleState> for Board {
    fn from_ref(state: &ConsoleState) -> Self {
        state.board.clone()
    }
}

impl ConsoleState {
    /// A console for this shop.
    #[must_use]
    pub fn new(config: &Config, redis: RedisLink, segments: Segments, store: LazyStore) -> Self {
        let parts = (redis.clone(), segments.clone());
        let sources = Sources::new(config, parts, store.clone(), CancellationToken::new());
        Self {
            board: Board::new(sources),
            inventory: None,
            sessions: sessions::Sessions::new(redis.clone(), store.clone()),
            oidc: config
                .console_oidc
                .as_ref()
                .map(|settings| Arc::new(oidc::Provider::new(settings, &config.console_url))),
            hash_limit: login::HashLimit::default(),
            decode_limit: pictures::DecodeLimit::default(),
            simulations: simulation::Simulations::default(),
            config: Arc::new(config.clone()),
            redis,
            segments,
            store,
        }
    }

    /// The live board.
    #[must_use]
    pub fn board(&self) -> Board {
        self.board.clone()
    }

    /// A console whose approvals have this inventory hold the items.
    #[must_use]
    pub fn with_inventory(self, inventory: Option<HttpInventory>) -> Self {
        let inventory = inventory.map(Arc::new);
        Self { inventory, ..self }
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

    /// Records the board's numbers until `stop`.
    pub async fn record_board(self, stop: CancellationToken) {
        let (sources, days) = (self.board.sources().clone(), self.config.board_history_days);
        board::recorder::run(sources, days, stop).await;
    }

    /// Carries an action of this account out and records in the audit log what came of it
    /// ([`Store::recorded`](crate::store::Store::recorded)). An action that cannot be
    /// recorded is not carried out; on the server, the command line can ban and revoke
    /// without the database.
    ///
    /// # Errors
    /// Those of `act`, and the database's.
    async fn recorded<T>(
        &self,
        account: &str,
        done: Done,
        act: impl Future<Output = Result<Did<T>, ConsoleError>>,
    ) -> Result<T, ConsoleError> {
        let by = Actor::at_console(account);
        let store = self.store.get().await?;
        store
            .recorded(&by, done, act, ConsoleError::may_have_happened)
            .await?
    }
}

/// All of the console's API. Routers that are merged into `guarded` need a login, and
/// their writing requests have passed the guard against forgery: handlers take
/// [`Operator`] or [`Supervisor`], and paths begin with `/ops/api/`.
pub fn router(state: ConsoleState) -> Router {
    let guarded = Router::new()
        .merge(accounts::router())
        .merge(announcement::router())
        .merge(audit::router())
        .merge(bans::router())
        .merge(board::api::router())
        .merge(board::past::router())
        .merge(dead_letters::router())
        .merge(findings::router())
        .merge(login::router())
        .merge(logout::router())
        .merge(openapi::router())
        .merge(orders::router())
        .merge(own_account::router())
        .merge(pictures::router())
        .merge(refunds::router())
        .merge(rounds::router())
        .merge(simulation::router())
        .merge(stock::router())
        .route_layer(from_fn_with_state(state.clone(), auth::guard));
    guarded
        .merge(login::open_router())
        .merge(oidc::open_router())
        .with_state(state)
}
