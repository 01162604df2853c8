//! Taking payments: the port to payment providers, and the providers that are set up.
//!
//! An adapter is a file: it says how a provider is sent an order to be paid, how its
//! notices are verified and read, and how it is queried. What a notice means is decided
//! elsewhere ([`seckill_core::orders::payment`]), the same for every provider.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment::{Notice, ProviderName};
use seckill_core::signing::keyring::Keyring;

use crate::store::checkouts::Checkout;

/// The adapter for Alipay.
pub mod alipay;
/// A provider of any adapter.
mod any;
/// Calls of a provider's API.
mod call;
/// Compares the providers' lists with our records.
pub mod reconcile;
/// Returns money to buyers.
pub mod refunds;
/// RSA signatures, and keys in PEM files.
pub mod rsa;
/// The file with the providers' settings.
pub mod settings;
/// A service that signs as this system does.
pub mod signed;
/// The adapter for Stripe.
pub mod stripe;
/// WeChat Pay.
pub mod wechat;

pub use any::AnyProvider;
pub use call::Secret;
pub use settings::SettingsError;

/// How long a call of a provider may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long no checkout is created at a provider after it was away, in ms.
const PAUSE_MS: u64 = 2_000;

/// An order to be paid, as a provider is sent it.
#[derive(Debug, Clone)]
pub struct Bill<'a> {
    /// The order.
    pub order: OrderId,
    /// What shoppers call the product.
    pub title: &'a str,
    /// What is to be paid.
    pub amount: Money,
    /// Until when, epoch milliseconds.
    pub until_ms: u64,
    /// The address of the buyer's browser, where it is known.
    pub client: Option<IpAddr>,
    /// The time, epoch milliseconds.
    pub now_ms: u64,
}

/// A payment that a provider waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Where the buyer pays.
    pub pay_url: String,
    /// What the provider calls it.
    pub provider_id: String,
}

/// A request that says it comes from the provider.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
    /// The time, epoch milliseconds.
    pub now_ms: u64,
}

impl<'a> Received<'a> {
    /// A header as text; empty if it is missing or no text.
    fn header(&self, name: &str) -> &'a str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// Why a notice cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// Its signature is missing, malformed, or made with another key.
    #[error("its signature is not the provider's")]
    Forged,
    /// It is genuine, and too old, or from a clock that is far ahead.
    #[error("it was signed too long ago, or by a clock that is ahead; both clocks need NTP")]
    Expired,
    /// It is genuine, and this adapter cannot read it: perhaps money that nobody knows of.
    #[error("it is genuine and cannot be read: {0}")]
    Unreadable(String),
    /// It is genuine, and about another merchant's money.
    #[error("it is for another merchant: its {field} is \"{value}\", and ours is \"{ours}\"")]
    Foreign {
        /// What differs.
        field: &'static str,
        /// What the notice says.
        value: String,
        /// What the settings say.
        ours: String,
    },
}

/// Why a provider did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It is away, or its reply is not its own: the outcome is unknown, and the same call
    /// may be repeated.
    #[error("{provider} is away: {reason}", provider = .0.as_str(), reason = .1)]
    Away(ProviderName, String),
    /// It refuses; a repetition does not help.
    #[error("{provider} refuses: {reason}", provider = .0.as_str(), reason = .1)]
    Refused(ProviderName, String),
}

/// Money to be returned to a buyer.
#[derive(Debug, Clone)]
pub struct Refund<'a> {
    /// Names this refund: repeated calls with the same text return the money once.
    pub key: &'a str,
    /// The payment's id at the provider.
    pub payment: &'a str,
    /// The order that it was for, as its notice named it.
    pub order: &'a str,
    /// How much is returned.
    pub part: Money,
    /// The amount of the payment.
    pub whole: Money,
}

/// The outcome of a refund that a provider accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    /// The money is on its way to the buyer.
    Done,
    /// The provider sends a notice once it is.
    Pending,
}

/// A payment provider.
pub trait Provider: Send + Sync {
    /// Its name.
    fn name(&self) -> ProviderName;

