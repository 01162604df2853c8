//! Payments. A provider's notice and its effect on the order are one transaction: of
//! paying and cancelling at the same time one wins, and if that is cancelling, a
//! refund of the payment is due.

use seckill_core::orders::notification::{Channel, Kind};
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment;
use seckill_core::orders::payment::{Decision, Reported, State};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::notifications::announce;
use super::orders::Order;
use super::states::by_id;
use super::{Database, Store, StoreError, signed, unsigned};

/// A notice of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The payment's id.
    pub payment: String,
    /// The order it is for.
    pub order: OrderId,
    /// The amount that was paid, in cents.
    pub amount_cents: u64,
    /// What the notice says.
    pub reported: Reported,
    /// Its sender.
    pub via: Via,
}

impl Notice {
    /// The payment of a notice that is refused.
    fn refused(&self, reason: Option<payment::Reason>, now_ms: u64) -> Payment {
        Payment {
            id: self.payment.clone(),
            order: self.order,
            amount_cents: self.amount_cents,
            state: State::Failed,
            reason: reason.map(|reason| reason.as_str().to_owned()),
            received_ms: now_ms,
        }
    }
}

/// The sender of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The shop's own payment page.
    Shop,
    /// The payment provider.
    Provider,
}

/// A payment as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub id: String,
    /// The order it was for.
    pub order: OrderId,
    /// The amount that was paid, in cents.
    pub amount_cents: u64,
    /// Its state.
    pub state: State,
    /// Why a refund is due, in one word.
    pub reason: Option<String>,
    /// When its first notice came, epoch milliseconds.
    pub received_ms: u64,
}

/// The outcome of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The payment after the notice.
    pub payment: Payment,
    /// Its order after the notice, if there is one.
    pub order: Option<Order>,
}

impl Store {
    /// Processes a notice: pays the order, or records why not.
    ///
    /// # Errors
    /// The database is away, and the notice is not on record.
    pub async fn note_payment(&self, notice: &Notice, now_ms: u64) -> Result<Noted, StoreError> {
        const ATTEMPTS: u32 = 5;
        let database = self.database_of(notice.order).await?;
        // Another attempt if the payment or its order changed at the same time.
        for _ in 1..ATTEMPTS {
            if let Some(noted) = note((database, self.channels()), notice, now_ms).await? {
                return Ok(noted);
            }
        }
        Err(StoreError::NumberInUse)
    }

    /// All payments for an order.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn payments_of(&self, order: &Order) -> Result<Vec<Payment>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, order_id, amount_cents, state, reason, received_ms FROM payments \
             WHERE order_id = ? ORDER BY received_ms, id",
        )
        .bind(signed(order.id.0))
        .fetch_all(self.orders_db(&order.user).readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Payments whose refund is due, oldest first.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn refunds_due(&self) -> Result<Vec<Payment>, StoreError> {
        let mut due = Vec::new();
        for shard in self.shards() {
            let rows = sqlx::query(
                "SELECT id, order_id, amount_cents, state, reason, received_ms FROM payments \
                 WHERE state = 'refund_due' ORDER BY received_ms, id",
            )
            .fetch_all(shard.readers())
            .await?;
            for row in &rows {
                due.push(read(row)?);
            }
        }
        due.sort_by_key(|payment| payment.received_ms);
        Ok(due)
    }

    /// The database with this order; the first one if none has it.
    async fn database_of(&self, id: OrderId) -> Result<&Database, StoreError> {
        for shard in self.shards().iter().skip(1) {
            let found: Option<i64> = sqlx::query_scalar("SELECT id FROM orders WHERE id = ?")
                .bind(signed(id.0))
                .fetch_optional(shard.readers())
                .await?;
            if found.is_some() {
                return Ok(shard);
            }
        }
        Ok(self.shards().first().unwrap_or(self.main()))
    }
}

