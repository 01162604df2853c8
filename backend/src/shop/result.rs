//! What became of a buyer's click, read from the buyer's record in the segment.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use seckill_core::ids::Item;
use seckill_core::orders::order;
use seckill_core::orders::purchase::{BuyerRecord, State as Standing};
use seckill_core::sale::catalogue::Entry;
use seckill_core::{Verdict, keys};

use super::identity;
use super::state::ShopState;
use crate::http::body::refuse_body;
use crate::http::error::{ApiError, json_response};
use crate::redis::RedisLinkError;

/// `GET /api/rounds/{round}/products/{product}/result`.
pub(super) fn router() -> Router<Arc<ShopState>> {
    Router::new().route("/api/rounds/{round}/products/{product}/result", get(result))
}

async fn result(
    State(state): State<Arc<ShopState>>,
    ids: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    refuse_body(&body)?;
    let Path((round, product)) = ids.map_err(|_| Verdict::BadRequest)?;
    let user = &*identity::buyer(&state, &headers).await?;
    let products = state.catalogue.products().ok_or(Verdict::Unavailable)?;
    let item = Item::new(&round, &product).ok_or(Verdict::NotFound)?;
    let entry = products.get(&item).ok_or(Verdict::NotFound)?;
    let outcome = match buyers_record(&state, &item, entry, user).await {
        Ok(record) => Outcome::of(record),
        Err(error) => {
            tracing::warn!(%error, %item, "a result is read from the database instead of Redis");
            placed_order(&state, &item, user).await
        }
    };
    Ok(outcome.into_response())
}

/// What became of a click, as the page reads it.
struct Outcome {
    status: &'static str,
    order: Option<String>,
    /// Why the purchase failed or the order was cancelled, in one word.
    reason: Option<String>,
}

impl Outcome {
    fn of(record: Option<BuyerRecord>) -> Self {
        match record {
            None => Self {
                status: "none",
                order: None,
                reason: None,
            },
            Some(record) => Self {
                status: record.state.as_str(),
                order: Some(record.order).filter(|order| !order.is_empty()),
                reason: record.reason,
            },
        }
    }

    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "status": self.status, "order": self.order, "reason": self.reason
        });
        json_response(StatusCode::OK, body.to_string())
    }
}

async fn buyers_record(
    state: &ShopState,
    item: &Item,
    entry: &Entry,
    user: &str,
) -> Result<Option<BuyerRecord>, RedisLinkError> {
    let segment = entry.segment_of(user);
    let mut conn = state.segments.conn(item, segment).await?;
    let key = keys::buyers(item, segment);
    let text: Option<String> = redis::cmd("HGET")
        .arg(key)
        .arg(user)
        .query_async(&mut conn)
        .await?;
    Ok(text.and_then(|text| {
        let record = BuyerRecord::parse(&text);
        if record.is_none() {
            tracing::error!(%item, user, text, "a buyer's record cannot be read");
        }
        record
    }))
}

/// Answers a request again that an edge admitted before: `Ok` if it made the purchase.
///
/// # Errors
/// `duplicate` if another request of the buyer did; `sold_out` if nobody's did and
/// nothing is left; else `busy`, for the first request may still be under way.
pub(super) async fn answer_again(
    state: &ShopState,
    item: &Item,
    entry: &Entry,
    user: &str,
    request: &str,
) -> Result<(), Verdict> {
    let away = |error: RedisLinkError| {
        tracing::warn!(%error, %item, "a request cannot be answered again");
        Verdict::Unavailable
    };
    match buyers_record(state, item, entry, user)
        .await
        .map_err(away)?
    {
        Some(record) if record.request == request => Ok(()),
        Some(BuyerRecord {
            state: Standing::Succeeded | Standing::Ordered | Standing::Paid,
            ..
        }) => Err(Verdict::Duplicate),
        _ if entry.segments > 1 => Err(Verdict::Busy),
        _ => {
            let left = left(state, item, entry, user).await.map_err(away)?;
            let is_gone = left.is_some_and(|left| left <= 0);
            Err(if is_gone {
                Verdict::SoldOut
            } else {
                Verdict::Busy
            })
        }
    }
}

/// Items left in the buyer's segment.
async fn left(
    state: &ShopState,
    item: &Item,
    entry: &Entry,
    user: &str,
) -> Result<Option<i64>, RedisLinkError> {
    let segment = entry.segment_of(user);
    let mut conn = state.segments.conn(item, segment).await?;
    let mut amount = redis::cmd("HGET");
    amount
        .arg(keys::stock(item, segment))
        .arg("sale_stock_amount");
    Ok(amount.query_async(&mut conn).await?)
}

/// Without Redis: an order in the database is certain, anything else unknown.
async fn placed_order(state: &ShopState, item: &Item, user: &str) -> Outcome {
    let unknown = Outcome {
        status: "unknown",
        order: None,
        reason: None,
    };
    let Some(store) = &state.store else {
        return unknown;
    };
    match store.latest_order(user, item).await {
        Ok(Some(found)) => Outcome {
            status: match found.state {
                order::State::Created => "ordered",
                order::State::Paid => "paid",
                order::State::Cancelled => "cancelled",
                order::State::Failed => "failed",
            },
            order: (found.state != order::State::Failed).then(|| found.id.to_string()),
            reason: found.reason.map(|reason| reason.as_str().to_owned()),
        },
        Ok(None) => unknown,
        Err(error) => {
            tracing::error!(%error, %item, "the result cannot be read from the database either");
            unknown
        }
    }
}
