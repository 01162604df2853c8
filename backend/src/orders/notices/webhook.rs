//! Notices as signed HTTP calls to the shop's own systems.
//!
//! The signature is that of payment notices: `X-Seckill-Signature:
//! t={epoch ms},v1={hex}`, the HMAC-SHA256 of `{epoch ms}.{body}`.

use std::sync::Arc;

use axum::http::{Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use seckill_core::orders::notification::{Channel, Kind};
use seckill_core::orders::payment;
use seckill_core::orders::purchase::Reason;
use seckill_core::signing::keyring::Keyring;

use super::{Messenger, Notice, Told};
use crate::http::client::HttpClient;
use crate::now_ms;

/// Posts notices to one address.
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

    async fn tell(&self, notice: &Notice) -> Told {
        let body = body(notice).to_string();
        // Signed anew at every try: receivers refuse what was signed long ago.
        let signature = payment::sign(&self.keys, now_ms(), body.as_bytes());
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.to)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "seckill")
            .header("idempotency-key", &notice.id)
            .header("x-seckill-signature", signature)
            .body(Full::from(body));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Told::Never(format!("no request can be made of it: {error}")),
        };
        match self.client.send(request).await {
            Ok(answer) if answer.status().is_success() => Told::Yes,
            Ok(answer) if answer.status() == StatusCode::GONE => {
                Told::Never("the receiver answered 410 Gone".to_owned())
            }
            // A mistake in how the receiver was set up is mended while we wait.
            Ok(answer) => Told::NotNow(format!("the receiver answered {}", answer.status())),
            Err(reason) => Told::NotNow(reason),
        }
    }
}

/// What is posted. Numbers of orders are text, as everywhere.
fn body(notice: &Notice) -> serde_json::Value {
    let mut body = serde_json::json!({
        "notice": notice.id,
        "event": match notice.kind {
            Kind::RefundDue => "payment.refund_due".to_owned(),
            kind => format!("order.{}", kind.as_str()),
        },
        "at_ms": notice.at_ms,
        "user": notice.user,
        "lang": notice.lang.as_str(),
        "order": notice.order.to_string(),
        "status": notice.state.as_str(),
        "reason": notice.reason.map(Reason::as_str),
        "round": notice.round,
        "product": notice.product,
        "title": notice.title,
        "quantity": notice.quantity,
        "total_cents": notice.total_cents,
        "pay_by_ms": notice.pay_by_ms,
    });
    if let Some((payment, cents)) = &notice.refund {
        body["payment"] = payment.as_str().into();
        body["refund_cents"] = (*cents).into();
    }
    body
}
