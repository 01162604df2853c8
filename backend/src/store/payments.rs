//! Payments. A provider's notice and its effect on the order are one transaction: of
//! paying and cancelling at the same time one wins, and if that is cancelling, a
//! refund of the payment is due.

use std::time::Duration;

use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::notification::Kind;
use seckill_core::orders::order;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment;
use seckill_core::orders::payment::{Decision, Notice, ProviderName, Reported, State};

use super::listeners::Listeners;
use super::orders::Order;
use super::session::Session;
use super::states::by_id;
use super::{Database, Store, StoreError, signed};
use crate::config::RefundStock;

/// Reading payments.
mod reading;

use reading::by_key;

/// Pause before another attempt, while a payment or its order changes.
const PAUSE: Duration = Duration::from_millis(100);

/// A payment as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The key under which it is stored.
    pub key: String,
    /// The provider that took it.
    pub provider: ProviderName,
    /// Its id at the provider, as it came.
    pub id: String,
    /// The order it was for, as its notice named it.
    pub order: String,
    /// The amount that was paid, in minor units.
    pub amount_cents: u64,
    /// Its currency; `None` if it came before currencies were recorded.
    pub currency: Option<Currency>,
    /// How much of it was refunded in all, in minor units.
    pub refunded_cents: u64,
    /// Its state.
    pub state: State,
    /// Why a refund is due, in one word.
    pub reason: Option<String>,
    /// When its first notice came, epoch milliseconds.
    pub received_ms: u64,
    /// When it came to be as it is, epoch milliseconds.
    pub updated_ms: u64,
}

impl Payment {
    /// What was paid; `shop` is the shop's currency, in which payments came before
    /// currencies were recorded.
    #[must_use]
    pub fn amount(&self, shop: Currency) -> Money {
        Money::new(self.amount_cents, self.currency.unwrap_or(shop))
    }

