//! Rounds and their products: made, edited, copied, deleted, submitted and approved.
//!
//! One file per task of an operator, each with its handlers; `form`, `view` and
//! `conflicts` are what they share. Rules of a sale that the command
//! line has too are in `crate::sale`.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use seckill_core::ids;

use super::ConsoleState;
use super::error::{ConsoleError, Part};
use crate::now_ms;
use crate::store::round::{Round, StoredRound};
use crate::store::{Done, Store};

/// A round's approval: submit, withdraw, approve, reject, publish.
pub(super) mod approval;
/// What a round is compared with before it is approved.
pub(super) mod basis;
/// Changes that the round's state does not allow.
pub(super) mod conflicts;
/// Making, checking, saving, copying and deleting rounds.
pub(super) mod edit;
/// A round as the editor sends it, and its rules.
pub mod form;
/// Who may decide about a round.
mod four_eyes;
/// The list of rounds, and one round.
pub(super) mod list;
/// Ids for new rounds.
mod new_ids;
/// A preview of the product page.
pub(super) mod preview;
/// What does not follow yet of what was done.
pub mod problem;
/// Changes of approved rounds that a second person decides on.
pub mod proposals;
/// What a round sold.
pub(super) mod report;
/// Edits of a round that is approved.
mod revise;
/// Sale files: import and export.
pub(super) mod sale_files;
/// The stop switch: pause, resume, end, withdraw.
pub(super) mod stop;
/// Rounds as the console shows them.
pub mod view;

use conflicts::no_round;
use form::Rules;

/// Largest round, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Everything under `/ops/api/rounds`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/rounds", get(list::list).post(edit::create))
        .route("/ops/api/rounds/check", post(edit::check))
        .route("/ops/api/rounds/preview", post(preview::preview))
        .route("/ops/api/rounds/import", post(sale_files::import))
        .route("/ops/api/rounds/export", get(sale_files::export))
        .route(
            "/ops/api/rounds/{id}",
            get(list::show).put(edit::save).delete(edit::remove),
        )
        .route("/ops/api/rounds/{id}/copy", post(edit::copy))
        .route("/ops/api/rounds/{id}/basis", get(basis::basis))
        .route("/ops/api/rounds/{id}/report", get(report::report))
        .route("/ops/api/rounds/{id}/submit", post(approval::submit))
        .route("/ops/api/rounds/{id}/withdraw", post(approval::withdraw))
        .route("/ops/api/rounds/{id}/pause", post(stop::pause))
        .route("/ops/api/rounds/{id}/resume", post(stop::resume))
        .route("/ops/api/rounds/{id}/end", post(stop::end))
        .route(
            "/ops/api/rounds/{id}/products/{product}/{step}",
            post(stop::product),
        )
        .route("/ops/api/rounds/{id}/approve", post(approval::approve))
        .route("/ops/api/rounds/{id}/reject", post(approval::reject))
        .route("/ops/api/rounds/{id}/publish", post(approval::publish))
        .merge(proposals::router())
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// The round of this id.
async fn stored(store: &Store, id: &str) -> Result<StoredRound, ConsoleError> {
    // A text that cannot be an id needs no query.
    let found = if ids::is_id(id) {
        store.round(id).await?
    } else {
        None
    };
    found.ok_or_else(|| no_round(id))
}

fn rules(state: &ConsoleState) -> Rules<'_> {
    Rules {
        now_ms: now_ms(),
        zone: &state.config.time_zone,
        currency: state.config.currency,
        may_have_begun: false,
    }
}

/// An audit entry about a round.
fn audit_entry(action: &'static str, round: &Round) -> Done {
    Done {
        action,
        target: round.id.clone(),
        detail: serde_json::json!({ "name": round.name, "products": round.products.len() }),
    }
}

/// Refuses a request that needs Redis while Redis is away.
async fn need_redis(state: &ConsoleState) -> Result<(), ConsoleError> {
    match state.redis.conn().await {
        Ok(_) => Ok(()),
        Err(_) => Err(ConsoleError::Away(Part::Redis)),
    }
}
