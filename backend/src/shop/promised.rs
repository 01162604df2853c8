//! Orders that were promised: their buyers read the number with the purchase's result, and
//! the database may not have them yet, because the queue or the database is behind.
//!
//! Whoever reads the number leaves the purchase in Redis under it. A buyer who comes to see
//! or to pay such an order, and a notice of its payment, have it placed at once. While the
//! database is away its buyer still sees it, and where to pay: the provider repeats its
//! notice until there is an order.

use std::time::Duration;

use redis::AsyncCommands as _;
use seckill_core::Verdict;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::orders::message::{OrderMessage, VERSION};
use seckill_core::orders::order::{OrderId, State};
use seckill_core::orders::purchase::{BuyerRecord, Reason, State as Standing};

use super::record::record_of;
use super::state::{ShopState, database_failed};
use crate::http::error::ApiError;
use crate::now_ms;
use crate::orders::at_once;
use crate::redis::RedisLinkError;
use crate::store::orders::{Order, Placed};

/// For how long a promise is kept, in seconds: longer than any queue is behind.
pub(super) const KEPT_S: u64 = 7 * 86_400;

/// How long a buyer waits for the database before they see their order from Redis.
const LOOK: Duration = Duration::from_millis(1500);

/// An order that its buyer was promised.
#[derive(Debug)]
pub(super) enum Found {
    /// The database has it.
    Placed(Order),
    /// The database does not have it yet, or is away.
    Waiting(Order),
}

impl Found {
    /// The order, wherever it is.
    pub(super) fn order(&self) -> &Order {
        let (Self::Placed(order) | Self::Waiting(order)) = self;
        order
    }
}

/// Keeps a promise that is about to be made to its buyer.
///
/// # Errors
/// Redis is away: the number must not be shown.
pub(super) async fn keep(
    state: &ShopState,
    (order, purchase): (OrderId, OrderMessage),
) -> Result<(), RedisLinkError> {
    let mut conn = state.redis.conn().await?;
    let list = keys::promised_to(&purchase.user);
    let kept = i64::try_from(KEPT_S).unwrap_or(i64::MAX);
    let mut pipe = redis::pipe();
    pipe.set_ex(keys::promised(order.0), purchase.to_json(), KEPT_S)
        .ignore();
    pipe.sadd(&list, order.0).ignore();
    pipe.expire(&list, kept).ignore();
    Ok(pipe.query_async(&mut conn).await?)
}

/// The purchase of a record that has its order's number, if it is for this product.
pub(super) fn purchase_of(
    (item, segment, price_cents): (&Item, u16, u64),
    user: &str,
    record: &BuyerRecord,
) -> Option<(OrderId, OrderMessage)> {
    let order: u64 = record.order.parse().ok()?;
    let purchase = OrderMessage {
        v: VERSION,
        request: record.request.clone(),
        round: item.round().to_owned(),
        product: item.product().to_owned(),
        segment,
        user: user.to_owned(),
        quantity: record.quantity,
        price_cents,
        permit: record.permit.clone(),
        at_ms: record.at_ms,
        order: Some(order),
        traceparent: None,
        relayed_us: None,
    };
    Some((OrderId(order), purchase))
}

/// The buyer's order of this number. One that was only promised is placed, unless too many
/// are at the moment.
///
/// # Errors
/// `not_found`, also if it is another buyer's; `unavailable` if neither the database nor
/// Redis can say.
pub(super) async fn find(state: &ShopState, user: &str, id: OrderId) -> Result<Found, ApiError> {
    let placed = tokio::time::timeout(LOOK, placed(state, user, id)).await;
    let placed = placed.unwrap_or(Err(ApiError(Verdict::Unavailable)));
    if let Ok(Some(order)) = placed {
        return Ok(Found::Placed(order));
    }
    let stands = match read(state, id).await {
        Ok(Some(promise)) if promise.purchase.user == user => promise,
        Ok(_) => return Err(placed.err().unwrap_or(ApiError(Verdict::NotFound))),
        Err(error) => {
            tracing::warn!(%error, order = %id, "it is not known whether an order was promised");
            return Err(placed.err().unwrap_or(ApiError(Verdict::Unavailable)));
        }
    };
    if placed.is_ok() && stands.may_be_placed() {
        let placing = async {
            let _turn = state.placing_at_once.try_acquire().ok()?;
            place(state, id, &stands.purchase).await.ok()?;
            self::placed(state, user, id).await.ok()?
        };
        if let Ok(Some(order)) = tokio::time::timeout(LOOK, placing).await {
            return Ok(Found::Placed(order));
        }
    }
    let waiting = stands.into_order(id, state.options.pay_within);
    Ok(Found::Waiting(waiting))
}

