//! Checkouts: where buyers were sent to pay, one for an order at each provider.

use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment::ProviderName;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, signed, unsigned};

/// Where a buyer was sent to pay an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The order.
    pub order: OrderId,
    /// The provider that takes the money.
    pub provider: ProviderName,
    /// The buyer.
    pub user: String,
    /// The provider's page.
    pub pay_url: String,
    /// What the provider calls it.
    pub provider_id: String,
    /// What is to be paid.
    pub amount: Money,
    /// When it was created, epoch milliseconds.
    pub created_ms: u64,
}

impl Store {
    /// The checkout of this buyer's order at a provider.
    ///
    /// # Errors
    /// The database is away, or the row cannot be read.
    pub async fn checkout(
        &self,
        user: &str,
        order: OrderId,
        provider: ProviderName,
    ) -> Result<Option<Checkout>, StoreError> {
        let row = sqlx::query(
            "SELECT order_id, provider, user, pay_url, provider_id, amount, currency, created_ms \
             FROM checkouts WHERE order_id = ? AND provider = ?",
        )
        .bind(signed(order.0))
        .bind(provider.as_str())
        .fetch_optional(self.orders_db(user).readers())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// Keeps a checkout. Of two that are created at once the first is kept; both are the
    /// same payment at the provider, which knows it by the order.
    ///
    /// # Errors
    /// The database is away.
    pub async fn keep_checkout(&self, checkout: &Checkout) -> Result<(), StoreError> {
        let done = sqlx::query(
            "INSERT INTO checkouts \
             (order_id, provider, user, pay_url, provider_id, amount, currency, created_ms) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(checkout.order.0))
        .bind(checkout.provider.as_str())
        .bind(&checkout.user)
        .bind(&checkout.pay_url)
        .bind(&checkout.provider_id)
        .bind(signed(checkout.amount.minor))
        .bind(checkout.amount.currency.as_str())
        .bind(signed(checkout.created_ms))
        .execute(self.orders_db(&checkout.user).writer())
        .await
        .map_err(StoreError::from);
        match done {
            Err(error) if error.is_double() => Ok(()),
            done => done.map(|_| ()),
        }
    }

    /// All checkouts at a provider that were created in `[from_ms, to_ms)`, oldest first.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn checkouts_between(
        &self,
        provider: ProviderName,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<Vec<Checkout>, StoreError> {
        let mut found = Vec::new();
        for shard in self.shards() {
            let rows = sqlx::query(
                "SELECT order_id, provider, user, pay_url, provider_id, amount, currency, \
                 created_ms FROM checkouts \
                 WHERE provider = ? AND created_ms >= ? AND created_ms < ? ORDER BY created_ms",
            )
            .bind(provider.as_str())
            .bind(signed(from_ms))
            .bind(signed(to_ms))
            .fetch_all(shard.readers())
            .await?;
            for row in &rows {
                found.push(read(row)?);
            }
        }
        Ok(found)
    }
}

fn read(row: &AnyRow) -> Result<Checkout, StoreError> {
    let order = OrderId(unsigned(row.try_get(0)?));
    let (provider, currency): (String, String) = (row.try_get(1)?, row.try_get(6)?);
    let unreadable = |column, value| StoreError::Row {
        table: "checkouts",
        id: order.to_string(),
        column,
        value,
    };
    let Some(name) = ProviderName::parse(&provider) else {
        return Err(unreadable("provider", provider));
    };
    let Some(known) = Currency::parse(&currency) else {
        return Err(unreadable("currency", currency));
    };
    Ok(Checkout {
        order,
        provider: name,
        user: row.try_get(2)?,
        pay_url: row.try_get(3)?,
        provider_id: row.try_get(4)?,
        amount: Money::new(unsigned(row.try_get(5)?), known),
        created_ms: unsigned(row.try_get(7)?),
    })
}
