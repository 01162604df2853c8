//! Stripe: Checkout sessions, and events signed with `Stripe-Signature`
//! (docs.stripe.com/api, docs.stripe.com/webhooks#verify-manually).

use axum::http::Request;
use ring::hmac;
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::payment::{Notice, ProviderName, Reported, WINDOW_MS};
use serde_json::Value;

use super::call::{Api, Secret, encoded, form};
use super::{Bill, NoticeError, Opened, Provider, ProviderError, Received, Refund, Returned, Site};
use crate::store::checkouts::Checkout;

/// The version of the API whose forms are read here.
const VERSION: &str = "2024-06-20";
/// Shortest life of a session that Stripe allows, with room for two clocks, in ms.
const SHORTEST_MS: u64 = 31 * 60_000;
/// Payments on a page of a list: the most that Stripe allows.
const PAGE: &str = "100";

/// An account at Stripe.
#[derive(Debug)]
pub struct Stripe {
    api: Api,
    secret_key: Secret,
    /// Signs events; several while one replaces another.
    webhook_secrets: Vec<Secret>,
    site: Site,
}

impl Stripe {
    /// At this address of the API, usually `https://api.stripe.com`.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and the address needs them.
    pub fn new(
        base: &str,
        secret_key: Secret,
        webhook_secrets: Vec<Secret>,
        site: Site,
    ) -> std::io::Result<Self> {
        Ok(Self {
            api: Api::new(ProviderName::Stripe, base)?,
            secret_key,
            webhook_secrets,
            site,
        })
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        (key, body): (&str, String),
    ) -> Result<Value, ProviderError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.api.base))
            .header(
                "authorization",
                format!("Bearer {}", self.secret_key.text()),
            )
            .header("stripe-version", VERSION);
        if method == "POST" {
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .header("idempotency-key", key);
        }
        let reply = self.api.send(request, body).await?;
        if !reply.status.is_success() {
            return Err(self.api.refusal(&reply));
        }
        let parsed = serde_json::from_slice(&reply.body);
        parsed.map_err(|error| self.api.away(format!("its reply cannot be read: {error}")))
    }

    fn verify(&self, received: &Received<'_>) -> Result<(), NoticeError> {
        let (mut at, mut given) = ("", Vec::new());
        for part in received.header("stripe-signature").split(',') {
            match part.trim().split_once('=') {
                Some(("t", value)) => at = value,
                Some(("v1", value)) => given.extend(from_hex(value)),
                _ => {}
            }
        }
        let text = [at.as_bytes(), b".", received.body].concat();
        let genuine = self.webhook_secrets.iter().any(|secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.text().as_bytes());
            given
                .iter()
                .any(|mac| hmac::verify(&key, &text, mac).is_ok())
        });
        let seconds: Option<u64> = at.parse().ok();
        match seconds {
            Some(seconds) if genuine => {
                let away = seconds.saturating_mul(1000).abs_diff(received.now_ms);
                if away <= WINDOW_MS {
                    Ok(())
                } else {
                    Err(NoticeError::Expired)
                }
            }
            _ => Err(NoticeError::Forged),
        }
    }
}

impl Provider for Stripe {
    fn name(&self) -> ProviderName {
        ProviderName::Stripe
    }

    async fn create(&self, bill: &Bill<'_>) -> Result<Opened, ProviderError> {
        let (order, back) = (bill.order.to_string(), self.site.return_url(bill.order));
        let amount = bill.amount.minor.to_string();
        let currency = bill.amount.currency.as_str().to_ascii_lowercase();
        let expires = bill.until_ms.max(bill.now_ms + SHORTEST_MS) / 1000;
        let body = form([
            ("mode", "payment"),
            ("client_reference_id", &order),
            ("metadata[order]", &order),
            ("payment_intent_data[metadata][order]", &order),
            ("line_items[0][quantity]", "1"),
            ("line_items[0][price_data][currency]", &currency),
            ("line_items[0][price_data][unit_amount]", &amount),
            ("line_items[0][price_data][product_data][name]", bill.title),
            ("expires_at", &expires.to_string()),
            ("success_url", &back),
            ("cancel_url", &back),
        ]);
        // The same body under the same key is the same session: its expiry differs from
        // one call to the next, hence it is a part of the key.
        let key = format!("checkout-{order}-{expires}");
        let session = self
            .call("POST", "/v1/checkout/sessions", (&key, body))
            .await?;
        match (session["url"].as_str(), session["id"].as_str()) {
            (Some(url), Some(id)) => Ok(Opened {
                pay_url: url.to_owned(),
                provider_id: id.to_owned(),
            }),
            _ => Err(self.api.away("its session has no url")),
        }
    }