/// The buyer's orders that the database does not have yet, newest first: what they were
/// promised.
pub(super) async fn waiting_of(state: &ShopState, user: &str) -> Vec<Order> {
    let list = keys::promised_to(user);
    let numbers: Result<Vec<u64>, RedisLinkError> = async {
        let mut conn = state.redis.conn().await?;
        Ok(conn.smembers(&list).await?)
    }
    .await;
    let mut numbers = numbers.unwrap_or_default();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let mut waiting = Vec::new();
    for id in numbers.into_iter().map(OrderId) {
        if matches!(placed(state, user, id).await, Ok(Some(_))) {
            forget(state, &list, id).await;
            continue;
        }
        match read(state, id).await {
            Ok(Some(promise)) if promise.may_be_placed() => {
                waiting.push(promise.into_order(id, state.options.pay_within));
            }
            Ok(_) => forget(state, &list, id).await,
            Err(error) => tracing::debug!(%error, order = %id, "a promised order is not listed"),
        }
    }
    waiting
}

async fn forget(state: &ShopState, list: &str, id: OrderId) {
    if let Ok(mut conn) = state.redis.conn().await {
        // It lapses by itself.
        let _: Result<(), _> = conn.srem(list, id.0).await;
    }
}

/// Has the order of this number placed, if it was promised and is not: money for it arrives.
///
/// # Errors
/// `unavailable` if that cannot be done, or is not known, now: the notice has to come again.
pub(super) async fn place_paid(state: &ShopState, id: OrderId) -> Result<(), ApiError> {
    let store = state.store().await?;
    if store.has_order(id).await.map_err(database_failed)? {
        return Ok(());
    }
    let promise = match read(state, id).await {
        Ok(promise) => promise,
        // An older number than a promise lasts was none.
        Err(_) if id.made_ms().saturating_add(KEPT_S * 1000) < now_ms() => return Ok(()),
        Err(error) => {
            tracing::warn!(%error, order = %id, "a payment waits: it is not known whether its order was promised");
            return Err(ApiError(Verdict::Unavailable));
        }
    };
    match promise {
        Some(promise) if promise.may_be_placed() => place(state, id, &promise.purchase).await,
        _ => Ok(()),
    }
}

async fn place(state: &ShopState, id: OrderId, purchase: &OrderMessage) -> Result<(), ApiError> {
    let store = state.store().await?;
    let parts = (id, purchase);
    let placed = at_once::place(store, &state.segments, parts, state.options.pay_within).await;
    match placed.map_err(database_failed)? {
        Placed::Before(other) if other != id => {
            tracing::error!(order = %id, %other, "a promised order was placed under another number");
        }
        Placed::New(_) | Placed::Before(_) | Placed::Taken(_) | Placed::Failed => {}
    }
    Ok(())
}

async fn placed(state: &ShopState, user: &str, id: OrderId) -> Result<Option<Order>, ApiError> {
    let order = state.store().await?.order(user, id).await;
    order.map_err(database_failed)
}

/// A promise, and how its purchase stands.
struct Promise {
    purchase: OrderMessage,
    record: BuyerRecord,
}

impl Promise {
    /// Whether the purchase still lives.
    fn may_be_placed(&self) -> bool {
        matches!(
            self.record.state,
            Standing::Succeeded | Standing::Ordered | Standing::Paid
        )
    }

    /// The order as its buyer sees it. Its time to pay begins when it is placed, hence ends
    /// no earlier than if it were now.
    fn into_order(self, id: OrderId, pay_within: Duration) -> Order {
        let Self { purchase, record } = self;
        let pay_within_ms = u64::try_from(pay_within.as_millis()).unwrap_or(u64::MAX);
        Order {
            id,
            request: purchase.request,
            round: purchase.round,
            product: purchase.product,
            segment: purchase.segment,
            user: purchase.user,
            quantity: purchase.quantity,
            price_cents: purchase.price_cents,
            permit: purchase.permit,
            state: match record.state {
                Standing::Succeeded | Standing::Ordered => State::Created,
                Standing::Paid => State::Paid,
                Standing::Cancelled => State::Cancelled,
                Standing::Failed => State::Failed,
            },
            reason: record.reason.as_deref().and_then(Reason::parse),
            stock_due: None,
            pay_by_ms: now_ms().saturating_add(pay_within_ms),
            locked_ms: purchase.at_ms,
            created_ms: purchase.at_ms,
        }
    }
}

/// The promise of this number; `None` if there is none, or its purchase was forgotten or
/// replaced: a Redis that lost it may have sold the item to somebody else.
async fn read(state: &ShopState, id: OrderId) -> Result<Option<Promise>, RedisLinkError> {
    let mut conn = state.redis.conn().await?;
    let kept: Option<String> = conn.get(keys::promised(id.0)).await?;
    let Some(text) = kept else {
        return Ok(None);
    };
    let purchase = match OrderMessage::parse(text.as_bytes()) {
        Ok(purchase) => purchase,
        Err(error) => {
            tracing::error!(%error, order = %id, "a promised order cannot be read");
            return Ok(None);
        }
    };
    let Some(item) = Item::new(&purchase.round, &purchase.product) else {
        return Ok(None);
    };
    let record = record_of(state, &item, purchase.segment, &purchase.user).await?;
    let number = id.to_string();
    let is_its = |record: &BuyerRecord| {
        record.request == purchase.request
            && record.at_ms == purchase.at_ms
            && (record.order.is_empty() || record.order == number)
    };
    let record = record.filter(is_its);
    Ok(record.map(|record| Promise { purchase, record }))
}
