//! Sending a buyer to a provider to pay an order: one checkout for an order and provider,
//! created when the order is first looked at and kept in the database; in Redis until the
//! database has the order.

use std::net::IpAddr;

use axum::http::HeaderMap;
use redis::AsyncCommands as _;
use seckill_core::keys;
use seckill_core::orders::money::Money;
use seckill_core::orders::order;
use seckill_core::orders::payment::ProviderName;
use serde::{Deserialize, Serialize};

use super::promised::{self, Found};
use super::state::ShopState;
use crate::now_ms;
use crate::orders::payments::Bill;
use crate::redis::RedisLinkError;
use crate::store::StoreError;
use crate::store::checkouts::Checkout;
use crate::store::orders::Order;

/// Whether money is needed, and still in time.
fn is_payable(order: &Order, now_ms: u64) -> bool {
    order.state == order::State::Created && order.total_cents() > 0 && now_ms < order.pay_by_ms
}

/// Where the buyer pays this order at a provider, or at the usual one; `None` if there is
/// nothing to be paid, or nowhere, or if the provider is away, which the log says.
///
/// # Errors
/// The database is away.
pub(super) async fn pay_url(
    state: &ShopState,
    found: &Found,
    title: &str,
    provider: Option<ProviderName>,
    headers: &HeaderMap,
) -> Result<Option<String>, StoreError> {
    let (order, now_ms) = (found.order(), now_ms());
    let provider = provider.or_else(|| state.payments.pages().next());
    let (Some(provider), Some(store)) = (provider, &state.store) else {
        return Ok(None);
    };
    if !is_payable(order, now_ms) {
        return Ok(None);
    }
    let is_placed = matches!(found, Found::Placed(_));
    if is_placed {
        let kept = store.get().await?.checkout(&order.user, order.id, provider);
        if let Some(kept) = kept.await? {
            return Ok(Some(kept.pay_url));
        }
    }
    let checkout = match promised_checkout(state, order, provider).await {
        Ok(Some(kept)) => kept,
        // Only what is remembered is handed out: another one would be another payment.
        Err(error) if !is_placed => {
            tracing::warn!(order = %order.id, %error, "a buyer cannot be sent to pay");
            return Ok(None);
        }
        Ok(None) | Err(_) => {
            let amount = Money::new(order.total_cents(), state.payments.currency());
            let bill = Bill {
                order: order.id,
                title,
                amount,
                until_ms: order.pay_by_ms,
                client: client(headers),
                now_ms,
            };
            let opened = match state.payments.create(provider, &bill).await {
                Ok(opened) => opened,
                Err(error) => {
                    tracing::warn!(order = %order.id, %error, "a buyer cannot be sent to pay");
                    return Ok(None);
                }
            };
            Checkout {
                order: order.id,
                provider,
                user: order.user.clone(),
                pay_url: opened.pay_url,
                provider_id: opened.provider_id,
                amount,
                created_ms: now_ms,
            }
        }
    };
    if is_placed {
        store.get().await?.keep_checkout(&checkout).await?;
        return Ok(Some(checkout.pay_url));
    }
    match keep_promised(state, &checkout).await {
        Ok(kept) => Ok(Some(kept.pay_url)),
        Err(error) => {
            tracing::warn!(order = %order.id, %error, "a buyer cannot be sent to pay");
            Ok(None)
        }
    }
}

/// A checkout as Redis keeps it until the database has its order.
#[derive(Serialize, Deserialize)]
struct Kept {
    pay_url: String,
    provider_id: String,
    created_ms: u64,
}

/// Where the buyer was sent to pay when the database did not have their order yet.
async fn promised_checkout(
    state: &ShopState,
    order: &Order,
    provider: ProviderName,
) -> Result<Option<Checkout>, RedisLinkError> {
    let mut conn = state.redis.conn().await?;
    let key = keys::promised_checkout(order.id.0, provider.as_str());
    let text: Option<String> = conn.get(key).await?;
    let kept: Option<Kept> = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(kept.map(|kept| Checkout {
        order: order.id,
        provider,
        user: order.user.clone(),
        pay_url: kept.pay_url,
        provider_id: kept.provider_id,
        amount: Money::new(order.total_cents(), state.payments.currency()),
        created_ms: kept.created_ms,
    }))
}

/// Keeps a checkout of an order that the database does not have yet. Of two that are
/// created at once the first is kept, and returned.
async fn keep_promised(state: &ShopState, checkout: &Checkout) -> Result<Kept, RedisLinkError> {
    let mut conn = state.redis.conn().await?;
    let key = keys::promised_checkout(checkout.order.0, checkout.provider.as_str());
    let kept = Kept {
        pay_url: checkout.pay_url.clone(),
        provider_id: checkout.provider_id.clone(),
        created_ms: checkout.created_ms,
    };
    let mut set = redis::cmd("SET");
    // Its three fields are texts and a number.
    set.arg(&key)
        .arg(serde_json::to_string(&kept).unwrap_or_default());
    set.arg("NX").arg("GET").arg("EX").arg(promised::KEPT_S);
    let before: Option<String> = set.query_async(&mut conn).await?;
    let before = before.and_then(|text| serde_json::from_str(&text).ok());
    Ok(before.unwrap_or(kept))
}

/// The address of the buyer's browser, which the edge passes on.
fn client(headers: &HeaderMap) -> Option<IpAddr> {
    headers.get("x-real-ip")?.to_str().ok()?.parse().ok()
}
