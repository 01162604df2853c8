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
use axum::routing::{get, post, put};
use seckill_core::Verdict;
use seckill_core::orders::money::Money;
use seckill_core::orders::order;
use seckill_core::orders::payment::{Notice, ProviderName, Reported};
use seckill_core::orders::purchase::Reason;
use serde::Deserialize;
use serde_json::Value;

use super::own_order::{number, order_response, own_order};
use super::promised::Found;
use super::state::{ShopState, database_failed};
use super::view;
use super::{checkout, details, identity, promised};
use crate::http::body::refuse_body;
use crate::http::error::{ApiError, json_response};
use crate::now_ms;
use crate::store::orders::Order;
use crate::store::states::Changed;

/// Orders on a page.
const PAGE: u32 = 20;
/// The last page that is served: nobody has a hundred thousand orders.
const LAST_PAGE: u32 = 5_000;
/// Largest body of a payment, in bytes.
const MAX_BODY: usize = 4096;

/// `GET /api/orders?page=`, `GET /api/orders/{order}`, `POST /api/orders/{order}/pay`,
/// `POST /api/orders/{order}/cancel` and `PUT /api/orders/{order}/details`.
pub(super) fn router() -> Router<Arc<ShopState>> {
    Router::new()
        .route("/api/orders", get(list))
        .route("/api/orders/{order}", get(show))
        .route("/api/orders/{order}/pay", post(pay))
        .route("/api/orders/{order}/cancel", post(cancel))
        .route("/api/orders/{order}/details", put(details::keep))
}

async fn list(
    State(state): State<Arc<ShopState>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    let user = &*identity::buyer(&state, &headers).await?;
    let page = page(uri.query())?;
    let store = state.store().await?;
    // Before the database: what is placed meanwhile is in both, and not in neither.
    let mut waiting = match page {
        1 => promised::waiting_of(&state, user).await,
        _ => Vec::new(),
    };
    // One more than is shown says whether there is a next page.
    let orders = store.orders_of(user, (page - 1) * PAGE, PAGE + 1).await;
    let mut orders = orders.map_err(database_failed)?;
    let more = orders.len() > PAGE as usize;
    orders.truncate(PAGE as usize);
    waiting.retain(|promised| orders.iter().all(|order| order.id != promised.id));
    let placed_from = waiting.len();
    orders.splice(0..0, waiting);
    let titles = store.titles(&orders).await.map_err(database_failed)?;
    let orders: Vec<_> = orders
        .iter()
        .enumerate()
        .map(|(at, order)| {
            let mut body = view::titled_order_json(order, &titles);
            body["placed"] = (at >= placed_from).into();
            body
        })
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
    let user = &*identity::buyer(&state, &headers).await?;
    let found = promised::find(&state, user, number(order)?).await?;
    let mut body = match &found {
        Found::Placed(order) => placed_json(&state, order).await?,
        Found::Waiting(order) => view::order_json(order),
    };
    let order = found.order();
    details::put_form(&state, order, &mut body);
    if body["details_due"] != true {
        let title = body["title"].as_str().unwrap_or(&order.product);
        let pay_url = checkout::pay_url(&state, &found, title, None, &headers).await;
        body["pay_url"] = pay_url.map_err(database_failed)?.into();
    }
    let pages = state.payments.pages().map(ProviderName::as_str);
    body["pay_with"] = pages.collect::<Vec<_>>().into();
    body["currency"] = state.payments.currency().as_str().into();
    body["can_pay_here"] = can_pay_here(&state, order).into();
    body["placed"] = matches!(found, Found::Placed(_)).into();
    Ok(json_response(StatusCode::OK, body.to_string()))
}

/// An order with all that the database knows of it.
async fn placed_json(state: &ShopState, order: &Order) -> Result<Value, ApiError> {
    let store = state.store().await?;
    let payments = store.payments_of(order).await.map_err(database_failed)?;
    let titles = store.titles(std::slice::from_ref(order)).await;
    let mut body = view::titled_order_json(order, &titles.map_err(database_failed)?);
    body["details"] = details::of(store, order).await?;
    body["payments"] = payments.iter().map(view::payment_json).collect();
    Ok(body)
}

