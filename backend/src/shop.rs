//! The buyer's HTTP API, which the purchase role serves: it decides again what the
//! edge decided, runs the stock script, and reports what became of a click.
//!
//! Here live a router, its state, and thin handlers: they read a request, call the
//! store, Redis or the stock, and answer. Handlers use the state, the session and
//! the views, not one another; nothing outside of this folder uses a handler.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use seckill_core::{Verdict, keys};

use crate::http::error::{ApiError, json_response, not_found, wrong_method};
use crate::http::health::{self, Check, Part, PartHealth};
use crate::redis::RedisLinkError;

/// What an edge vouched for, read from its signed headers.
mod admission;
/// Selling without a site of its own.
mod alone;
/// `POST /buy/…`: reads and screens a purchase request.
mod buy;
/// The captcha: puzzles, the answers to them, and the passes that they earn.
pub mod captcha;
/// `/api/captcha`: hands out puzzles and takes their answers.
mod captcha_api;
/// Sends a buyer to a provider to pay an order.
mod checkout;
/// What an order needs from its buyer.
mod details;
/// Who sends a request.
mod identity;
/// Takes a purchase into the journal while Redis does not answer.
mod journalled;
/// The key ring, which follows its file.
pub mod key_file;
/// Order numbers, given with the purchase.
mod numbers;
/// Orders as JSON and as CSV, for operators.
pub(crate) mod order_export;
/// `/api/orders`: the buyer's own orders, paying and cancelling them.
mod orders;
/// Refuses what another site's page posts.
mod origin;
/// One order of the buyer who asks for it.
mod own_order;
/// `POST /api/payments/{provider}`: the payment providers' notices.
mod payments;
/// Orders that the database may not have yet.
mod promised;
/// Sells to one buyer: runs the stock script on the buyer's segment.
mod purchase;
/// The buyer's record in their segment.
mod record;
/// Brings stock to a buyer whose segment is empty.
mod refill;
/// Replays journalled purchases once Redis answers again.
mod replay;
/// `GET …/result`: what became of a click.
mod result;
/// `/api/session`: who is logged in, and the demo login.
mod session;
/// What selling means at one of several sites.
mod site;
/// What every handler shares.
mod state;
/// Tokens of the shop's own login.
pub mod tokens;
/// The trace of a purchase request.
mod traced;
/// Orders and payments as JSON, for the API and the command line.
pub mod view;

pub use replay::Replayer;
pub use site::SiteState;
pub use state::{Options, ShopState};

/// Everything that the purchase role serves.
pub fn router(state: ShopState) -> Router {
    let state = Arc::new(state);
    Router::new()
        .route("/healthz", get(healthz))
        .merge(health::router(check_of(state.clone())))
        .merge(buy::router())
        .merge(result::router())
        .merge(captcha_api::router())
        .merge(session::router())
        .merge(orders::router())
        .merge(payments::router())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(state.clone(), origin::refuse_foreign))
        .with_state(state)
}

/// It sells without the database, and cannot show orders or take payment notices then.
/// Without Redis it takes purchases into its journal, if it has one.
fn check_of(state: Arc<ShopState>) -> Check {
    Arc::new(move || {
        let state = state.clone();
        Box::pin(async move {
            let redis = state.redis.conn().await.is_ok();
            let catalogue = state.catalogue.products().is_some();
            let journal = state.journals.as_ref();
            let journal = journal.map(|it| it.own.takes_requests());
            let mut parts = vec![
                part("redis", redis, journal != Some(true)),
                part("catalogue", catalogue, true),
                // Until it knows which sessions are revoked, it believes none.
                part("sessions", state.revoked.was_read(), true),
            ];
            parts.extend(journal.map(|takes| part("journal", takes, false)));
            if let Some(store) = &state.store {
                parts.push(part("database", store.is_up().await, false));
            }
            parts
        })
    })
}

fn part(name: &'static str, is_up: bool, is_needed: bool) -> Part {
    Part {
        name,
        health: PartHealth::of(is_up),
        is_needed,
    }
}

/// Healthy means able to sell: the catalogue and the revoked sessions were read, and Redis
/// replies.
async fn healthz(State(state): State<Arc<ShopState>>) -> Result<Response, ApiError> {
    match state.catalogue.products() {
        Some(_) if state.revoked.was_read() && can_write(&state).await => Ok(json_response(
            StatusCode::OK,
            r#"{"status":"ok"}"#.to_owned(),
        )),
        _ => Err(ApiError(Verdict::Unavailable)),
    }
}

/// Whether Redis takes a write: one that is full, cannot save, or is a replica, replies
/// and sells nothing.
async fn can_write(state: &ShopState) -> bool {
    let written: Result<(), RedisLinkError> = async {
        let mut conn = state.redis.conn().await?;
        let mut set = redis::cmd("SET");
        set.arg(keys::HEALTH).arg(1).arg("PX").arg(1000);
        Ok(set.exec_async(&mut conn).await?)
    }
    .await;
    if let Err(error) = &written {
        tracing::debug!(%error, "the purchase role is not healthy");
    }
    written.is_ok()
}
