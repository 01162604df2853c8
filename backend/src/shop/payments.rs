//! `POST /api/payments/{provider}`: the payment providers' notices. The signed provider's
//! arrive at `/api/payments/callback` too.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use seckill_core::Verdict;
use seckill_core::orders::money::Money;
use seckill_core::orders::payment;
use seckill_core::orders::payment::{Notice, ProviderName};

use super::promised;
use super::state::{ShopState, database_failed};
use super::view::payment_json;
use crate::http::error::{ApiError, json_response};
use crate::now_ms;
use crate::orders::payments::{AnyProvider, NoticeError, Provider as _, Received};
use crate::store::StoreError;
use crate::store::payments::{Noted, Payment};

/// Largest body, in bytes: a provider's notice has a few thousand, and its ids may be of
/// any length.
const MAX_BODY: usize = 1 << 20;
/// Characters of a notice that cannot be used which the log shows.
const SHOWN: usize = 500;

/// `POST /api/payments/callback` and `POST /api/payments/{provider}`.
pub(super) fn router() -> Router<Arc<ShopState>> {
    Router::new()
        .route("/api/payments/callback", post(callback))
        .route("/api/payments/{provider}", post(notified))
}

async fn callback(
    State(state): State<Arc<ShopState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    take(&state, ProviderName::Signed, &headers, body).await
}

async fn notified(
    State(state): State<Arc<ShopState>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    match ProviderName::parse(&name) {
        Some(ProviderName::Shop) | None => {
            tracing::warn!(name, "a payment notice names no provider");
            Err(ApiError(Verdict::NotFound))
        }
        Some(name) => take(&state, name, &headers, body).await,
    }
}

/// Records a notice. The response is 200 once the notice is on record, whatever was
/// decided about it; any other status asks the provider to send the notice again.
async fn take(
    state: &ShopState,
    name: ProviderName,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Some(provider) = state.payments.named(name) else {
        tracing::error!(
            provider = name.as_str(),
            "a payment notice arrived, and its provider is not set up: there is nothing to verify it with"
        );
        return Err(ApiError(Verdict::Unavailable));
    };
    let body = to_bytes(body, MAX_BODY).await.map_err(|error| {
        tracing::error!(provider = name.as_str(), %error, "a payment notice is cut off, or larger than 1 MiB");
        Verdict::BadRequest
    })?;
    let received = Received {
        headers,
        body: &body,
        now_ms: now_ms(),
    };
    match provider.read(&received) {
        Ok(Some(notice)) => note(state, provider, &notice).await,
        Ok(None) => Ok(receipt(provider, None)),
        Err(error) => Ok(refusal(name, &error, &body)),
    }
}

async fn note(
    state: &ShopState,
    provider: &AnyProvider,
    notice: &Notice,
) -> Result<Response, ApiError> {
    if let Some(order) = notice.order_id() {
        // The notice may arrive before the order does.
        promised::place_paid(state, order).await?;
    }
    let store = state.store().await?;
    let noted = store.note_payment(notice, state.payments.currency(), now_ms());
    let Noted { payment, order } = match noted.await {
        Err(StoreError::OtherMoney(known, amount)) => {
            return Ok(other_money(notice, &known, amount));
        }
        noted => noted.map_err(database_failed)?,
    };
    if payment.state == payment::State::RefundDue {
        let (id, reason) = (&payment.id, &payment.reason);
        tracing::warn!(
            payment = id,
            order = notice.order,
            reason,
            "a refund is due"
        );
    }
    if let Some(order) = &order {
        state.stock_follows(order).await;
    }
    Ok(receipt(provider, Some(&payment)))
}

/// The refusal of a notice that names a payment which is on record with other money. It may
/// be money that nobody knows of: the log names both, for a person.
fn other_money(notice: &Notice, known: &Payment, amount: Money) -> Response {
    tracing::error!(
        provider = notice.provider.as_str(),
        payment = known.id,
        order = known.order,
        amount = %amount,
        notice_order = notice.order,
        notice_amount = %notice.amount,
        "a payment notice has the id of another payment, so its money is not on record: look it up at the provider"
    );
    let message = format!(
        "Nothing was recorded: payment {} is on record with {amount} for order {}, and this notice is about {} for \
         order {}. Give each payment an id of its own, and send the notice again.",
        known.id, known.order, notice.amount, notice.order
    );
    let body = serde_json::json!({ "code": "payment_conflict", "message": message });
    json_response(StatusCode::CONFLICT, body.to_string())
}

/// What the provider reads once its notice is on record.
fn receipt(provider: &AnyProvider, payment: Option<&Payment>) -> Response {
    match provider.receipt() {
        None => {
            let body = payment.map_or_else(|| "{}".to_owned(), |it| payment_json(it).to_string());
            json_response(StatusCode::OK, body)
        }
        Some(json) if json.starts_with('{') => json_response(StatusCode::OK, json.to_owned()),
        // Alipay reads a bare word.
        Some(word) => word.into_response(),
    }
}

/// The response to a notice that cannot be used. One that is genuine may be money that
/// nobody knows of: all that helps to find it is in the log.
fn refusal(provider: ProviderName, error: &NoticeError, body: &[u8]) -> Response {
    let provider = provider.as_str();
    let genuine = matches!(
        error,
        NoticeError::Unreadable(_) | NoticeError::Foreign { .. }
    );
    if genuine {
        let text = String::from_utf8_lossy(body);
        let shown: String = text.chars().take(SHOWN).collect();
        tracing::error!(provider, %error, notice = shown, "a payment notice cannot be used");
    } else {
        tracing::warn!(provider, %error, "a payment notice is refused");
    }
    let (status, code) = match error {
        NoticeError::Forged => (StatusCode::FORBIDDEN, "bad_signature"),
        NoticeError::Expired => (StatusCode::FORBIDDEN, "expired"),
        NoticeError::Unreadable(_) => (StatusCode::BAD_REQUEST, "bad_request"),
        NoticeError::Foreign { .. } => (StatusCode::BAD_REQUEST, "wrong_merchant"),
    };
    let message = format!("This notice cannot be used: {error}.");
    let body = serde_json::json!({ "code": code, "message": message });
    json_response(status, body.to_string())
}
