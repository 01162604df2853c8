//! The generic provider: any service that signs as this system does, with a secret that
//! both share. `X-Seckill-Signature: t={epoch ms},v1={hex}`, the HMAC-SHA256 of
//! `{epoch ms}.{body}`; of a request without a body, of its path and query.

use std::sync::Arc;

use axum::http::Request;
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::payment::{self, Notice, ProviderName, Reported, SignatureError};
use seckill_core::signing::keyring::Keyring;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::call::{Api, encoded};
use super::{Bill, NoticeError, Opened, Provider, ProviderError, Received, Refund, Returned, Site};
use crate::now_ms;
use crate::store::checkouts::Checkout;

/// The header with a signature.
const SIGNATURE: &str = "x-seckill-signature";

/// A service that signs as this system does.
#[derive(Debug)]
pub struct Signed {
    keys: Arc<Keyring>,
    /// The shop's currency, for notices that name none.
    currency: Currency,
    /// Where buyers pay, with `{order}` and other names to be replaced; `None` if the
    /// service only sends notices.
    pay_url: Option<(String, Site)>,
    api: Option<Api>,
}

/// A notice as it is posted, and as the API lists it.
#[derive(Deserialize)]
struct Body {
    payment: String,
    #[serde(default)]
    order: String,
    amount_cents: u64,
    currency: Option<String>,
    status: Status,
    refunded_cents: Option<u64>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Status {
    Paid,
    Failed,
    Refunded,
}

#[derive(Deserialize)]
struct List {
    payments: Vec<Body>,
}

#[derive(Deserialize)]
struct RefundReply {
    status: RefundStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RefundStatus {
    Refunded,
    Pending,
}

impl Signed {
    /// Accepts notices that are signed with one of these keys.
    #[must_use]
    pub fn new(keys: Arc<Keyring>, currency: Currency) -> Self {
        Self {
            keys,
            currency,
            pay_url: None,
            api: None,
        }
    }

    /// Sends buyers to this page: `{order}`, `{amount_cents}`, `{amount}`, `{currency}`,
    /// `{until_ms}` and `{return_url}` are replaced, and a signature of the whole is added.
    #[must_use]
    pub fn with_page(self, template: &str, site: Site) -> Self {
        let pay_url = Some((template.to_owned(), site));
        Self { pay_url, ..self }
    }

    /// Queries and refunds payments at this address.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and the address needs them.
    pub fn with_api(self, base: &str) -> std::io::Result<Self> {
        let api = Some(Api::new(ProviderName::Signed, base)?);
        Ok(Self { api, ..self })
    }

    pub(super) fn has_page(&self) -> bool {
        self.pay_url.is_some()
    }

    pub(super) fn has_api(&self) -> bool {
        self.api.is_some()
    }

    fn notice(&self, body: Body) -> Result<Notice, String> {
        let currency = match &body.currency {
            None => self.currency,
            Some(text) => Currency::parse(text)
                .ok_or_else(|| format!("its currency \"{text}\" is not three letters"))?,
        };
        Ok(Notice {
            provider: ProviderName::Signed,
            payment: body.payment,
            order: body.order,
            amount: Money::new(body.amount_cents, currency),
            reported: match body.status {
                Status::Paid => Reported::Paid,
                Status::Failed => Reported::Failed,
                Status::Refunded => {
                    Reported::Refunded(body.refunded_cents.unwrap_or(body.amount_cents))
                }
            },
        })
    }

