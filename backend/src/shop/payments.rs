//! `POST /api/payments/callback`: the payment provider's notices.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment;
use seckill_core::orders::payment::{Reported, SignatureError};
use seckill_core::{Verdict, ids};
use serde::Deserialize;

use super::state::{ShopState, database_failed};
use super::view;
use crate::http::error::{ApiError, json_response};
use crate::now_ms;
use crate::store::payments::{Notice, Payment, Via};

/// Largest body, in bytes.
const MAX_BODY: usize = 4096;
/// The header with a notice's signature.
const SIGNATURE: &str = "x-seckill-signature";

/// `POST /api/payments/callback`.
pub(super) fn router() -> Router<Arc<ShopState>> {
    Router::new().route("/api/payments/callback", post(callback))
}

#[derive(Deserialize)]
struct CallbackBody {
    payment: String,
    order: String,
    amount_cents: u64,
    status: Reported,
}

/// Records a notice. The response is 200 once the notice is on record, whatever was
/// decided about it; any other status asks the provider to send the notice again.
async fn callback(
    State(state): State<Arc<ShopState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = to_bytes(body, MAX_BODY).await;
    let notice = verified_notice(&state, &headers, body.ok().as_deref())?;
    let noted = state.store()?.note_payment(&notice, now_ms()).await;
    let noted = noted.map_err(database_failed)?;
    if noted.payment.state == payment::State::RefundDue {
        let Payment { id, reason, .. } = &noted.payment;
        tracing::warn!(payment = id, order = %notice.order, reason, "a refund is due");
    }
    match &noted.order {
        Some(order) => state.stock_follows(order).await,
        // On record, and yet the provider should look into it.
        None => return Err(ApiError(Verdict::NotFound)),
    }
    let body = view::payment_json(&noted.payment);
    Ok(json_response(StatusCode::OK, body.to_string()))
}

/// Reads a notice after verifying its signature; `body` is `None` if it is too large
/// or was cut off.
fn verified_notice(
    state: &ShopState,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> Result<Notice, ApiError> {
    let Some(keys) = &state.payment_keys else {
        tracing::error!(
            "a payment notice arrived, and there are no payment keys to verify it with"
        );
        return Err(ApiError(Verdict::Unavailable));
    };
    let body = body.ok_or(Verdict::BadRequest)?;
    let signature = headers.get(SIGNATURE).and_then(|text| text.to_str().ok());
    payment::verify(keys, signature.unwrap_or_default(), body, now_ms()).map_err(|distrust| {
        tracing::warn!(?distrust, "a payment notice is refused");
        match distrust {
            SignatureError::Invalid => Verdict::BadSignature,
            SignatureError::Expired => Verdict::Expired,
        }
    })?;
    let given: CallbackBody = serde_json::from_slice(body).map_err(|_| Verdict::BadRequest)?;
    let order = given.order.parse().map(OrderId);
    let (Ok(order), true) = (order, ids::is_request(&given.payment)) else {
        return Err(ApiError(Verdict::BadRequest));
    };
    Ok(Notice {
        payment: given.payment,
        order,
        amount_cents: given.amount_cents,
        reported: given.status,
        via: Via::Provider,
    })
}
