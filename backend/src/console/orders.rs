//! Orders for operators: searching and exporting them, everything that happened to one,
//! and cancelling, refunding, notifying again, noting.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use seckill_core::ids;
use seckill_core::orders::form::{Field, Form};
use seckill_core::orders::order;
use seckill_core::orders::order::OrderId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::json_body::JsonBody;
use super::{ConsoleError, ConsoleState, Operator};
use crate::console::extract::{Path, Query};
use crate::now_ms;
use crate::orders::form_file;
use crate::shop::order_export::{CSV_HEAD, csv_line, exported, full_json};
use crate::stock::following;
use crate::store::accounts::Role;
use crate::store::order_actions::{OrderAction, OrderActionError};
use crate::store::order_history::OrderEvent;
use crate::store::order_search::OrderQuery;
use crate::store::orders::Order;
use crate::store::{Actor, Done};

/// Orders on a page.
const PAGE: u32 = 100;
/// Orders that an export reads at once.
const EXPORTED: u32 = 1_000;

/// Everything under `/ops/api/orders`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new()
        .route("/ops/api/orders", get(search))
        .route("/ops/api/orders/export", get(export))
        .route("/ops/api/orders/{order}", get(show))
        .route("/ops/api/orders/{order}/{action}", post(act))
}

/// Which orders; what is left out matches all.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OrdersQuery {
    /// The order of this number.
    order: String,
    /// A buyer, by their name or their written id.
    user: String,
    /// A round's id.
    round: String,
    /// A product's id.
    product: String,
    /// A payment's id.
    payment: String,
    /// created, paid, cancelled or failed.
    state: String,
    /// The last order of the page before.
    before: String,
    /// The format of an export: csv or json.
    format: String,
}

/// A page of orders.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct OrdersPage {
    /// Newest first.
    #[schema(value_type = Vec<Object>)]
    orders: Vec<Value>,
    /// The `before` of the next page; none at the end.
    next: Option<String>,
}

/// Orders that match, newest first.
#[utoipa::path(get, path = "/ops/api/orders", tag = "orders", params(OrdersQuery), responses(
    (status = 200, body = OrdersPage), (status = 400, description = "A value that makes no sense"),
))]
pub(super) async fn search(
    State(state): State<ConsoleState>,
    _: Operator,
    Query(query): Query<OrdersQuery>,
) -> Result<Json<OrdersPage>, ConsoleError> {
    // One more than shown says whether there is a next page.
    let (wanted, _) = read_query(query, PAGE + 1)?;
    let mut orders = state.store.get().await?.search_orders(&wanted).await?;
    let more = orders.len() > PAGE as usize;
    orders.truncate(PAGE as usize);
    let next = orders.last().filter(|_| more).map(|it| it.id.to_string());
    let orders = orders.iter().map(full_json).collect();
    Ok(Json(OrdersPage { orders, next }))
}

/// The same, all of them, as CSV or as lines of JSON.
#[utoipa::path(get, path = "/ops/api/orders/export", tag = "orders", params(OrdersQuery),
    responses((status = 200, description = "text/csv, or application/x-ndjson")))]
pub(super) async fn export(
    State(state): State<ConsoleState>,
    operator: Operator,
    Query(query): Query<OrdersQuery>,
) -> Result<Response, ConsoleError> {
    let (mut wanted, format) = read_query(query, EXPORTED)?;
    let (is_csv, format) = match format.as_str() {
        "" | "csv" => (true, "csv"),
        "json" => (false, "json"),
        other => {
            let message = format!("There is no format \"{other}\"; write csv or json.");
            return Err(ConsoleError::BadRequest(message));
        }
    };
    let store = state.store.get().await?.clone();
    let (by, done) = (Actor::at_console(&operator.name), exported(&wanted, format));
    store.note_audit(&by, &done, now_ms()).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<String>>(2);
    tokio::spawn(async move {
        let mut head = if is_csv {
            CSV_HEAD.to_owned()
        } else {
            String::new()
        };
        loop {
            let page = match store.search_orders(&wanted).await {
                Ok(page) => page,
                Err(error) => {
                    // A cut connection, so that nobody takes the part for the whole.
                    let _ = sender.send(Err(std::io::Error::other(error))).await;
                    return;
                }
            };
            let mut text = std::mem::take(&mut head);
            for order in &page {
                match is_csv {
                    true => text.push_str(&csv_line(order)),
                    false => text.push_str(&format!("{}\n", full_json(order))),
                }
            }
            if sender.send(Ok(text)).await.is_err() || page.len() < EXPORTED as usize {
                return;
            }
            wanted.before = page.last().map(|order| order.id);
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let (kind, name) = match is_csv {
        true => (
            "text/csv; charset=utf-8",
            "attachment; filename=\"orders.csv\"",
        ),
        false => (
            "application/x-ndjson",
            "attachment; filename=\"orders.ndjson\"",
        ),
    };
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    Ok(response)
}

/// An order and its history.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct OrderView {
    /// All that is stored of it.
    #[schema(value_type = Object)]
    order: Value,
    /// Everything that happened to it, oldest first.
    history: Vec<OrderEvent>,
    /// What its buyer filled in; null for nothing.
    #[schema(value_type = Option<Object>)]
    details: Value,
    /// The fields of the order form for its product, with their labels.
    #[schema(value_type = Vec<Object>)]
    form: Vec<Field>,
}

/// One order, with everything that happened to it.
#[utoipa::path(get, path = "/ops/api/orders/{order}", tag = "orders", responses(
    (status = 200, body = OrderView), (status = 404, description = "There is none"),
))]
pub(super) async fn show(
    State(state): State<ConsoleState>,
    _: Operator,
    Path(order): Path<String>,
) -> Result<Json<OrderView>, ConsoleError> {
    let order = order_of(&state, &order).await?;
    view(&state, &order).await
}

