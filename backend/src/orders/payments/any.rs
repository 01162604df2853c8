//! A provider of any adapter, for programs that learn at run time which are in use.

use seckill_core::orders::payment::{Notice, ProviderName};

use super::alipay::Alipay;
use super::signed::Signed;
use super::stripe::Stripe;
use super::wechat::WeChat;
use super::{Bill, NoticeError, Opened, Provider, ProviderError, Received, Refund, Returned};
use crate::store::checkouts::Checkout;

/// A provider of any adapter.
#[derive(Debug)]
pub enum AnyProvider {
    /// A service that signs as this system does.
    Signed(Signed),
    /// The provider Stripe.
    Stripe(Stripe),
    /// The provider Alipay.
    Alipay(Alipay),
    /// The provider WeChat Pay.
    WeChat(WeChat),
}

impl AnyProvider {
    /// Whether buyers can be sent to it: a signed service may only send notices.
    #[must_use]
    pub fn has_page(&self) -> bool {
        match self {
            Self::Signed(signed) => signed.has_page(),
            _ => true,
        }
    }

    /// Whether it can be asked for its payments: a signed service may only send notices.
    #[must_use]
    pub fn can_report(&self) -> bool {
        match self {
            Self::Signed(signed) => signed.has_api(),
            _ => true,
        }
    }
}

impl AnyProvider {
    /// Refuses a reply with a payment that cannot be recorded.
    fn checked(&self, notices: &[Notice]) -> Result<(), ProviderError> {
        for notice in notices {
            notice.check().map_err(|reason| {
                let (id, order) = (&notice.payment, &notice.order);
                let reason = format!("of its payment \"{id}\" for order \"{order}\": {reason}");
                ProviderError::Away(self.name(), reason)
            })?;
        }
        Ok(())
    }
}

/// Calls the adapter that a provider is of.
macro_rules! dispatch {
    ($self:ident, $provider:ident => $call:expr) => {
        match $self {
            Self::Signed($provider) => $call,
            Self::Stripe($provider) => $call,
            Self::Alipay($provider) => $call,
            Self::WeChat($provider) => $call,
        }
    };
}

impl Provider for AnyProvider {
    fn name(&self) -> ProviderName {
        dispatch!(self, provider => provider.name())
    }

    async fn create(&self, bill: &Bill<'_>) -> Result<Opened, ProviderError> {
        dispatch!(self, provider => provider.create(bill).await)
    }

    fn read(&self, received: &Received<'_>) -> Result<Option<Notice>, NoticeError> {
        let notice = dispatch!(self, provider => provider.read(received))?;
        if let Some(notice) = &notice {
            notice.check().map_err(NoticeError::Unreadable)?;
        }
        Ok(notice)
    }

    async fn query(&self, checkout: &Checkout) -> Result<Option<Notice>, ProviderError> {
        let notice = dispatch!(self, provider => provider.query(checkout).await)?;
        self.checked(notice.as_slice())?;
        Ok(notice)
    }

    async fn refund(&self, refund: &Refund<'_>) -> Result<Returned, ProviderError> {
        dispatch!(self, provider => provider.refund(refund).await)
    }

    async fn list(&self, from_ms: u64, to_ms: u64) -> Result<Option<Vec<Notice>>, ProviderError> {
        let list = dispatch!(self, provider => provider.list(from_ms, to_ms).await)?;
        self.checked(list.as_deref().unwrap_or_default())?;
        Ok(list)
    }

    fn receipt(&self) -> Option<&'static str> {
        dispatch!(self, provider => provider.receipt())
    }
}
