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
use seckill_core::orders::purchase::{BuyerRecord, State as Standing};
use seckill_core::sale::catalogue::Entry;
use seckill_core::{Verdict, keys};

use super::identity;
use super::state::ShopState;
use crate::http::body::refuse_body;
use crate::http::error::{ApiError, json_response};
use crate::redis::RedisLinkError;
use crate::redis::segments::Segment;

/// The field of a segment's stock that says how many items are for sale.
const STOCK_FOR_SALE: &str = "sale_stock_amount";

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
        Ok(record) => Outcome::of(record),
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
}

impl Outcome {
    fn of_status(status: &'static str) -> Self {
        Self {
            status,
            order: None,
            reason: None,
        }
    }

    fn of(record: Option<BuyerRecord>) -> Self {
        match record {
            None => Self::of_status("none"),
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
    type Stock = (Option<String>, Option<String>);
    type Read = (Option<String>, Option<String>, Stock);
    let (bought, refused, (stock, halted)): Read = redis::pipe()
        .hget(keys::buyers(item, segment), user)
        .hget(keys::refused(item, segment), user)
        .hmget(
            keys::stock(item, segment),
            &[STOCK_FOR_SALE, keys::STOCK_HALTED],
        )
        .query_async(&mut conn)
        .await?;
    // What such a Redis does not have on record may have been bought all the same.
    if let Some(reason) = halted {
        return Err(RedisLinkError::Halted(reason));
    }
    if stock.is_none() {
        let segment = Segment {
            item: item.clone(),
            number: segment,
        };
        return Err(RedisLinkError::NoStock(segment.to_string()));
    }
    let read = |text: String| {
        let record = BuyerRecord::parse(&text);
        if record.is_none() {
            tracing::error!(%item, user, text, "a buyer's record cannot be read");
        }
        record
    };
    Ok(latest(bought.and_then(read), refused.and_then(read)))
}

/// What became of the buyer's last request: a purchase that lives, or the later of one
/// that does not and of a journalled request that bought nothing.
fn latest(bought: Option<BuyerRecord>, refused: Option<BuyerRecord>) -> Option<BuyerRecord> {
    match (bought, refused) {
        (Some(bought), Some(refused)) => {
            let stands = !bought.state.may_buy_again() || bought.at_ms >= refused.at_ms;
            Some(if stands { bought } else { refused })
        }
        (bought, refused) => bought.or(refused),
    }
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
    amount.arg(keys::stock(item, segment)).arg(STOCK_FOR_SALE);
    Ok(amount.query_async(&mut conn).await?)
}

fn journal_holds(state: &ShopState, item: &Item, user: &str) -> bool {
    let journal = state.journal.as_ref();
    journal.is_some_and(|journal| journal.holds_buyer(item, user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purchase_that_lives_stands_before_a_later_request_that_bought_nothing() {
        let record = |text: &str| BuyerRecord::parse(text);
        let refused = record("failed|r-2|1|||20|sold_out");
        for bought in ["succeeded|r-1|1|||10", "paid|r-1|1||7|10"] {
            let stands = latest(record(bought), refused.clone());
            assert_eq!(stands, record(bought));
        }
        let cancelled = record("cancelled|r-1|1||7|10|unpaid");
        assert_eq!(latest(cancelled.clone(), refused.clone()), refused);
        let later = record("cancelled|r-3|1||9|30|unpaid");
        assert_eq!(latest(later.clone(), refused.clone()), later);
        assert_eq!(latest(None, refused.clone()), refused);
        assert_eq!(latest(cancelled.clone(), None), cancelled);
    }
}
