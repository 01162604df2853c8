//! What an order needs from its buyer: the fields of the order form, or a JSON object of
//! the shop's own where there is no form. It is kept until the order is paid.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use seckill_core::Verdict;
use seckill_core::orders::form::{Flawed, MAX_DETAILS};
use seckill_core::orders::order;
use serde_json::{Value, json};

use super::identity;
use super::own_order::{order_response, own_order};
use super::state::{ShopState, database_failed};
use crate::http::error::{ApiError, json_response};
use crate::now_ms;
use crate::store::Store;
use crate::store::orders::Order;

/// `PUT /api/orders/{order}/details`.
pub(super) async fn keep(
    State(state): State<Arc<ShopState>>,
    order: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let user = &*identity::buyer(&state, &headers).await?;
    let bytes = to_bytes(body, MAX_DETAILS).await;
    let bytes = bytes.map_err(|_| Verdict::BadRequest)?;
    let given: Value = serde_json::from_slice(&bytes).map_err(|_| Verdict::BadRequest)?;
    let fields = given.as_object().ok_or(Verdict::BadRequest)?;
    let order = own_order(&state, user, order).await?;
    let form = &state.order_form;
    let details = match form.of(&order.product).next() {
        None => given,
        Some(_) => match form.read(&order.product, fields) {
            Ok(details) => details,
            Err(flawed) => return Ok(flawed_response(&flawed)),
        },
    };
    let store = state.store().await?;
    let text = details.to_string();
    let kept = store.keep_details(user, order.id, &text, now_ms());
    match kept.await.map_err(database_failed)? {
        None => Err(ApiError(Verdict::NotFound)),
        Some(true) => {
            let body = json!({ "order": order.id.to_string(), "details": details });
            Ok(json_response(StatusCode::OK, body.to_string()))
        }
        Some(false) => {
            let order = store.order(user, order.id).await.map_err(database_failed)?;
            let order = order.ok_or(Verdict::NotFound)?;
            Ok(order_response(&order, order::State::Created))
        }
    }
}

/// The details of an order; null if its buyer gave none.
pub(super) async fn of(store: &Store, order: &Order) -> Result<Value, ApiError> {
    let details = store.details(&order.user, order.id).await;
    let details = details.map_err(database_failed)?;
    let details = details.and_then(|text| serde_json::from_str(&text).ok());
    Ok(details.unwrap_or_default())
}

/// Adds to an order, as its buyer reads it with its details, the form for them, and
/// whether it cannot be paid before they are filled in.
pub(super) fn put_form(state: &ShopState, order: &Order, body: &mut Value) {
    let form: Vec<_> = state.order_form.of(&order.product).collect();
    if form.is_empty() {
        return;
    }
    body["form"] = json!(form);
    let is_due = state.order_form.is_due(&order.product, body.get("details"));
    body["details_due"] = (order.state == order::State::Created && is_due).into();
}

/// Whether an order cannot be paid before its buyer filled in the form. Money that arrives
/// nevertheless pays it.
pub(super) async fn is_due(state: &ShopState, order: &Order) -> Result<bool, ApiError> {
    let form = &state.order_form;
    // Most shops have no form, and then nothing has to be read.
    if !form.is_due(&order.product, None) {
        return Ok(false);
    }
    let details = of(state.store().await?, order).await?;
    Ok(form.is_due(&order.product, Some(&details)))
}

pub(super) fn due_response() -> Response {
    let body = json!({
        "code": "details_required",
        "message": "The order cannot be paid before its form is filled in; send its fields to \
                    /details first.",
    });
    json_response(StatusCode::CONFLICT, body.to_string())
}

fn flawed_response(flawed: &Flawed) -> Response {
    let body = json!({
        "code": "bad_details",
        "reason": flawed.flaw.code(),
        "field": flawed.field,
        "message": format!("Nothing was kept: {flawed}."),
    });
    json_response(StatusCode::BAD_REQUEST, body.to_string())
}