    /// Has the provider wait for a payment. The same order again is the same payment.
    fn create(&self, bill: &Bill<'_>)
    -> impl Future<Output = Result<Opened, ProviderError>> + Send;

    /// Verifies and reads a notice; `None` if it reports nothing about a payment.
    ///
    /// # Errors
    /// [`NoticeError`].
    fn read(&self, received: &Received<'_>) -> Result<Option<Notice>, NoticeError>;

    /// What the provider knows of a checkout's payment; `None` if nothing was paid.
    fn query(
        &self,
        checkout: &Checkout,
    ) -> impl Future<Output = Result<Option<Notice>, ProviderError>> + Send;

    /// Returns money.
    fn refund(
        &self,
        refund: &Refund<'_>,
    ) -> impl Future<Output = Result<Returned, ProviderError>> + Send;

    /// All payments of a time, `[from_ms, to_ms)`; `None` if the provider has no such list,
    /// so that each checkout has to be queried.
    fn list(
        &self,
        from_ms: u64,
        to_ms: u64,
    ) -> impl Future<Output = Result<Option<Vec<Notice>>, ProviderError>> + Send;

    /// The response by which the provider knows that its notice is on record; `None` for
    /// the payment as JSON.
    fn receipt(&self) -> Option<&'static str>;
}

/// The addresses of this shop that a provider is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The shop's address as shoppers know it, without a slash at its end.
    base: String,
}

impl Site {
    /// The site at this address.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self { base }
    }

    /// Where the buyer returns after paying.
    fn return_url(&self, order: OrderId) -> String {
        format!("{}/order.html?order={order}", self.base)
    }

    /// Where notices of a provider are posted.
    fn notify_url(&self, provider: ProviderName) -> String {
        format!("{}/api/payments/{}", self.base, provider.as_str())
    }
}

/// The providers that are set up; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Payments {
    currency: Currency,
    /// The one that buyers are sent to comes first.
    providers: Arc<[AnyProvider]>,
    /// Until when no checkout is created because the provider was away, epoch
    /// milliseconds; as many as there are providers.
    paused_until_ms: Arc<[AtomicU64]>,
}

impl Payments {
    /// These providers; the first is the one to which buyers are sent.
    #[must_use]
    pub fn new(currency: Currency, providers: Vec<AnyProvider>) -> Self {
        let paused = providers.iter().map(|_| AtomicU64::new(0)).collect();
        Self {
            currency,
            providers: providers.into(),
            paused_until_ms: paused,
        }
    }

    /// The providers of the settings file, and the signed one if there are keys for it.
    ///
    /// # Errors
    /// [`SettingsError`], which names the file, the key and the cure.
    pub fn open(
        file: &Path,
        currency: Currency,
        keys: Option<Arc<Keyring>>,
        site: Option<&str>,
    ) -> Result<Self, SettingsError> {
        Ok(Self::new(
            currency,
            settings::open(file, currency, keys, site)?,
        ))
    }

    /// The currency of this shop.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// All providers.
    #[must_use]
    pub fn all(&self) -> &[AnyProvider] {
        &self.providers
    }

    /// The provider of this name, if it is set up.
    #[must_use]
    pub fn named(&self, name: ProviderName) -> Option<&AnyProvider> {
        self.providers.iter().find(|it| it.name() == name)
    }

    /// The providers to which buyers can be sent, the usual one first.
    pub fn pages(&self) -> impl Iterator<Item = ProviderName> {
        let with_page = self.providers.iter().filter(|it| it.has_page());
        with_page.map(Provider::name)
    }

    /// Has the provider wait for a payment, unless it was away a moment ago: buyers who
    /// look at their orders must not all wait for it.
    ///
    /// # Errors
    /// [`ProviderError`], also if there is no such provider.
    pub async fn create(
        &self,
        name: ProviderName,
        bill: &Bill<'_>,
    ) -> Result<Opened, ProviderError> {
        let place = self.providers.iter().position(|it| it.name() == name);
        let found =
            place.and_then(|at| Some((self.providers.get(at)?, self.paused_until_ms.get(at)?)));
        let Some((provider, paused_until)) = found else {
            let reason = "it is not set up here".to_owned();
            return Err(ProviderError::Refused(name, reason));
        };
        if paused_until.load(Ordering::Relaxed) > bill.now_ms {
            let reason = "it did not reply a moment ago".to_owned();
            return Err(ProviderError::Away(name, reason));
        }
        let opened = provider.create(bill).await;
        if let Err(ProviderError::Away(..)) = &opened {
            paused_until.store(crate::now_ms() + PAUSE_MS, Ordering::Relaxed);
        }
        opened
    }
}
