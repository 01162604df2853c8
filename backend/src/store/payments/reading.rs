//! Reading payments.

use seckill_core::orders::money::Currency;
use seckill_core::orders::payment;
use seckill_core::orders::payment::{ProviderName, State};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::Payment;
use crate::store::orders::Order;
use crate::store::session::Session;
use crate::store::{Store, StoreError, signed, unsigned};

/// A query for whole payments; its argument follows `FROM payments`.
macro_rules! select_payments {
    ($tail:literal) => {
        sqlx::query(concat!(
            "SELECT id, order_id, amount_cents, state, reason, received_ms, provider, ",
            "provider_id, order_named, currency, refunded_cents, updated_ms FROM payments ",
            $tail
        ))
    };
}

impl Store {
    /// All payments for an order.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn payments_of(&self, order: &Order) -> Result<Vec<Payment>, StoreError> {
        let rows = select_payments!("WHERE order_id = ? ORDER BY received_ms, id")
            .bind(signed(order.id.0))
            .fetch_all(self.orders_db(&order.user).readers())
            .await?;
        rows.iter().map(read).collect()
    }

    /// The payment under this key, or with this id at its provider; the first of several
    /// providers.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn payment(&self, name: &str) -> Result<Option<Payment>, StoreError> {
        for shard in self.shards() {
            let of = |provider| payment::key(provider, name);
            let [shop, signed, stripe, alipay, wechat] = ProviderName::ALL.map(of);
            let row = select_payments!("WHERE id IN (?, ?, ?, ?, ?, ?) ORDER BY received_ms")
                .bind(name)
                .bind(shop)
                .bind(signed)
                .bind(stripe)
                .bind(alipay)
                .bind(wechat)
                .fetch_optional(shard.readers())
                .await?;
            if let Some(row) = row {
                return read(&row).map(Some);
            }
        }
        Ok(None)
    }

    /// Payments of a provider whose first notice came in `[from_ms, to_ms)`, oldest first.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn payments_between(
        &self,
        provider: ProviderName,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<Vec<Payment>, StoreError> {
        let mut found = Vec::new();
        for shard in self.shards() {
            let rows = select_payments!(
                "WHERE provider = ? AND received_ms >= ? AND received_ms < ? ORDER BY received_ms"
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

    /// Payments whose refund is due, oldest first.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn refunds_due(&self) -> Result<Vec<Payment>, StoreError> {
        let mut due = Vec::new();
        for shard in self.shards() {
            let rows = select_payments!("WHERE state = 'refund_due' ORDER BY received_ms, id")
                .fetch_all(shard.readers())
                .await?;
            for row in &rows {
                due.push(read(row)?);
            }
        }
        due.sort_by_key(|payment| payment.received_ms);
        Ok(due)
    }
}

/// The payment under this key.
pub(super) async fn by_key(conn: &mut Session, key: &str) -> Result<Option<Payment>, StoreError> {
    let row = select_payments!("WHERE id = ?")
        .bind(key)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &AnyRow) -> Result<Payment, StoreError> {
    let key: String = row.try_get(0)?;
    let state: String = row.try_get(3)?;
    let provider: String = row.try_get(6)?;
    let unreadable = |column, value| StoreError::Row {
        table: "payments",
        id: key.clone(),
        column,
        value,
    };
    let (state, provider) = match (State::parse(&state), ProviderName::parse(&provider)) {
        (Some(state), Some(provider)) => (state, provider),
        (None, _) => return Err(unreadable("state", state)),
        (_, None) => return Err(unreadable("provider", provider)),
    };
    let id: Option<String> = row.try_get(7)?;
    let named: Option<String> = row.try_get(8)?;
    let currency: String = row.try_get(9)?;
    Ok(Payment {
        id: id.unwrap_or_else(|| key.clone()),
        key,
        provider,
        order: match named {
            Some(named) => named,
            None => unsigned(row.try_get(1)?).to_string(),
        },
        amount_cents: unsigned(row.try_get(2)?),
        currency: Currency::parse(&currency),
        refunded_cents: unsigned(row.try_get(10)?),
        state,
        reason: row.try_get(4)?,
        received_ms: unsigned(row.try_get(5)?),
        updated_ms: unsigned(row.try_get(11)?),
    })
}
