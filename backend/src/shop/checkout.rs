//! Sending a buyer to a provider to pay an order: one checkout for an order and provider,
//! created when the order is first looked at and kept in the database.

use std::net::IpAddr;

use axum::http::HeaderMap;
use seckill_core::orders::money::Money;
use seckill_core::orders::order;
use seckill_core::orders::payment::ProviderName;

use super::state::ShopState;
use crate::now_ms;
use crate::payments::Bill;
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
    order: &Order,
    title: &str,
    provider: Option<ProviderName>,
    headers: &HeaderMap,
) -> Result<Option<String>, StoreError> {
    let now_ms = now_ms();
    let provider = provider.or_else(|| state.payments.pages().next());
    let (Some(provider), Some(store)) = (provider, &state.store) else {
        return Ok(None);
    };
    let store = store.get().await?;
    if !is_payable(order, now_ms) {
        return Ok(None);
    }
    if let Some(kept) = store.checkout(&order.user, order.id, provider).await? {
        return Ok(Some(kept.pay_url));
    }
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
    let checkout = Checkout {
        order: order.id,
        provider,
        user: order.user.clone(),
        pay_url: opened.pay_url,
        provider_id: opened.provider_id,
        amount,
        created_ms: now_ms,
    };
    store.keep_checkout(&checkout).await?;
    Ok(Some(checkout.pay_url))
}

/// The address of the buyer's browser, which the edge passes on.
fn client(headers: &HeaderMap) -> Option<IpAddr> {
    headers.get("x-real-ip")?.to_str().ok()?.parse().ok()
}
