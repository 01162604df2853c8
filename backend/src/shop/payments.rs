//! Paying and cancelling an order, and the payment provider's notices.
//!
//! The database decides, the answer tells what it decided, and the stock follows
//! at once if Redis is there; if not, the sweep has it follow later.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use seckill_core::orders::order;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment;
use seckill_core::orders::payment::{Distrust, Told};
use seckill_core::orders::purchase::Reason;
use seckill_core::{Verdict, ids};
use serde::Deserialize;

use crate::http::error::{ApiError, json_response};
use crate::now_ms;
use crate::shop::orders::{store, told as told_order, unavailable};
use crate::shop::{PurchaseState, refuse_body};
use crate::stock::following::settle;
use crate::store::orders::Order;
use crate::store::payments::{Notice, Payment, Via};
use crate::store::states::Changed;

/// Largest body, in bytes.
const MAX_BODY: usize = 4096;
/// The header with a notice's signature.
const SIGNATURE: &str = "x-seckill-signature";

/// `POST /api/orders/{order}/pay`, `POST /api/orders/{order}/cancel` and
/// `POST /api/payments/callback`.
pub(crate) fn router() -> Router<PurchaseState> {
    Router::new()
        .route("/api/orders/{order}/pay", post(pay))
        .route("/api/orders/{order}/cancel", post(cancel))
        .route("/api/payments/callback", post(callback))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pay {
    amount_cents: Option<u64>,
}

/// Pays without money: only for demonstrations, like the login.
async fn pay(
    State(state): State<PurchaseState>,
    order: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    if !state.options.demo_login {
        return Err(ApiError(Verdict::NotFound));
    }
    let user = state.buyer(&headers)?;
    let asked = asked_amount(body).await?;
    let order = own(&state, user, order).await?;
    if asked.is_some_and(|asked| asked != order.total_cents()) {
        return Err(ApiError(Verdict::BadRequest));
    }
    if order.state != order::State::Created {
        return Ok(decided(&order, order::State::Paid));
    }
    let notice = Notice {
        payment: format!("shop-{}", order.id),
        order: order.id,
        amount_cents: order.total_cents(),
        told: Told::Paid,
        via: Via::Shop,
    };
    let noted = store(&state)?.note_payment(&notice, now_ms()).await;
    let order = noted.map_err(unavailable)?.order.unwrap_or(order);
    follow(&state, &order).await;
    Ok(decided(&order, order::State::Paid))
}

async fn cancel(
    State(state): State<PurchaseState>,
    order: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    let user = state.buyer(&headers)?;
    let order = own(&state, user, order).await?;
    let cancelled = store(&state)?.cancel(user, order.id, Reason::Cancelled, now_ms());
    match cancelled.await.map_err(unavailable)? {
        Changed::Now(order) => {
            follow(&state, &order).await;
            Ok(decided(&order, order::State::Cancelled))
        }
        Changed::Not(order) => Ok(decided(&order, order::State::Cancelled)),
        Changed::Missing => Err(ApiError(Verdict::NotFound)),
    }
}

#[derive(Deserialize)]
struct CallbackBody {
    payment: String,
    order: String,
    amount_cents: u64,
    status: Told,
}

/// The provider's notice. It is answered with 200 once it is on record, however
/// it was decided; anything else asks the provider to tell it again.
async fn callback(
    State(state): State<PurchaseState>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Some(keys) = &state.payment_keys else {
        tracing::error!("a payment notice came, and there are no payment keys to verify it with");
        return Err(ApiError(Verdict::Unavailable));
    };
    let body = to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| Verdict::BadRequest)?;
    let signature = headers.get(SIGNATURE).and_then(|text| text.to_str().ok());
    payment::verify(keys, signature.unwrap_or_default(), &body, now_ms()).map_err(|distrust| {
        tracing::warn!(?distrust, "a payment notice is not believed");
        match distrust {
            Distrust::Signature => Verdict::BadSignature,
            Distrust::Expired => Verdict::Expired,
        }
    })?;
    let given: CallbackBody = serde_json::from_slice(&body).map_err(|_| Verdict::BadRequest)?;
    let order = given.order.parse().map(OrderId);
    let (Ok(order), true) = (order, ids::is_request(&given.payment)) else {
        return Err(ApiError(Verdict::BadRequest));
    };
    let notice = Notice {
        payment: given.payment,
        order,
        amount_cents: given.amount_cents,
        told: given.status,
        via: Via::Provider,
    };
    let noted = store(&state)?.note_payment(&notice, now_ms()).await;
    let noted = noted.map_err(unavailable)?;
    if noted.payment.state == payment::State::RefundDue {
        let Payment { id, reason, .. } = &noted.payment;
        tracing::warn!(payment = id, %order, reason, "a payment is to be given back");
    }
    match &noted.order {
        Some(order) => follow(&state, order).await,
        // On record, and yet the provider should look into it.
        None => return Err(ApiError(Verdict::NotFound)),
    }
    Ok(json_response(
        StatusCode::OK,
        told(&noted.payment).to_string(),
    ))
}

/// A payment as it is told.
#[must_use]
pub fn told(payment: &Payment) -> serde_json::Value {
    serde_json::json!({
        "payment": payment.id,
        "order": payment.order.to_string(),
        "amount_cents": payment.amount_cents,
        "status": payment.state.as_str(),
        "reason": payment.reason,
    })
}

/// The amount the buyer thinks he pays; none if the body is empty.
async fn asked_amount(body: Body) -> Result<Option<u64>, ApiError> {
    let bytes = to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| Verdict::BadRequest)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let Pay { amount_cents } = serde_json::from_slice(&bytes).map_err(|_| Verdict::BadRequest)?;
    Ok(amount_cents)
}

/// The buyer's own order of this number; another's does not exist for him.
async fn own(
    state: &PurchaseState,
    user: &str,
    order: Result<Path<String>, PathRejection>,
) -> Result<Order, ApiError> {
    let Path(order) = order.map_err(|_| Verdict::BadRequest)?;
    let id = order.parse().map(OrderId).map_err(|_| Verdict::NotFound)?;
    let order = store(state)?.order(user, id).await.map_err(unavailable)?;
    order.ok_or(ApiError(Verdict::NotFound))
}

/// Has the stock follow; what does not work now is on record as due.
async fn follow(state: &PurchaseState, order: &Order) {
    let Some(store) = &state.store else { return };
    if let Err(error) = settle(store, &state.segments, std::slice::from_ref(order)).await {
        tracing::warn!(order = %order.id, %error, "stock follows later");
    }
}

/// The order as it stands: 200 if that is what was wanted, else 409.
fn decided(order: &Order, wanted: order::State) -> Response {
    if order.state == wanted {
        return json_response(StatusCode::OK, told_order(order).to_string());
    }
    let state = order.state.as_str();
    let body = serde_json::json!({
        "code": format!("order_{state}"),
        "message": format!("This order is {state}; that can no longer be changed."),
        "status": state,
    });
    json_response(StatusCode::CONFLICT, body.to_string())
}