    fn read(&self, received: &Received<'_>) -> Result<Option<Notice>, NoticeError> {
        self.verify(received)?;
        let event: Value = serde_json::from_slice(received.body)
            .map_err(|error| NoticeError::Unreadable(error.to_string()))?;
        let object = &event["data"]["object"];
        let notice = match event["type"].as_str().unwrap_or_default() {
            "checkout.session.completed" if object["payment_status"] != "paid" => return Ok(None),
            "checkout.session.completed" | "checkout.session.async_payment_succeeded" => {
                of_session(object, Reported::Paid)
            }
            "checkout.session.async_payment_failed" => of_session(object, Reported::Failed),
            "charge.refunded" => of_charge(object),
            _ => return Ok(None),
        };
        let kind = event["type"].as_str().unwrap_or_default();
        let missing = || NoticeError::Unreadable(format!("the {kind} lacks payment or amount"));
        notice.map(Some).ok_or_else(missing)
    }

    async fn query(&self, checkout: &Checkout) -> Result<Option<Notice>, ProviderError> {
        let path = format!(
            "/v1/checkout/sessions/{}?expand[]=payment_intent.latest_charge",
            encoded(&checkout.provider_id)
        );
        let session = self.call("GET", &path, ("", String::new())).await?;
        Ok(of_intent(&session["payment_intent"]))
    }

    async fn refund(&self, refund: &Refund<'_>) -> Result<Returned, ProviderError> {
        let body = form([
            ("payment_intent", refund.payment),
            ("amount", &refund.part.minor.to_string()),
            ("metadata[order]", refund.order),
        ]);
        let made = self.call("POST", "/v1/refunds", (refund.key, body)).await?;
        match made["status"].as_str() {
            Some("succeeded") => Ok(Returned::Done),
            Some("pending" | "requires_action") => Ok(Returned::Pending),
            other => Err(self.api.refused(format!("the refund is {other:?}"))),
        }
    }

    async fn list(&self, from_ms: u64, to_ms: u64) -> Result<Option<Vec<Notice>>, ProviderError> {
        let (from, to) = (from_ms / 1000, to_ms.div_ceil(1000));
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!(
                "/v1/payment_intents?created[gte]={from}&created[lt]={to}&limit={PAGE}\
                 &expand[]=data.latest_charge{after}"
            );
            let page = self.call("GET", &path, ("", String::new())).await?;
            let intents = page["data"].as_array().map_or(&[][..], Vec::as_slice);
            found.extend(intents.iter().filter_map(of_intent));
            let last = intents.last().and_then(|intent| intent["id"].as_str());
            match (page["has_more"].as_bool(), last) {
                (Some(true), Some(last)) => after = format!("&starting_after={}", encoded(last)),
                _ => return Ok(Some(found)),
            }
        }
    }

    fn receipt(&self) -> Option<&'static str> {
        Some("{}")
    }
}

/// The bytes that hexadecimal digits say; `None` if they are none.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let digits: Option<Vec<u32>> = text.as_bytes().iter().map(digit).collect();
    let pairs = digits?;
    let bytes = pairs.chunks_exact(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    bytes.collect()
}

fn money(object: &Value, amount: &str) -> Option<Money> {
    let currency = Currency::parse(object["currency"].as_str()?)?;
    Some(Money::new(object[amount].as_u64()?, currency))
}

fn notice(payment: &Value, order: &Value, amount: Money, reported: Reported) -> Option<Notice> {
    Some(Notice {
        provider: ProviderName::Stripe,
        payment: payment.as_str()?.to_owned(),
        order: order.as_str().unwrap_or_default().to_owned(),
        amount,
        reported,
    })
}

/// What a Checkout session says.
fn of_session(session: &Value, reported: Reported) -> Option<Notice> {
    let amount = money(session, "amount_total")?;
    let order = &session["client_reference_id"];
    notice(&session["payment_intent"], order, amount, reported)
}

/// What a charge says of its refunds.
fn of_charge(charge: &Value) -> Option<Notice> {
    let refunded = Reported::Refunded(charge["amount_refunded"].as_u64()?);
    let order = &charge["metadata"]["order"];
    notice(
        &charge["payment_intent"],
        order,
        money(charge, "amount")?,
        refunded,
    )
}

/// What a payment intent says, with its latest charge; `None` if nothing was paid.
fn of_intent(intent: &Value) -> Option<Notice> {
    if intent["status"] != "succeeded" {
        return None;
    }
    let refunded = intent["latest_charge"]["amount_refunded"].as_u64();
    let reported = match refunded {
        Some(1..) => Reported::Refunded(refunded.unwrap_or_default()),
        _ => Reported::Paid,
    };
    let amount = money(intent, "amount_received")?;
    notice(
        &intent["id"],
        &intent["metadata"]["order"],
        amount,
        reported,
    )
}