    fn api(&self) -> Result<&Api, ProviderError> {
        let missing = "its address is not set; write api = \"https://…\" under [signed]";
        let missing = || ProviderError::Refused(ProviderName::Signed, missing.to_owned());
        self.api.as_ref().ok_or_else(missing)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<String>,
    ) -> Result<T, ProviderError> {
        let api = self.api()?;
        let signed = body.as_deref().unwrap_or(path);
        let signature = payment::sign(&self.keys, now_ms(), signed.as_bytes());
        let method = if body.is_some() { "POST" } else { "GET" };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", api.base))
            .header("content-type", "application/json")
            .header(SIGNATURE, signature);
        let reply = api.send(request, body.unwrap_or_default()).await?;
        if !reply.status.is_success() {
            return Err(api.refusal(&reply));
        }
        let parsed = serde_json::from_slice(&reply.body);
        parsed.map_err(|error| api.away(format!("its reply cannot be read: {error}")))
    }

    async fn listed(&self, path: &str) -> Result<Vec<Notice>, ProviderError> {
        let List { payments } = self.call(path, None).await?;
        let notices = payments.into_iter().map(|body| self.notice(body));
        let notices: Result<Vec<_>, String> = notices.collect();
        notices.map_err(|reason| ProviderError::Away(ProviderName::Signed, reason))
    }
}

impl Provider for Signed {
    fn name(&self) -> ProviderName {
        ProviderName::Signed
    }

    async fn create(&self, bill: &Bill<'_>) -> Result<Opened, ProviderError> {
        let Some((template, site)) = &self.pay_url else {
            let reason = "it has no page; write pay_url = \"https://…\" under [signed]".to_owned();
            return Err(ProviderError::Refused(ProviderName::Signed, reason));
        };
        let order = bill.order.to_string();
        let url = template
            .replace("{order}", &order)
            .replace("{amount_cents}", &bill.amount.minor.to_string())
            .replace("{amount}", &bill.amount.decimal())
            .replace("{currency}", bill.amount.currency.as_str())
            .replace("{until_ms}", &bill.until_ms.to_string())
            .replace("{return_url}", &encoded(&site.return_url(bill.order)));
        let signature = payment::sign(&self.keys, bill.now_ms, url.as_bytes());
        let joint = if url.contains('?') { '&' } else { '?' };
        Ok(Opened {
            pay_url: format!("{url}{joint}signature={}", encoded(&signature)),
            provider_id: order,
        })
    }

    fn read(&self, received: &Received<'_>) -> Result<Option<Notice>, NoticeError> {
        let signature = received.header(SIGNATURE);
        let verified = payment::verify(&self.keys, signature, received.body, received.now_ms);
        verified.map_err(|error| match error {
            SignatureError::Invalid => NoticeError::Forged,
            SignatureError::Expired => NoticeError::Expired,
        })?;
        let body: Body = serde_json::from_slice(received.body)
            .map_err(|error| NoticeError::Unreadable(error.to_string()))?;
        self.notice(body).map(Some).map_err(NoticeError::Unreadable)
    }

    async fn query(&self, checkout: &Checkout) -> Result<Option<Notice>, ProviderError> {
        let found = self
            .listed(&format!("/payments?order={}", checkout.order))
            .await?;
        // A failed attempt says less than a payment.
        let best = found
            .into_iter()
            .max_by_key(|it| it.reported != Reported::Failed);
        Ok(best)
    }

    async fn refund(&self, refund: &Refund<'_>) -> Result<Returned, ProviderError> {
        let body = serde_json::json!({
            "refund": refund.key,
            "payment": refund.payment,
            "order": refund.order,
            "amount_cents": refund.part.minor,
            "currency": refund.part.currency.as_str(),
        });
        let reply: RefundReply = self.call("/refunds", Some(body.to_string())).await?;
        Ok(match reply.status {
            RefundStatus::Refunded => Returned::Done,
            RefundStatus::Pending => Returned::Pending,
        })
    }

    async fn list(&self, from_ms: u64, to_ms: u64) -> Result<Option<Vec<Notice>>, ProviderError> {
        let path = format!("/payments?from_ms={from_ms}&to_ms={to_ms}");
        Ok(Some(self.listed(&path).await?))
    }

    fn receipt(&self) -> Option<&'static str> {
        None
    }
}
