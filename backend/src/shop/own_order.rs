//! One order of the buyer who asks for it.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use seckill_core::Verdict;
use seckill_core::orders::order;
use seckill_core::orders::order::OrderId;

use super::promised::{self, Found};
use super::state::ShopState;
use super::view;
use crate::http::error::{ApiError, json_response};
use crate::store::orders::Order;

/// The buyer's own order of this number, in the database: one that was only promised is
/// placed for it.
///
/// # Errors
/// `not_found`, also if the order is another buyer's; `unavailable` if it cannot be placed
/// now.
pub(super) async fn own_order(
    state: &ShopState,
    user: &str,
    order: Result<Path<String>, PathRejection>,
) -> Result<Order, ApiError> {
    match promised::find(state, user, number(order)?).await? {
        Found::Placed(order) => Ok(order),
        Found::Waiting(_) => Err(ApiError(Verdict::Unavailable)),
    }
}

/// The number in a request's path.
pub(super) fn number(order: Result<Path<String>, PathRejection>) -> Result<OrderId, ApiError> {
    let Path(order) = order.map_err(|_| Verdict::BadRequest)?;
    Ok(order.parse().map(OrderId).map_err(|_| Verdict::NotFound)?)
}

/// The order as it is now: 200 if it is in the `wanted` state, else 409.
pub(super) fn order_response(order: &Order, wanted: order::State) -> Response {
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
