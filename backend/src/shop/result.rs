//! What became of a buyer's click, read from the buyer's record in the segment.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use seckill_core::gate;
use seckill_core::ids::Item;
use seckill_core::orders::purchase::{BuyerRecord, State as Standing};
use seckill_core::sale::catalogue::Entry;
use seckill_core::{Verdict, keys};

use super::record::{STOCK_FOR_SALE, record_of};
use super::state::ShopState;
use super::{identity, promised};
use crate::http::body::refuse_body;
use crate::http::error::{ApiError, json_response};
use crate::now_ms;
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
    if journal_holds(&state, &item, user) {
        return Ok(Outcome::of_status("processing").into_response());
    }
    let outcome = match buyers_record(&state, &item, entry, user).await {
        Ok(record) => {
            let is_promised = promise(&state, &item, entry, user, record.as_ref()).await;
            let mut outcome = Outcome::of(record);
            outcome.order = outcome.order.filter(|_| is_promised);
            outcome
        }
        Err(error) => {
            // Not read from the database, which has enough to do with placing orders: all
            // buyers ask at once, again and again.
            tracing::debug!(%error, %item, "a result is not known while Redis does not answer");
            Outcome::of_status("unknown")
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
    /// The request that is on record. Another one, to which the buyer was told
    /// `processing`, may wait in the journal of another process.
    request: Option<String>,
}

impl Outcome {
    fn of_status(status: &'static str) -> Self {
        Self {
            status,
            order: None,
            reason: None,
            request: None,
        }
    }

    fn of(record: Option<BuyerRecord>) -> Self {
        match record {
            None => Self::of_status("none"),
            Some(record) => Self {
                status: record.state.as_str(),
                order: Some(record.order).filter(|order| !order.is_empty()),
                reason: record.reason,
                request: Some(record.request),
            },
        }
    }

    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "status": self.status, "order": self.order, "reason": self.reason,
            "request": self.request
        });
        json_response(StatusCode::OK, body.to_string())
    }
}

/// Keeps the promise of an order that is not placed yet; `false` if the buyer must not see
/// its number, because nobody could find it by that.
async fn promise(
    state: &ShopState,
    item: &Item,
    entry: &Entry,
    user: &str,
    record: Option<&BuyerRecord>,
) -> bool {
    let Some(record) = record.filter(|it| it.state == Standing::Succeeded) else {
        return true;
    };
    if !entry.is_price_of(record.at_ms) {
        // What its buyer has to pay is known once the order is placed.
        return false;
    }
    let made_from = (item, entry.segment_of(user), entry.price_cents);
    let Some(purchase) = promised::purchase_of(made_from, user, record) else {
        return true;
    };
    let kept = promised::keep(state, purchase).await;
    if let Err(error) = &kept {
        tracing::debug!(%error, %item, "an order's number is not shown yet");
    }
    kept.is_ok()
}

async fn buyers_record(
    state: &ShopState,
    item: &Item,
    entry: &Entry,
    user: &str,
) -> Result<Option<BuyerRecord>, RedisLinkError> {
    record_of(state, item, entry.segment_of(user), user).await
}

/// Answers a request again that an edge admitted before: `Ok` if it made the purchase.
///
/// # Errors
/// `duplicate` if another request of the buyer did. If none did: what everybody is told
/// of a product that is over or stopped, `sold_out` if nothing is left, else `busy`, for
/// the first request may still be under way.
pub(super) async fn answer_again(
    state: &ShopState,
    item: &Item,
    entry: &Entry,
    user: &str,
    request: &str,
) -> Result<(), Verdict> {
    if journal_holds(state, item, user) {
        return Ok(());
    }
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
        _ => {
            gate::refuse_stopped(entry, now_ms())?;
            Err(none_left(state, item, entry).await)
        }
    }
}

/// What is said to somebody for whom nothing was left: `sold_out` only if nothing is left,
/// and nothing can come from another site, else `busy`.
pub(super) async fn none_left(state: &ShopState, item: &Item, entry: &Entry) -> Verdict {
    let is_gone = async {
        if let Some(site) = &state.site
            && site.may_come(item).await?
        {
            return Ok(false);
        }
        // In this order: what came meanwhile is for sale.
        let left = left(state, item, entry).await?;
        Ok::<_, RedisLinkError>(left.is_some_and(|left| left <= 0))
    };
    match is_gone.await {
        Ok(true) => Verdict::SoldOut,
        Ok(false) => Verdict::Busy,
        Err(error) => {
            tracing::debug!(%error, %item, "it is not known whether anything is left");
            Verdict::Busy
        }
    }
}

/// Items left in all segments; `None` where a segment has no stock, or items are on their
/// way between two.
async fn left(
    state: &ShopState,
    item: &Item,
    entry: &Entry,
) -> Result<Option<i64>, RedisLinkError> {
    let mut left = 0;
    for segment in 1..=entry.segments {
        let mut conn = state.segments.conn(item, segment).await?;
        let (amount, in_transit): (Option<i64>, u64) = redis::pipe()
            .hget(keys::stock(item, segment), STOCK_FOR_SALE)
            .hlen(keys::transit(item, segment))
            .query_async(&mut conn)
            .await?;
        match amount {
            Some(amount) if in_transit == 0 => left += amount,
            _ => return Ok(None),
        }
    }
    Ok(Some(left))
}

fn journal_holds(state: &ShopState, item: &Item, user: &str) -> bool {
    let journals = state.journals.as_ref();
    journals.is_some_and(|journals| journals.holds_buyer(item, user))
}
