//! What every handler of the purchase role shares.

use std::sync::Arc;
use std::time::Duration;

use seckill_core::Verdict;
use seckill_core::orders::form::Form;
use seckill_core::orders::money::Currency;
use seckill_core::signing::keyring::{Digest, Keyring};
use tokio::sync::Semaphore;

use super::alone::Alone;
use super::captcha::Captcha;
use super::key_file::Keys;
use super::numbers::Numbers;
use super::refill::Refiller;
use super::replay::Replayer;
use super::site::{self, SiteState};
use super::tokens::Tokens;
use crate::config::Names;
use crate::edges::sessions;
use crate::http::error::ApiError;
use crate::orders::payments::Payments;
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::sale::catalogue;
use crate::stock::fence::Fence;
use crate::stock::following;
use crate::stock::journal::Journals;
use crate::store::orders::Order;
use crate::store::{LazyStore, Store, StoreError};

/// Orders that buyers have placed at once at the same time, so that a crowd which waits for
/// a slow database does not take it over: others see their orders from Redis.
const PLACED_AT_ONCE: usize = 8;

/// How the purchase role behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// How long a buyer has to pay, as the orders role has it.
    pub pay_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            digest: Digest::default(),
            demo_login: false,
            captcha: false,
            remember_language: false,
            pay_within: Duration::from_secs(600),
        }
    }
}

/// What every handler of the purchase role shares.
#[derive(Debug)]
pub struct ShopState {
    pub(super) redis: RedisLink,
    pub(super) segments: Segments,
    pub(super) refiller: Refiller,
    pub(super) store: Option<LazyStore>,
    pub(super) keyring: Arc<Keys>,
    /// The payment providers that are set up.
    pub(super) payments: Payments,
    /// What orders need from their buyers.
    pub(super) order_form: Form,
    /// Verifies tokens of the shop's own login; `None` if it has none.
    pub(super) tokens: Option<Arc<Tokens>>,
    /// Shared with the shop's servers that begin sessions; without them none may.
    pub(super) login_keys: Option<Arc<Keyring>>,
    /// The names under which the shop's pages are served.
    pub(super) names: Names,
    pub(super) options: Options,
    /// Hands out passes; `None` if this shop has no captcha.
    pub(super) captcha: Option<Captcha>,
    pub(super) catalogue: catalogue::Mirror,
    /// Sessions and tokens that are revoked.
    pub(super) revoked: sessions::Mirror,
    /// Where requests wait while Redis does not answer; without one, they are refused.
    pub(super) journals: Option<Journals>,
    /// Numbers of the orders that its purchases become.
    pub(super) numbers: Numbers,
    /// A turn for each order that is placed at once for a buyer who came before the queue.
    pub(super) placing_at_once: Semaphore,
    /// Remembers what this process sold, in case its Redis forgets it.
    pub(super) fence: Option<Arc<Fence>>,
    /// What selling means at one of several sites; `None` if this one sells alone.
    pub(super) site: Option<SiteState>,
    /// Whether it does; `None` if that is not asked.
    pub(super) alone: Option<Alone>,
}

impl ShopState {
    /// Waits until this process knows what is on sale.
    pub fn until_ready(&self) -> impl Future<Output = ()> + Send + 'static {
        let (catalogue, alone) = (self.catalogue.clone(), self.alone.clone());
        async move {
            catalogue.until_read().await;
            if let Some(alone) = alone {
                alone.until_known().await;
            }
        }
    }

    /// Whether this process may sell.
    pub(super) fn may_sell(&self) -> bool {
        site::may_sell(self.site.as_ref(), self.alone.as_ref())
    }

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
            revoked: sessions::Mirror::following(redis.clone()),
            numbers: Numbers::drawing(redis.clone()),
            redis,
            placing_at_once: Semaphore::new(PLACED_AT_ONCE),
            refiller: Refiller::new(segments.clone()),
            segments,
            store: store.map(LazyStore::opened),
            keyring: Arc::new(Keys::fixed(&keyring)),
            payments: Payments::new(Currency::CNY, Vec::new()),
            order_form: Form::default(),
            tokens: None,
            login_keys: None,
            names: Names::default(),
            options,
            captcha: None,
            journals: None,
            fence: None,
            site: None,
            alone: None,
        }
    }

    /// Uses this database, which may be away now and come later.
    #[must_use]
    pub fn with_store(self, store: LazyStore) -> Self {
        Self {
            store: Some(store),
            ..self
        }
    }

    /// Verifies and signs with these keys, which may follow a file.
    #[must_use]
    pub fn with_keys(self, keyring: Arc<Keys>) -> Self {
        Self { keyring, ..self }
    }

    /// Takes payments by these providers.
    #[must_use]
    pub fn with_payments(self, payments: Payments) -> Self {
        Self { payments, ..self }
    }

    /// Has buyers fill in this form.
    #[must_use]
    pub fn with_order_form(self, order_form: Form) -> Self {
        Self { order_form, ..self }
    }

    /// Believes the tokens of the shop's own login.
    #[must_use]
    pub fn with_tokens(self, tokens: Option<Arc<Tokens>>) -> Self {
        Self { tokens, ..self }
    }

    /// Begins sessions for servers that sign with one of these keys.
    #[must_use]
    pub fn with_login_keys(self, login_keys: Option<Arc<Keyring>>) -> Self {
        Self { login_keys, ..self }
    }

    /// Serves pages under these names.
    #[must_use]
    pub fn with_names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// Hands out passes by this captcha.
    #[must_use]
    pub fn with_captcha(self, captcha: Option<Captcha>) -> Self {
        Self { captcha, ..self }
    }

    /// Takes requests into these journals while Redis does not answer.
    #[must_use]
    pub fn with_journals(self, journals: Option<Journals>) -> Self {
        Self { journals, ..self }
    }

    /// Tells this fence what is sold.
    #[must_use]
    pub fn with_fence(self, fence: Option<Arc<Fence>>) -> Self {
        Self { fence, ..self }
    }

    /// Sells as one of several sites.
    #[must_use]
    pub fn with_site(self, site: Option<SiteState>) -> Self {
        Self { site, ..self }
    }

    /// Sells only while no other site reports to its Redis. Must be called inside a runtime.
    #[must_use]
    pub fn alone(self) -> Self {
        let alone = Alone::following(self.redis.clone(), self.catalogue.clone());
        Self {
            alone: Some(alone),
            ..self
        }
    }

    /// What replays journals on this shop's stock.
    #[must_use]
    pub fn replayer(&self) -> Replayer {
        Replayer::new(
            self.redis.clone(),
            self.segments.clone(),
            self.refiller.clone(),
            self.numbers.clone(),
            self.fence.clone(),
        )
        .at_site((self.site.clone(), self.alone.clone()))
        .retiring_by(self.store.clone())
    }

    /// The database.
    ///
    /// # Errors
    /// `unavailable`, if this role runs without one, or it is away.
    pub(super) async fn store(&self) -> Result<&Store, ApiError> {
        let store = self.store.as_ref().ok_or(Verdict::Unavailable)?;
        store.get().await.map_err(database_failed)
    }

    /// Makes the stock follow the order. If that fails, the order stays due, and
    /// the sweep of the orders role tries again.
    pub(super) async fn stock_follows(&self, order: &Order) {
        let Ok(store) = self.store().await else {
            return;
        };
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
