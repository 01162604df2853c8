//! The purchase role: decides again what the edge decided, runs the stock
//! script, and tells buyers what became of their click.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, get};
use seckill_core::Verdict;
use seckill_core::gate::{self, Buyer};
use seckill_core::signing::keyring::{Digest, Keyring};

use crate::http::error::{ApiError, json_response, not_found, wrong_method};
use crate::now_ms;
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::sale::catalogue;
use crate::shop::captcha::Captcha;
use crate::store::Store;

/// `POST /buy/…`.
mod buy;
/// `/api/captcha`: puzzles, and the passes that solving one earns.
pub mod captcha;
/// Stock for a buyer whose segment is empty.
mod handover;
/// `/api/orders`: the buyer\'s own orders.
pub mod orders;
/// Paying and cancelling an order, and the payment provider\'s notices.
pub mod payments;
/// `GET …/result`.
mod result;
/// `POST /api/session`: the demo login.
mod session;

/// How the purchase role behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// How hidden URLs are digested; the same as the edge's `seckill_digest`.
    pub digest: Digest,
    /// Whether `POST /api/session` logs anybody in.
    pub demo_login: bool,
    /// Whether a purchase needs a captcha pass; the same as the edge's
    /// `seckill_captcha`.
    pub captcha: bool,
    /// Whether the language in which somebody buys is remembered, for notices.
    pub remember_language: bool,
}

/// What every handler of the purchase role shares. A request clones it.
#[derive(Debug, Clone)]
pub struct PurchaseState(Arc<Shared>);

/// Behind it.
#[derive(Debug, Clone)]
pub struct Shared {
    pub(crate) redis: RedisLink,
    pub(crate) segments: Segments,
    pub(crate) handover: handover::Handover,
    pub(crate) store: Option<Store>,
    pub(crate) keyring: Arc<Keyring>,
    /// Shared with the payment provider; without it, no notice is taken.
    pub(crate) payment_keys: Option<Arc<Keyring>>,
    pub(crate) options: Options,
    /// What hands out passes here; `None` if nobody does.
    pub(crate) captcha: Option<Captcha>,
    pub(crate) catalogue: catalogue::Mirror,
}

impl std::ops::Deref for PurchaseState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl PurchaseState {
    /// Starts following the catalogue, so that it must be called inside a
    /// runtime. Without a store, purchases work and orders are unavailable.
    #[must_use]
    pub fn new(
        redis: RedisLink,
        segments: Segments,
        store: Option<Store>,
        keyring: Arc<Keyring>,
        options: Options,
    ) -> Self {
        let catalogue = catalogue::Mirror::following(redis.clone());
        Self(Arc::new(Shared {
            redis,
            handover: handover::Handover::new(segments.clone()),
            segments,
            store,
            keyring,
            payment_keys: None,
            options,
            captcha: None,
            catalogue,
        }))
    }

    /// Takes notices that are signed with one of these keys.
    #[must_use]
    pub fn with_payment_keys(self, keys: Option<Arc<Keyring>>) -> Self {
        let shared = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Shared {
            payment_keys: keys,
            ..shared
        }))
    }

    /// Hands out passes by this captcha.
    #[must_use]
    pub fn with_captcha(self, captcha: Option<Captcha>) -> Self {
        let shared = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Shared { captcha, ..shared }))
    }

    /// The verified buyer that the session cookie names.
    pub(crate) fn buyer<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, ApiError> {
        gate::identify(
            Buyer::Cookie(session_token(headers)),
            &self.keyring,
            now_ms(),
        )
        .ok_or(ApiError(Verdict::LoginRequired))
    }
}

/// Everything that the purchase role serves.
pub fn router(state: PurchaseState) -> Router {
    Router::new()
        .route("/buy/{*rest}", any(buy::buy))
        .route(
            "/api/rounds/{round}/products/{product}/result",
            get(result::result),
        )
        .route("/healthz", get(healthz))
        .merge(captcha::router())
        .merge(session::router())
        .merge(orders::router())
        .merge(payments::router())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state)
}

/// Healthy means able to sell: the catalogue was read, and Redis answers.
async fn healthz(
    axum::extract::State(state): axum::extract::State<PurchaseState>,
) -> Result<Response, ApiError> {
    let answers = state.redis.conn().await.is_ok();
    match state.catalogue.products() {
        Some(_) if answers => Ok(json_response(
            StatusCode::OK,
            r#"{"status":"ok"}"#.to_owned(),
        )),
        _ => Err(ApiError(Verdict::Unavailable)),
    }
}

/// The session cookie's value, unverified.
pub(crate) fn session_token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|cookies| {
            seckill_core::signing::session::cookie(cookies, seckill_core::signing::session::COOKIE)
        })
}

/// Refuses a body where none belongs.
pub(crate) fn refuse_body(body: &axum::body::Body) -> Result<(), ApiError> {
    if has_body(body) {
        Err(ApiError(Verdict::BadRequest))
    } else {
        Ok(())
    }
}

pub(crate) fn has_body(body: &axum::body::Body) -> bool {
    !axum::body::HttpBody::is_end_stream(body)
}