/// Why something is done with an order.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OrderNote {
    /// The reason, or the note.
    text: String,
}

/// Does something with an order: cancel (an unpaid one), refund (a paid one; a
/// supervisor), resend (its last notification), note.
#[utoipa::path(post, path = "/ops/api/orders/{order}/{action}", tag = "orders",
    request_body = OrderNote, responses(
    (status = 200, body = OrderView), (status = 409, description = "Its state does not allow it"),
))]
pub(super) async fn act(
    State(state): State<ConsoleState>,
    operator: Operator,
    Path((order, action)): Path<(String, String)>,
    JsonBody(note): JsonBody<OrderNote>,
) -> Result<Json<OrderView>, ConsoleError> {
    let Some(action) = OrderAction::parse(&action) else {
        let message = format!("\"{action}\" is no action; write cancel, refund, resend or note.");
        return Err(ConsoleError::NotFound(message));
    };
    if action == OrderAction::Refund && operator.role != Role::Supervisor {
        return Err(ConsoleError::SupervisorOnly);
    }
    let text = action.checked(&note.text)?;
    let order = order_of(&state, &order).await?;
    let store = state.store.get().await?;
    let detail = json!({ "text": text, "before": order.state.as_str() });
    let done = Done {
        action: action.audited(),
        target: order.id.to_string(),
        detail: detail.clone(),
    };
    let work = async {
        let by = (operator.name.as_str(), text);
        let acted = store.act_on_order(&order, action, by, now_ms()).await;
        acted.map_err(refused)?;
        Ok(((), Some(detail)))
    };
    state.recorded(&operator.name, done, work).await?;
    let order = order_of(&state, &order.id.to_string()).await?;
    if let Err(error) =
        following::follow(store, &state.segments, std::slice::from_ref(&order)).await
    {
        tracing::warn!(order = %order.id, %error, "the stock follows this order later");
    }
    view(&state, &order).await
}

async fn view(state: &ConsoleState, order: &Order) -> Result<Json<OrderView>, ConsoleError> {
    let store = state.store.get().await?;
    let history = store.order_history(order, state.config.currency).await?;
    let details = store.details(&order.user, order.id).await?;
    let details = details.and_then(|text| serde_json::from_str(&text).ok());
    // Without their labels, the details have the fields' names.
    let form = form_file::read(&state.config.order_form).unwrap_or_else(|error| {
        tracing::warn!(%error, "details are shown without their labels");
        Form::default()
    });
    Ok(Json(OrderView {
        form: form.of(&order.product).cloned().collect(),
        order: full_json(order),
        history,
        details: details.unwrap_or_default(),
    }))
}

async fn order_of(state: &ConsoleState, text: &str) -> Result<Order, ConsoleError> {
    let none = || ConsoleError::NotFound(format!("There is no order {text}."));
    let id = text.parse().map(OrderId).map_err(|_| none())?;
    let found = state.store.get().await?.any_order(id).await?;
    found.ok_or_else(none)
}

fn read_query(query: OrdersQuery, limit: u32) -> Result<(OrderQuery, String), ConsoleError> {
    let number = |name: &str, text: &str| match text {
        "" => Ok(None),
        text => text.parse().map(|id| Some(OrderId(id))).map_err(|_| {
            ConsoleError::BadRequest(format!("{name} = \"{text}\" is no order number."))
        }),
    };
    let state = match query.state.as_str() {
        "" => None,
        text => Some(order::State::parse(text).ok_or_else(|| {
            ConsoleError::BadRequest(format!(
                "There is no state \"{text}\"; write created, paid, cancelled or failed."
            ))
        })?),
    };
    let user = match query.user.as_str() {
        "" => String::new(),
        name => ids::user::given(name)
            .ok_or_else(|| ConsoleError::BadRequest("A user has 1 to 255 bytes.".to_owned()))?
            .into_owned(),
    };
    let wanted = OrderQuery {
        order: number("order", &query.order)?,
        before: number("before", &query.before)?,
        user,
        round: query.round,
        product: query.product,
        payment: query.payment,
        state,
        limit,
    };
    Ok((wanted, query.format))
}

fn refused(error: OrderActionError) -> ConsoleError {
    match error {
        OrderActionError::Store(error) => error.into(),
        OrderActionError::State { .. } => ConsoleError::Conflict {
            code: "order_state",
            message: format!("Nothing was done: {error}."),
            current: None,
        },
        OrderActionError::NoNotification(_) => ConsoleError::Conflict {
            code: "no_notification",
            message: format!("Nothing was done: {error}."),
            current: None,
        },
    }
}
