//! What every handler of the purchase role shares.

use std::sync::Arc;

use seckill_core::Verdict;
use seckill_core::signing::keyring::{Digest, Keyring};

use super::captcha::Captcha;
use super::refill::Refiller;
use crate::http::error::ApiError;
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::sale::catalogue;
use crate::stock::following;
use crate::store::orders::Order;
use crate::store::{Store, StoreError};

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
    /// Whether the language in which somebody buys is remembered, for notifications.
    pub remember_language: bool,
}

/// What every handler of the purchase role shares.
#[derive(Debug)]
pub struct ShopState {
    pub(super) redis: RedisLink,
    pub(super) segments: Segments,
    pub(super) refiller: Refiller,
    pub(super) store: Option<Store>,
    pub(super) keyring: Arc<Keyring>,
    /// Shared with the payment provider; without them, no notice is accepted.
    pub(super) payment_keys: Option<Arc<Keyring>>,
    pub(super) options: Options,
    /// Hands out passes; `None` if this shop has no captcha.
    pub(super) captcha: Option<Captcha>,
    pub(super) catalogue: catalogue::Mirror,
}

impl ShopState {
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
        Self {
            catalogue: catalogue::Mirror::following(redis.clone()),
            redis,
            refiller: Refiller::new(segments.clone()),
            segments,
            store,
            keyring,
            payment_keys: None,
            options,
            captcha: None,
        }
    }

    /// Accepts payment notices that are signed with one of these keys.
    #[must_use]
    pub fn with_payment_keys(self, payment_keys: Option<Arc<Keyring>>) -> Self {
        Self {
            payment_keys,
            ..self
        }
    }

    /// Hands out passes by this captcha.
    #[must_use]
    pub fn with_captcha(self, captcha: Option<Captcha>) -> Self {
        Self { captcha, ..self }
    }

    /// The database.
    ///
    /// # Errors
    /// `unavailable`, if this role runs without one.
    pub(super) fn store(&self) -> Result<&Store, ApiError> {
        self.store.as_ref().ok_or(ApiError(Verdict::Unavailable))
    }

    /// Makes the stock follow the order. If that fails, the order stays due, and
    /// the sweep of the orders role tries again.
    pub(super) async fn stock_follows(&self, order: &Order) {
        let Some(store) = &self.store else { return };
        if let Err(error) =
            following::follow(store, &self.segments, std::slice::from_ref(order)).await
        {
            tracing::warn!(order = %order.id, %error, "the stock follows this order later");
        }
    }
}

/// Logs why the database failed; the buyer reads `unavailable`.
pub(super) fn database_failed(error: StoreError) -> ApiError {
    tracing::error!(%error, "orders cannot be read or changed");
    ApiError(Verdict::Unavailable)
}
