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
use seckill_core::orders::purchase::BuyerRecord;
use seckill_core::sale::catalogue::Entry;
use seckill_core::{Verdict, keys};

use super::session;
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
    let user = session::buyer(&state, &headers)?;
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