/// Whether the shop's own page completes this order: in the demo, like the login, and
/// always if it costs nothing.
fn can_pay_here(state: &ShopState, order: &Order) -> bool {
    state.options.demo_login || order.total_cents() == 0
}

/// What the body of a payment may say.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Pay {
    /// The amount that the buyer saw: another one is refused.
    amount_cents: Option<u64>,
    /// The provider that the buyer chose; without one, the demo pays by itself.
    provider: Option<String>,
}

/// Completes an order without money where [`can_pay_here`] allows it; otherwise the
/// response says in `pay_url` where the buyer pays.
async fn pay(
    State(state): State<Arc<ShopState>>,
    order: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let user = &*identity::buyer(&state, &headers).await?;
    let asked = read_pay(body).await?;
    let found = promised::find(&state, user, number(order)?).await?;
    let order = found.order();
    let seen_cents = asked.amount_cents;
    if seen_cents.is_some_and(|cents| cents != order.total_cents()) {
        return Err(ApiError(Verdict::BadRequest));
    }
    if order.state != order::State::Created {
        return Ok(order_response(order, order::State::Paid));
    }
    if details::is_due(&state, order).await? {
        return Ok(details::due_response());
    }
    if asked.provider.is_some() || !can_pay_here(&state, order) {
        return send_to_pay(&state, &found, asked.provider.as_deref(), &headers).await;
    }
    let Found::Placed(order) = found else {
        return Err(ApiError(Verdict::Unavailable));
    };
    let currency = state.payments.currency();
    let notice = Notice {
        provider: ProviderName::Shop,
        payment: format!("shop-{}", order.id),
        order: order.id.to_string(),
        amount: Money::new(order.total_cents(), currency),
        reported: Reported::Paid,
    };
    let noted = state
        .store()
        .await?
        .note_payment(&notice, currency, now_ms())
        .await;
    let order = noted.map_err(database_failed)?.order.unwrap_or(order);
    state.stock_follows(&order).await;
    Ok(order_response(&order, order::State::Paid))
}

/// Says where the buyer pays: 200 with `pay_url`; 404 if this shop has no such provider,
/// 503 if it is away or the time to pay is over.
async fn send_to_pay(
    state: &ShopState,
    found: &Found,
    provider: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let known = |name: &str| state.payments.pages().find(|page| page.as_str() == name);
    let provider = match provider {
        Some(name) => known(name),
        None => state.payments.pages().next(),
    };
    let provider = provider.ok_or(Verdict::NotFound)?;
    let mut body = match found {
        Found::Placed(order) => {
            let store = state.store().await?;
            let titles = store.titles(std::slice::from_ref(order)).await;
            view::titled_order_json(order, &titles.map_err(database_failed)?)
        }
        Found::Waiting(order) => view::order_json(order),
    };
    let title = body["title"].as_str().unwrap_or(&found.order().product);
    let pay_url = checkout::pay_url(state, found, title, Some(provider), headers).await;
    let pay_url = pay_url.map_err(database_failed)?;
    body["pay_url"] = pay_url.ok_or(Verdict::Unavailable)?.into();
    body["placed"] = matches!(found, Found::Placed(_)).into();
    Ok(json_response(StatusCode::OK, body.to_string()))
}

async fn cancel(
    State(state): State<Arc<ShopState>>,
    order: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    let user = &*identity::buyer(&state, &headers).await?;
    let order = own_order(&state, user, order).await?;
    let store = state.store().await?;
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

/// The body of a payment, which may be empty.
async fn read_pay(body: Body) -> Result<Pay, ApiError> {
    let bytes = to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| Verdict::BadRequest)?;
    if bytes.is_empty() {
        return Ok(Pay::default());
    }
    Ok(serde_json::from_slice(&bytes).map_err(|_| Verdict::BadRequest)?)
}
