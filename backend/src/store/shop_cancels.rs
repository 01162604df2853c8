//! Orders that the shop cancels: of a round that was ended or withdrawn, or one by one.
//! A payment of such an order becomes a refund due in the same transaction, so that no
//! crash leaves money behind.

use seckill_core::orders::notification::Kind;
use seckill_core::orders::order::{OrderId, State};
use seckill_core::orders::payment;
use seckill_core::orders::purchase::Reason;
use sqlx::Row as _;

use super::listeners::Listeners;
use super::session::Session;
use super::stop::Cancelling;
use super::{Database, Store, StoreError, signed, unsigned};

/// What is to be cancelled of a round, or of one product of it.
struct Standing {
    round: String,
    /// Empty for the whole round.
    product: String,
    cancel: Cancelling,
}

impl Store {
    /// Cancels up to `limit` orders of each database whose round or product was stopped
    /// with an order to cancel them; returns how many.
    ///
    /// # Errors
    /// The database is away.
    pub async fn cancel_stopped(&self, limit: u32, now_ms: u64) -> Result<u64, StoreError> {
        let rows = sqlx::query("SELECT round, product, cancel FROM stops WHERE cancel <> ''")
            .fetch_all(self.main().readers())
            .await?;
        let mut cancelled = 0;
        for row in &rows {
            let standing = Standing {
                round: row.try_get(0)?,
                product: row.try_get(1)?,
                cancel: Cancelling::parse(row.try_get(2)?),
            };
            for shard in self.shards() {
                let from = (shard, self.listeners());
                cancelled += cancel_some(from, &standing, limit, now_ms).await?;
            }
        }
        Ok(cancelled)
    }
}

async fn cancel_some(
    (shard, listeners): (&Database, Listeners<'_>),
    standing: &Standing,
    limit: u32,
    now_ms: u64,
) -> Result<u64, StoreError> {
    // Either text may be absent; the index is by round and state.
    let rows = sqlx::query(
        "SELECT id, state FROM orders WHERE round = ? AND state IN ('created', ?)
         AND (? = '' OR product = ?) ORDER BY state, product, id LIMIT ?",
    )
    .bind(&standing.round)
    .bind(match standing.cancel {
        Cancelling::All => "paid",
        Cancelling::None | Cancelling::Unpaid => "created",
    })
    .bind(&standing.product)
    .bind(&standing.product)
    .bind(i64::from(limit))
    .fetch_all(shard.readers())
    .await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let mut transaction = shard.begin().await?;
    let mut cancelled = 0;
    for row in &rows {
        let id = OrderId(unsigned(row.try_get(0)?));
        let state = State::parse(row.try_get(1)?);
        // A state that changed meanwhile is found by the next pass.
        let order = (id, state.unwrap_or(State::Created));
        let reason = Reason::Withdrawn;
        if cancel_one((&mut transaction, listeners), order, reason, now_ms).await? {
            cancelled += 1;
        }
    }
    transaction.commit().await?;
    Ok(cancelled)
}

/// Cancels an order that is in this state, and makes its payments refunds due; `false` if
/// it is in another by now.
pub(super) async fn cancel_one(
    (connection, listeners): (&mut Session, Listeners<'_>),
    (id, state): (OrderId, State),
    reason: Reason,
    now_ms: u64,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE orders SET state = 'cancelled', reason = ?, stock_due = 'release',
         updated_ms = ? WHERE id = ? AND state = ?",
    )
    .bind(reason.as_str())
    .bind(signed(now_ms))
    .bind(signed(id.0))
    .bind(state.as_str())
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    listeners
        .announce(connection, &[id], Kind::Cancelled, "", now_ms)
        .await?;
    let payments: Vec<String> =
        sqlx::query_scalar("SELECT id FROM payments WHERE order_id = ? AND state = 'paid'")
            .bind(signed(id.0))
            .fetch_all(&mut *connection)
            .await?;
    for payment in payments {
        sqlx::query(
            "UPDATE payments SET state = 'refund_due', reason = ?, updated_ms = ?
             WHERE id = ? AND state = 'paid'",
        )
        .bind(payment::Reason::Cancelled.as_str())
        .bind(signed(now_ms))
        .bind(&payment)
        .execute(&mut *connection)
        .await?;
        listeners
            .announce(connection, &[id], Kind::RefundDue, &payment, now_ms)
            .await?;
    }
    Ok(true)
}