/// One attempt; `None` if the payment or its order changed meanwhile.
async fn note(
    (database, channels): (&Database, &[Channel]),
    notice: &Notice,
    now_ms: u64,
) -> Result<Option<Noted>, StoreError> {
    let mut transaction = database.begin().await?;
    let known = by_payment_id(&mut transaction, &notice.payment).await?;
    let order = by_id(&mut transaction, notice.order).await?;
    let stands = order
        .as_ref()
        .map(|order| (order.state, order.total_cents()));
    let before = known.as_ref().map(|payment| payment.state);
    let decision = payment::decide(notice.reported, notice.amount_cents, before, stands);
    if let (Via::Shop, Decision::Record(State::RefundDue, reason)) = (notice.via, decision) {
        // The shop's own page takes no money before this decision: no refund is due.
        transaction.rollback().await?;
        let payment = notice.refused(reason, now_ms);
        return Ok(Some(Noted { payment, order }));
    }
    let done = match decision {
        Decision::Keep(_) => true,
        Decision::Pay => {
            pay(&mut transaction, notice.order, now_ms).await?
                && record(&mut transaction, notice, before, State::Paid, None, now_ms).await?
        }
        Decision::Record(state, reason) => {
            record(&mut transaction, notice, before, state, reason, now_ms).await?
        }
    };
    if !done {
        transaction.rollback().await?;
        return Ok(None);
    }
    let change = match decision {
        Decision::Pay => Some((Kind::Paid, "")),
        Decision::Record(State::RefundDue, _) => Some((Kind::RefundDue, notice.payment.as_str())),
        _ => None,
    };
    // An order that does not exist has no buyer to notify.
    if let (Some((kind, payment)), Some(order)) = (change, &order) {
        announce(
            &mut transaction,
            channels,
            &[order.id],
            kind,
            payment,
            now_ms,
        )
        .await?;
    }
    let payment = by_payment_id(&mut transaction, &notice.payment).await?;
    let order = by_id(&mut transaction, notice.order).await?;
    transaction.commit().await?;
    Ok(payment.map(|payment| Noted { payment, order }))
}

async fn pay(conn: &mut AnyConnection, id: OrderId, now_ms: u64) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE orders SET state = 'paid', stock_due = 'confirm', updated_ms = ? \
         WHERE id = ? AND state = 'created'",
    )
    .bind(signed(now_ms))
    .bind(signed(id.0))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Updates a payment that is in state `before`, or inserts it; `false` if it has
/// changed meanwhile.
async fn record(
    conn: &mut AnyConnection,
    notice: &Notice,
    before: Option<State>,
    state: State,
    reason: Option<payment::Reason>,
    now_ms: u64,
) -> Result<bool, StoreError> {
    let reason = reason.map(payment::Reason::as_str);
    if let Some(before) = before {
        let done = sqlx::query(
            "UPDATE payments SET state = ?, reason = ?, updated_ms = ? WHERE id = ? AND state = ?",
        )
        .bind(state.as_str())
        .bind(reason)
        .bind(signed(now_ms))
        .bind(&notice.payment)
        .bind(before.as_str())
        .execute(conn)
        .await?;
        return Ok(done.rows_affected() == 1);
    }
    let done = sqlx::query(
        "INSERT INTO payments \
         (id, order_id, amount_cents, state, reason, via, received_ms, updated_ms) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&notice.payment)
    .bind(signed(notice.order.0))
    .bind(signed(notice.amount_cents))
    .bind(state.as_str())
    .bind(reason)
    .bind(match notice.via {
        Via::Shop => "shop",
        Via::Provider => "provider",
    })
    .bind(signed(now_ms))
    .bind(signed(now_ms))
    .execute(conn)
    .await
    .map_err(StoreError::from);
    match done {
        Err(error) if error.is_double() => Ok(false),
        done => done.map(|_| true),
    }
}

async fn by_payment_id(conn: &mut AnyConnection, id: &str) -> Result<Option<Payment>, StoreError> {
    let row = sqlx::query(
        "SELECT id, order_id, amount_cents, state, reason, received_ms FROM payments WHERE id = ?",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &AnyRow) -> Result<Payment, StoreError> {
    let id: String = row.try_get(0)?;
    let state: String = row.try_get(3)?;
    let Some(state) = State::parse(&state) else {
        let (table, column, value) = ("payments", "state", state);
        return Err(StoreError::Row {
            table,
            id,
            column,
            value,
        });
    };
    Ok(Payment {
        id,
        order: OrderId(unsigned(row.try_get(1)?)),
        amount_cents: unsigned(row.try_get(2)?),
        state,
        reason: row.try_get(4)?,
        received_ms: unsigned(row.try_get(5)?),
    })
}
