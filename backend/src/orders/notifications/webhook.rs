//! Sends notifications as signed HTTP requests to the shop's own systems.
//!
//! The signature is that of payment notices: `X-Seckill-Signature:
//! t={epoch ms},v1={hex}`, the HMAC-SHA256 of `{epoch ms}.{body}`.

use std::sync::Arc;

use axum::http::{Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use seckill_core::ids;
use seckill_core::orders::notification::{Channel, Kind};
use seckill_core::orders::payment;
use seckill_core::orders::purchase::Reason;
use seckill_core::signing::keyring::Keyring;
use seckill_core::signing::trace::TRACEPARENT;

use super::{Attempt, Messenger, Notification};
use crate::http::client::HttpClient;
use crate::now_ms;

/// Posts notifications to one address.
#[derive(Debug)]
pub struct Webhook {
    client: HttpClient,
    to: Uri,
    keys: Arc<Keyring>,
}

impl Webhook {
    /// Posts to `to`, signed with the first of `keys`. An `https:` receiver is
    /// verified by the authorities that this machine trusts, or those in
    /// `SSL_CERT_FILE`.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and `to` needs them.
    pub fn new(to: Uri, keys: Arc<Keyring>) -> Result<Self, std::io::Error> {
        let client = HttpClient::new(to.scheme_str())?;
        Ok(Self { client, to, keys })
    }
}

impl Messenger for Webhook {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    async fn send(&self, notification: &Notification) -> Attempt {
        let body = body(notification).to_string();
        // Signed anew at every attempt: receivers refuse what was signed long ago.
        let signature = payment::sign(&self.keys, now_ms(), body.as_bytes());
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.to)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "seckill")
            .header("idempotency-key", &notification.id)
            .header("x-seckill-signature", signature);
        let request = match &notification.traceparent {
            Some(traceparent) => request.header(TRACEPARENT, traceparent),
            None => request,
        };
        let request = request.body(Full::from(body));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Attempt::Failed(format!("no request can be made of it: {error}")),
        };
        match self.client.send(request).await {
            Ok(response) if response.status().is_success() => Attempt::Delivered,
            Ok(response) if response.status() == StatusCode::GONE => {
                Attempt::Failed("the receiver responded 410 Gone".to_owned())
            }
            // A mistake in how the receiver was set up is mended while we wait.
            Ok(response) => Attempt::Retry(format!("the receiver responded {}", response.status())),
            Err(reason) => Attempt::Retry(reason),
        }
    }
}

/// What is posted. Numbers of orders are text, as everywhere.
fn body(notification: &Notification) -> serde_json::Value {
    let mut body = serde_json::json!({
        "notice": notification.id,
        "event": match notification.kind {
            Kind::RefundDue => "payment.refund_due".to_owned(),
            kind => format!("order.{}", kind.as_str()),
        },
        "at_ms": notification.at_ms,
        "user": ids::user::name(&notification.user),
        "lang": notification.lang.as_str(),
        "order": notification.order.to_string(),
        "status": notification.state.as_str(),
        "reason": notification.reason.map(Reason::as_str),
        "round": notification.round,
        "product": notification.product,
        "title": notification.title,
        "quantity": notification.quantity,
        "total_cents": notification.total.minor,
        "currency": notification.total.currency.as_str(),
        "pay_by_ms": notification.pay_by_ms,
    });
    if let Some((payment, amount)) = &notification.refund {
        body["payment"] = payment.as_str().into();
        body["refund_cents"] = amount.minor.into();
        body["refund_currency"] = amount.currency.as_str().into();
    }
    body
}
