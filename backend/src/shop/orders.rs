//! The buyer's own orders: listing, paying and cancelling them. Other buyers'
//! orders do not exist here.
//!
//! The database decides and the response says what it decided. The stock follows
//! at once if Redis replies; if not, the sweep of the orders role makes it follow
//! later.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use seckill_core::Verdict;
use seckill_core::orders::order;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment::Reported;
use seckill_core::orders::purchase::Reason;
use serde::Deserialize;

use super::session;
use super::state::{ShopState, database_failed};
use super::view;
use crate::http::body::refuse_body;
use crate::http::error::{ApiError, json_response};
use crate::now_ms;
use crate::store::orders::Order;
use crate::store::payments::{Notice, Via};
use crate::store::states::Changed;

/// Orders on a page.
const PAGE: u32 = 20;
/// The last page that is served: nobody has a hundred thousand orders.
const LAST_PAGE: u32 = 5_000;
/// Largest body of a payment, in bytes.
const MAX_BODY: usize = 4096;

/// `GET /api/orders?page=`, `GET /api/orders/{order}`,
/// `POST /api/orders/{order}/pay` and `POST /api/orders/{order}/cancel`.
pub(super) fn router() -> Router<Arc<ShopState>> {
    Router::new()
        .route("/api/orders", get(list))
        .route("/api/orders/{order}", get(show))
        .route("/api/orders/{order}/pay", post(pay))
        .route("/api/orders/{order}/cancel", post(cancel))
}

async fn list(
    State(state): State<Arc<ShopState>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    let user = session::buyer(&state, &headers)?;
    let page = page(uri.query())?;
    let store = state.store()?;
    // One more than is shown says whether there is a next page.
    let orders = store.orders_of(user, (page - 1) * PAGE, PAGE + 1).await;
    let mut orders = orders.map_err(database_failed)?;
    let more = orders.len() > PAGE as usize;
    orders.truncate(PAGE as usize);
    let titles = store.titles(&orders).await.map_err(database_failed)?;
    let orders: Vec<_> = orders
        .iter()
        .map(|order| view::titled_order_json(order, &titles))
        .collect();
    let body = serde_json::json!({ "orders": orders, "page": page, "more": more });
    Ok(json_response(StatusCode::OK, body.to_string()))
}

async fn show(
    State(state): State<Arc<ShopState>>,
    order: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    let user = session::buyer(&state, &headers)?;
    let order = own_order(&state, user, order).await?;
    let store = state.store()?;
    let payments = store.payments_of(&order).await.map_err(database_failed)?;
    let titles = store.titles(std::slice::from_ref(&order)).await;
    let mut body = view::titled_order_json(&order, &titles.map_err(database_failed)?);
    body["can_pay_here"] = state.options.demo_login.into();
    body["payments"] = payments.iter().map(view::payment_json).collect();
    Ok(json_response(StatusCode::OK, body.to_string()))
}

/// What the body of a payment may say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pay {
    /// The amount that the buyer saw: another one is refused.
    amount_cents: Option<u64>,
}

/// Pays without money: only for demonstrations, like the login.
async fn pay(
    State(state): State<Arc<ShopState>>,
    order: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    if !state.options.demo_login {
        return Err(ApiError(Verdict::NotFound));
    }
    let user = session::buyer(&state, &headers)?;
    let seen_cents = read_amount(body).await?;
    let order = own_order(&state, user, order).await?;
    if seen_cents.is_some_and(|cents| cents != order.total_cents()) {
        return Err(ApiError(Verdict::BadRequest));
    }
    if order.state != order::State::Created {
        return Ok(order_response(&order, order::State::Paid));
    }
    let notice = Notice {
        payment: format!("shop-{}", order.id),
        order: order.id,
        amount_cents: order.total_cents(),
        reported: Reported::Paid,
        via: Via::Shop,
    };
    let noted = state.store()?.note_payment(&notice, now_ms()).await;
    let order = noted.map_err(database_failed)?.order.unwrap_or(order);
    state.stock_follows(&order).await;
    Ok(order_response(&order, order::State::Paid))
}

async fn cancel(
    State(state): State<Arc<ShopState>>,
    order: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    let user = session::buyer(&state, &headers)?;
    let order = own_order(&state, user, order).await?;
    let store = state.store()?;
    let cancelled = store.cancel(user, order.id, Reason::Cancelled, now_ms());
    match cancelled.await.map_err(database_failed)? {
        Changed::Now(order) => {
            state.stock_follows(&order).await;
            Ok(order_response(&order, order::State::Cancelled))
        }
        Changed::Not(order) => Ok(order_response(&order, order::State::Cancelled)),
        Changed::Missing => Err(ApiError(Verdict::NotFound)),
    }
}

/// The requested page, counted from 1.
fn page(query: Option<&str>) -> Result<u32, ApiError> {
    let pairs = query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    let given = pairs
        .into_iter()
        .find_map(|(name, value)| (name == "page").then_some(value));
    match given.map_or(Ok(1), str::parse) {
        Ok(page) if (1..=LAST_PAGE).contains(&page) => Ok(page),
        _ => Err(ApiError(Verdict::BadRequest)),
    }
}

/// The amount in the body of a payment; `None` if the body is empty.
async fn read_amount(body: Body) -> Result<Option<u64>, ApiError> {
    let bytes = to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| Verdict::BadRequest)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let Pay { amount_cents } = serde_json::from_slice(&bytes).map_err(|_| Verdict::BadRequest)?;
    Ok(amount_cents)
}

/// The buyer's own order of this number.
///
/// # Errors
/// `not_found`, also if the order is another buyer's.
async fn own_order(
    state: &ShopState,
    user: &str,
    order: Result<Path<String>, PathRejection>,
) -> Result<Order, ApiError> {
    let Path(order) = order.map_err(|_| Verdict::BadRequest)?;
    let id = order.parse().map(OrderId).map_err(|_| Verdict::NotFound)?;
    let order = state.store()?.order(user, id).await;
    order
        .map_err(database_failed)?
        .ok_or(ApiError(Verdict::NotFound))
}

/// The order as it is now: 200 if it is in the `wanted` state, else 409.
fn order_response(order: &Order, wanted: order::State) -> Response {
    if order.state == wanted {
        return json_response(StatusCode::OK, view::order_json(order).to_string());
    }
    let state = order.state.as_str();
    let body = serde_json::json!({
        "code": format!("order_{state}"),
        "message": format!("This order is {state}; that can no longer be changed."),
        "status": state,
    });
    json_response(StatusCode::CONFLICT, body.to_string())
}
