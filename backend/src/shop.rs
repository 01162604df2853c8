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
use axum::response::Response;
use axum::routing::get;
use seckill_core::Verdict;

use crate::http::error::{ApiError, json_response, not_found, wrong_method};

/// `POST /buy/…`: reads and screens a purchase request.
mod buy;
/// The captcha: puzzles, the answers to them, and the passes that they earn.
pub mod captcha;
/// `/api/captcha`: hands out puzzles and takes their answers.
mod captcha_api;
/// `/api/orders`: the buyer's own orders, paying and cancelling them.
mod orders;
/// `POST /api/payments/callback`: the payment provider's notices.
mod payments;
/// Sells to one buyer: runs the stock script on the buyer's segment.
mod purchase;
/// Brings stock to a buyer whose segment is empty.
mod refill;
/// `GET …/result`: what became of a click.
mod result;
/// `/api/session`: the demo login, and reading the session cookie.
mod session;
/// What every handler shares.
mod state;
/// Orders and payments as JSON, for the API and the command line.
pub mod view;

pub use state::{Options, ShopState};

/// Everything that the purchase role serves.
pub fn router(state: ShopState) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .merge(buy::router())
        .merge(result::router())
        .merge(captcha_api::router())
        .merge(session::router())
        .merge(orders::router())
        .merge(payments::router())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::new(state))
}

/// Healthy means able to sell: the catalogue was read, and Redis replies.
async fn healthz(State(state): State<Arc<ShopState>>) -> Result<Response, ApiError> {
    let redis_replies = state.redis.conn().await.is_ok();
    match state.catalogue.products() {
        Some(_) if redis_replies => Ok(json_response(
            StatusCode::OK,
            r#"{"status":"ok"}"#.to_owned(),
        )),
        _ => Err(ApiError(Verdict::Unavailable)),
    }
}