    /// The payment of a notice that is refused.
    fn refused(notice: &Notice, reason: Option<payment::Reason>, now_ms: u64) -> Self {
        Self {
            key: notice.key(),
            provider: notice.provider,
            id: notice.payment.clone(),
            order: notice.order.clone(),
            amount_cents: notice.amount.minor,
            currency: Some(notice.amount.currency),
            refunded_cents: 0,
            state: State::Failed,
            reason: reason.map(|reason| reason.as_str().to_owned()),
            received_ms: now_ms,
            updated_ms: now_ms,
        }
    }
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
    /// Processes a notice: pays the order, or records why not. `currency` is the shop's.
    ///
    /// # Errors
    /// The notice is not on record: the database is away, or
    /// [`StoreError::OtherMoney`].
    pub async fn note_payment(
        &self,
        notice: &Notice,
        currency: Currency,
        now_ms: u64,
    ) -> Result<Noted, StoreError> {
        const ATTEMPTS: u32 = 5;
        let database = self.database_of(notice).await?;
        // Another attempt if the payment or its order changed at the same time.
        for _ in 1..ATTEMPTS {
            let parts = (database, self.listeners(), self.refund_stock());
            if let Some(noted) = note(parts, notice, currency, now_ms).await? {
                return Ok(noted);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(StoreError::NumberInUse)
    }

    /// The database with the money of a payment; if none has it, the one with the order of
    /// its notice, the one with its failed attempt, or the first one. The order comes
    /// second, or a known payment that names another order would be taken for a new one.
    async fn database_of(&self, notice: &Notice) -> Result<&Database, StoreError> {
        let shards = self.shards();
        let mut failed = None;
        if shards.len() > 1 {
            for shard in shards {
                let state: Option<String> =
                    sqlx::query_scalar("SELECT state FROM payments WHERE id = ?")
                        .bind(notice.key())
                        .fetch_optional(shard.readers())
                        .await?;
                match state.as_deref() {
                    None => {}
                    Some(state) if state == State::Failed.as_str() => failed = Some(shard),
                    Some(_) => return Ok(shard),
                }
            }
            let order = notice.order_id().map_or(0, |order| order.0);
            for shard in shards {
                let found: Option<i64> = sqlx::query_scalar("SELECT id FROM orders WHERE id = ?")
                    .bind(signed(order))
                    .fetch_optional(shard.readers())
                    .await?;
                if found.is_some() {
                    return Ok(shard);
                }
            }
        }
        let first = || shards.first().unwrap_or(self.main());
        Ok(failed.unwrap_or_else(first))
    }
}

/// One attempt; `None` if the payment or its order changed meanwhile.
async fn note(
    (database, listeners, refund_stock): (&Database, Listeners<'_>, RefundStock),
    notice: &Notice,
    currency: Currency,
    now_ms: u64,
) -> Result<Option<Noted>, StoreError> {
    let key = notice.key();
    let mut transaction = database.begin().await?;
    let known = by_key(&mut transaction, &key).await?;
    if let Some(known) = known.as_ref() {
        let amount = known.amount(currency);
        // As it would be stored.
        let named = Notice {
            order: transaction.storable(&notice.order),
            ..notice.clone()
        };
        if named.contradicts(&known.order, amount, known.state) {
            transaction.rollback().await?;
            return Err(StoreError::OtherMoney(Box::new(known.clone()), amount));
        }
    }
    // A refund is of what its payment was for, and need not name it.
    let paid_for = known.as_ref().filter(|it| it.state != State::Failed);
    let paid_for = paid_for.and_then(|it| payment::order_id(&it.order));
    let order = match paid_for.or_else(|| notice.order_id()) {
        Some(id) => by_id(&mut transaction, id).await?,
        None => None,
    };
    let cost = |order: &Order| (order.state, Money::new(order.total_cents(), currency));
    let before = known.as_ref().map(|payment| payment.state);
    let stands = order.as_ref().map(cost);
    let decision = payment::decide(notice.reported, notice.amount, before, stands);
    if let (ProviderName::Shop, Decision::Record(State::RefundDue, reason)) =
        (notice.provider, decision)
    {
        // The shop's own page takes no money before this decision: no refund is due.
        transaction.rollback().await?;
        let payment = Payment::refused(notice, reason, now_ms);
        return Ok(Some(Noted { payment, order }));
    }
    let done = match decision {
        Decision::Keep(_) => true,
        Decision::Pay => {
            let id = order.as_ref().map_or(OrderId(0), |order| order.id);
            pay(&mut transaction, id, now_ms).await?
                && record(
                    &mut transaction,
                    notice,
                    before,
                    (State::Paid, None),
                    now_ms,
                )
                .await?
        }
        Decision::Record(state, reason) => {
            let paid_for = order.as_ref().filter(|_| is_returned(before, state));
            let follows = match paid_for {
                Some(order) => refund(&mut transaction, order, refund_stock, now_ms).await?,
                None => true,
            };
            follows && record(&mut transaction, notice, before, (state, reason), now_ms).await?
        }
    };
    if !done {
        transaction.rollback().await?;
        return Ok(None);
    }
    if let Reported::Refunded(part) = notice.reported {
        note_refunded(&mut transaction, &key, part, now_ms).await?;
    }
    let change = match decision {
        Decision::Pay => Some((Kind::Paid, "")),
        Decision::Record(State::RefundDue, _) => Some((Kind::RefundDue, key.as_str())),
        Decision::Record(state, _) if is_returned(before, state) => Some((Kind::Cancelled, "")),
        _ => None,
    };
    // An order that does not exist has no buyer to notify.
    if let (Some((kind, payment)), Some(order)) = (change, &order) {
        let orders = [order.id];
        listeners
            .announce(&mut transaction, &orders, kind, payment, now_ms)
            .await?;
    }
    let payment = by_key(&mut transaction, &key).await?;
    let order = match &order {
        Some(order) => by_id(&mut transaction, order.id).await?,
        None => None,
    };
    transaction.commit().await?;
    Ok(payment.map(|payment| Noted { payment, order }))
}

async fn pay(conn: &mut Session, id: OrderId, now_ms: u64) -> Result<bool, StoreError> {
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

/// Whether the money that paid an order was returned.
fn is_returned(before: Option<State>, now: State) -> bool {
    (before, now) == (Some(State::Paid), State::Refunded)
}

/// Cancels a paid order whose money was returned; `false` if it is not known yet whether
/// its items count as sold, so that they could not be for sale again.
async fn refund(
    conn: &mut Session,
    order: &Order,
    stock: RefundStock,
    now_ms: u64,
) -> Result<bool, StoreError> {
    if order.state != order::State::Paid {
        return Ok(true);
    }
    let query = match stock {
        RefundStock::Keep => {
            "UPDATE orders SET state = 'cancelled', reason = 'refunded', updated_ms = ? \
             WHERE id = ? AND state = 'paid'"
        }
        RefundStock::Release => {
            "UPDATE orders SET state = 'cancelled', reason = 'refunded', stock_due = 'release', \
             updated_ms = ? WHERE id = ? AND state = 'paid' AND stock_due IS NULL"
        }
    };
    let done = sqlx::query(query)
        .bind(signed(now_ms))
        .bind(signed(order.id.0))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Records how much of a payment was refunded in all. Notices may arrive out of order:
/// the largest amount is the latest.
async fn note_refunded(
    conn: &mut Session,
    key: &str,
    part: u64,
    now_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE payments SET refunded_cents = ?, updated_ms = ? \
         WHERE id = ? AND refunded_cents < ?",
    )
    .bind(signed(part))
    .bind(signed(now_ms))
    .bind(key)
    .bind(signed(part))
    .execute(conn)
    .await?;
    Ok(())
}

/// Updates a payment that is in state `before`, or inserts it; `false` if it has
/// changed meanwhile.
async fn record(
    conn: &mut Session,
    notice: &Notice,
    before: Option<State>,
    (state, reason): (State, Option<payment::Reason>),
    now_ms: u64,
) -> Result<bool, StoreError> {
    let (key, reason) = (notice.key(), reason.map(payment::Reason::as_str));
    let order = notice.order_id();
    let order_number = signed(order.map_or(0, |order| order.0));
    // A provider's texts may hold anything; money is not refused for one.
    let order_named = Some(&notice.order).filter(|_| order.is_none());
    let order_named = order_named.map(|named| conn.storable(named));
    if let Some(before) = before {
        // What a failed attempt was about may differ from what was paid in the end.
        if before == State::Failed {
            sqlx::query("UPDATE payments SET order_id = ?, order_named = ? WHERE id = ?")
                .bind(order_number)
                .bind(order_named)
                .bind(&key)
                .execute(&mut *conn)
                .await?;
        }
        let done = sqlx::query(
            "UPDATE payments SET state = ?, reason = ?, amount_cents = ?, currency = ?, \
             updated_ms = ? WHERE id = ? AND state = ?",
        )
        .bind(state.as_str())
        .bind(reason)
        .bind(signed(notice.amount.minor))
        .bind(notice.amount.currency.as_str())
        .bind(signed(now_ms))
        .bind(&key)
        .bind(before.as_str())
        .execute(conn)
        .await?;
        return Ok(done.rows_affected() == 1);
    }
    let named = Some(&notice.payment).filter(|id| **id != key);
    let named = named.map(|id| conn.storable(id));
    let done = sqlx::query(
        "INSERT INTO payments (id, order_id, amount_cents, state, reason, via, received_ms, \
         updated_ms, provider, provider_id, order_named, currency) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&key)
    .bind(order_number)
    .bind(signed(notice.amount.minor))
    .bind(state.as_str())
    .bind(reason)
    .bind(match notice.provider {
        ProviderName::Shop => "shop",
        _ => "provider",
    })
    .bind(signed(now_ms))
    .bind(signed(now_ms))
    .bind(notice.provider.as_str())
    .bind(named)
    .bind(order_named)
    .bind(notice.amount.currency.as_str())
    .execute(conn)
    .await
    .map_err(StoreError::from);
    match done {
        Err(error) if error.is_double() => Ok(false),
        done => done.map(|_| true),
    }
}
