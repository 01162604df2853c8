//! The buyer's own orders. Another buyer's order does not exist for him.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use seckill_core::Verdict;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::purchase::Reason;

use crate::http::error::{ApiError, json_response};
use crate::shop::payments as payments_api;
use crate::shop::{PurchaseState, refuse_body};
use crate::store::orders::Order;
use crate::store::titles::Titles;
use crate::store::{Store, StoreError};

/// Orders on a page.
const PAGE: u32 = 20;
/// The last page that is served: nobody has a hundred thousand orders.
const LAST_PAGE: u32 = 5_000;

/// `GET /api/orders?page=` and `GET /api/orders/{order}`.
pub(crate) fn router() -> Router<PurchaseState> {
    Router::new()
        .route("/api/orders", get(list))
        .route("/api/orders/{order}", get(one))
}

async fn list(
    State(state): State<PurchaseState>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    let user = state.buyer(&headers)?;
    let page = page(uri.query())?;
    // One more than is shown tells whether there is a next page.
    let orders = store(&state)?
        .orders_of(user, (page - 1) * PAGE, PAGE + 1)
        .await;
    let orders = orders.map_err(unavailable)?;
    let more = orders.len() > PAGE as usize;
    let mut shown = orders;
    shown.truncate(PAGE as usize);
    let titles = store(&state)?.titles(&shown).await.map_err(unavailable)?;
    let shown: Vec<_> = shown.iter().map(|it| titled(it, &titles)).collect();
    let body = serde_json::json!({ "orders": shown, "page": page, "more": more });
    Ok(json_response(StatusCode::OK, body.to_string()))
}

async fn one(
    State(state): State<PurchaseState>,
    order: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    let Path(order) = order.map_err(|_| Verdict::BadRequest)?;
    let user = state.buyer(&headers)?;
    let id = order.parse().map(OrderId).map_err(|_| Verdict::NotFound)?;
    let store = store(&state)?;
    let order = store.order(user, id).await.map_err(unavailable)?;
    let order = order.ok_or(Verdict::NotFound)?;
    let payments = store.payments_of(&order).await.map_err(unavailable)?;
    let titles = store.titles(std::slice::from_ref(&order)).await;
    let mut body = titled(&order, &titles.map_err(unavailable)?);
    body["can_pay_here"] = state.options.demo_login.into();
    body["payments"] = payments.iter().map(payments_api::told).collect();
    Ok(json_response(StatusCode::OK, body.to_string()))
}

/// The page asked for, counted from 1.
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

/// An order as its buyer sees it. The number is text: it is larger than what
/// JavaScript keeps exact.
pub(crate) fn told(order: &Order) -> serde_json::Value {
    serde_json::json!({
        "order": order.id.to_string(),
        "round": order.round,
        "product": order.product,
        "quantity": order.quantity,
        "price_cents": order.price_cents,
        "total_cents": order.total_cents(),
        "status": order.state.as_str(),
        "reason": order.reason.map(Reason::as_str),
        "created_ms": order.created_ms,
        "pay_by_ms": order.pay_by_ms,
    })
}

/// The same with what shoppers call it; what was deleted since has only its ids.
fn titled(order: &Order, titles: &Titles) -> serde_json::Value {
    let mut body = told(order);
    if let Some(title) = titles.get(&(order.round.clone(), order.product.clone())) {
        body["title"] = title.product.as_str().into();
        body["round_name"] = title.round.as_str().into();
    }
    body
}

pub(crate) fn store(state: &PurchaseState) -> Result<&Store, ApiError> {
    state.store.as_ref().ok_or(ApiError(Verdict::Unavailable))
}

pub(crate) fn unavailable(error: StoreError) -> ApiError {
    tracing::error!(%error, "orders cannot be told");
    ApiError(Verdict::Unavailable)
}
