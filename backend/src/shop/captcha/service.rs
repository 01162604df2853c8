//! The port to commercial captcha services.
//!
//! A service shows its own puzzle in the shopper's browser, which sends its response
//! here. A [`Verifier`] checks with the service whether the response is good.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use crate::config::captcha::{Brand, WhenAway};

/// The adapter for services that speak "siteverify".
pub mod siteverify;

pub use siteverify::Siteverify;

/// The verdict, or why there is none.
pub type Vouched<'a> = Pin<Box<dyn Future<Output = Result<bool, ServiceError>> + Send + 'a>>;

/// Checks responses, each once: services refuse a second check themselves.
pub trait Verifier: fmt::Debug + Send + Sync {
    /// Whether the service vouches for the shopper who sent `response` from `address`.
    fn vouches<'a>(&'a self, response: &'a str, address: Option<IpAddr>) -> Vouched<'a>;
}

/// Why a service did not say yes or no.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It could not be reached, or did not answer in time.
    #[error("the captcha service {0} is away: {1}")]
    Away(String, String),
    /// It responded, but without a verdict.
    #[error("the captcha service {0} gave no verdict: {1}")]
    Unclear(String, String),
    /// It refuses our secret.
    #[error(
        "the captcha service {0} refuses our secret ({1}); check the file that \"captcha_secret\" names"
    )]
    Secret(String, String),
}

/// A service as it is configured.
#[derive(Debug)]
pub struct Service {
    /// Which service.
    pub brand: Brand,
    /// The public key that its widget wants.
    pub site_key: String,
    /// What happens while it is away.
    pub when_away: WhenAway,
    /// Checks responses with it.
    pub verifier: Box<dyn Verifier>,
}

/// Longest response that is passed on, in bytes; those of both services are shorter.
pub const MAX_RESPONSE: usize = 4096;

impl Service {
    /// The kind of captcha, for which pages prepare, as JSON.
    pub(super) fn way(&self) -> String {
        serde_json::json!({ "way": self.brand.as_str(), "site_key": self.site_key }).to_string()
    }

    /// Checks a response with the service; while it is away, `when_away` decides.
    pub(super) async fn vouches(
        &self,
        response: &str,
        address: Option<IpAddr>,
    ) -> Result<bool, ServiceError> {
        if response.is_empty() || response.len() > MAX_RESPONSE {
            return Ok(false);
        }
        match self.verifier.vouches(response, address).await {
            Err(ServiceError::Away(name, reason)) if self.when_away == WhenAway::Pass => {
                tracing::warn!(
                    service = name,
                    reason,
                    "passed without a verdict, as captcha_when_away says"
                );
                Ok(true)
            }
            verdict => verdict,
        }
    }
}
