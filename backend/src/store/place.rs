//! Placing a batch of orders, or failing a batch of purchases.
//!
//! The batch is written by one statement. If that conflicts with an existing row,
//! which only a redelivery should cause, the orders are written one by one.

use std::collections::HashMap;

use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::notification::Kind;
use seckill_core::orders::order::{OrderId, State};
use seckill_core::orders::purchase::Reason;
use seckill_core::signing::trace::TraceContext;
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row as _};

use super::listeners::Listeners;
use super::orders::{NewOrder, Placed, StockDue};
use super::session::Session;
use super::{Database, Store, StoreError, signed, unsigned};

/// Most orders in one statement: each database limits its parameters, and this is
/// far below all the limits.
const ROWS: usize = 500;

/// The state in which each order of a batch is written.
#[derive(Clone, Copy)]
enum Outcome {
    /// The order is placed.
    Created,
    /// The purchase is failed; its stock is to be released.
    Failed(Reason),
}

impl Outcome {
    /// The notification that the buyer gets.
    fn kind(self) -> Kind {
        match self {
            Outcome::Created => Kind::Ordered,
            Outcome::Failed(_) => Kind::Failed,
        }
    }
}

impl Store {
    /// Places orders: all that are returned are committed, each database's share
    /// in one transaction. Placing a purchase again changes nothing and returns the
    /// number of its order.
    ///
    /// # Errors
    /// Not all were placed, most often none. A retry may succeed if
    /// [`StoreError::is_passing`]; orders that were placed do it no harm.
    pub async fn place_batch(
        &self,
        batch: &[NewOrder],
        now_ms: u64,
    ) -> Result<Vec<Placed>, StoreError> {
        self.write(batch, Outcome::Created, now_ms).await
    }

    /// Fails these purchases, so that their stock is released and no order is ever
    /// placed from their messages: a later delivery returns [`Placed::Failed`]. A
    /// purchase that was placed before keeps its order: [`Placed::Before`].
    ///
    /// The caller releases the stock; until then, also after a crash, the release is
    /// on record as due.
    ///
    /// # Errors
    /// See [`Store::place_batch`].
    pub async fn fail_batch(
        &self,
        batch: &[NewOrder],
        reason: Reason,
        now_ms: u64,
    ) -> Result<Vec<Placed>, StoreError> {
        self.write(batch, Outcome::Failed(reason), now_ms).await
    }

    async fn write(
        &self,
        batch: &[NewOrder],
        outcome: Outcome,
        now_ms: u64,
    ) -> Result<Vec<Placed>, StoreError> {
        let mut shares: HashMap<usize, Vec<usize>> = HashMap::new();
        for (place, order) in batch.iter().enumerate() {
            let shard = self.shard_of(&order.purchase.user);
            shares.entry(shard).or_default().push(place);
        }
        let mut placed = vec![Placed::Failed; batch.len()];
        for (shard, places) in shares {
            let share: Vec<&NewOrder> = places.iter().filter_map(|it| batch.get(*it)).collect();
            let Some(database) = self.shards().get(shard) else {
                continue;
            };
            let written =
                write_share((database, self.listeners()), &share, outcome, now_ms).await?;
            for (place, one) in places.into_iter().zip(written) {
                if let Some(slot) = placed.get_mut(place) {
                    *slot = one;
                }
            }
        }
        Ok(placed)
    }
}

async fn write_share(
    (database, listeners): (&Database, Listeners<'_>),
    share: &[&NewOrder],
    outcome: Outcome,
    now_ms: u64,
) -> Result<Vec<Placed>, StoreError> {
    match write_at_once((database, listeners), share, outcome, now_ms).await {
        Err(error) if error.is_double() => {}
        done => return done,
    }
    let mut transaction = database.begin().await?;
    let mut placed = Vec::with_capacity(share.len());
    for order in share {
        placed.push(write_one(&mut transaction, listeners, order, outcome, now_ms).await?);
    }
    transaction.commit().await?;
    Ok(placed)
}

async fn write_at_once(
    (database, listeners): (&Database, Listeners<'_>),
    share: &[&NewOrder],
    outcome: Outcome,
    now_ms: u64,
) -> Result<Vec<Placed>, StoreError> {
    if listeners.is_empty() && share.len() <= ROWS {
        // One statement is a transaction, two round trips shorter.
        insert(
            &mut database.writer().acquire().await?,
            share,
            outcome,
            now_ms,
        )
        .await?;
        return Ok(share.iter().map(|order| written(order, outcome)).collect());
    }
    let mut transaction = database.begin().await?;
    for rows in share.chunks(ROWS) {
        insert(&mut transaction, rows, outcome, now_ms).await?;
    }
    let ids: Vec<OrderId> = share.iter().map(|order| order.id).collect();
    listeners
        .announce(&mut transaction, &ids, outcome.kind(), "", now_ms)
        .await?;
    trace(&mut transaction, listeners, share, outcome).await?;
    transaction.commit().await?;
    Ok(share.iter().map(|order| written(order, outcome)).collect())
}

async fn write_one(
    conn: &mut Session,
    listeners: Listeners<'_>,
    order: &NewOrder,
    outcome: Outcome,
    now_ms: u64,
) -> Result<Placed, StoreError> {
    conn.savepoint().await?;
    match insert(&mut *conn, &[order], outcome, now_ms).await {
        Ok(()) => {
            conn.keep().await?;
            listeners
                .announce(&mut *conn, &[order.id], outcome.kind(), "", now_ms)
                .await?;
            trace(conn, listeners, &[order], outcome).await?;
            Ok(written(order, outcome))
        }
        Err(error) if error.is_double() => {
            conn.undo().await?;
            find_conflict(conn, &order.purchase).await
        }
        Err(error) => Err(error),
    }
}

/// Notes the traces of those orders that are sampled.
async fn trace(
    conn: &mut Session,
    listeners: Listeners<'_>,
    orders: &[&NewOrder],
    outcome: Outcome,
) -> Result<(), StoreError> {
    for order in orders {
        let traceparent = order.purchase.traceparent.as_deref();
        if let Some(context) = traceparent.and_then(TraceContext::parse) {
            let kind = outcome.kind();
            listeners
                .trace(&mut *conn, order.id, kind, &context)
                .await?;
        }
    }
    Ok(())
}

fn written(order: &NewOrder, outcome: Outcome) -> Placed {
    match outcome {
        Outcome::Created => Placed::New(order.id),
        Outcome::Failed(_) => Placed::Failed,
    }
}

async fn insert(
    conn: &mut Session,
    rows: &[&NewOrder],
    outcome: Outcome,
    now_ms: u64,
) -> Result<(), StoreError> {
    let (state, reason, due) = match outcome {
        Outcome::Created => (State::Created, None, None),
        Outcome::Failed(reason) => (State::Failed, Some(reason), Some(StockDue::Release)),
    };
    let now = signed(now_ms);
    let mut query = QueryBuilder::<Any>::new(
        "INSERT INTO orders (id, request, round, product, segment, user, quantity, price_cents, \
         permit, state, reason, stock_due, pay_by_ms, locked_ms, created_ms, updated_ms) ",
    );
    query.push_values(rows, |mut row, order| {
        let purchase = &order.purchase;
        row.push_bind(signed(order.id.0))
            .push_bind(purchase.request.as_str())
            .push_bind(purchase.round.as_str())
            .push_bind(purchase.product.as_str())
            .push_bind(i64::from(purchase.segment))
            .push_bind(purchase.user.as_str())
            .push_bind(i64::from(purchase.quantity))
            .push_bind(signed(purchase.price_cents))
            .push_bind(purchase.permit.as_str())
            .push_bind(state.as_str())
            .push_bind(reason.map(Reason::as_str))
            .push_bind(due.map(StockDue::as_str))
            .push_bind(signed(order.pay_by_ms))
            .push_bind(signed(purchase.at_ms))
            .push_bind(now)
            .push_bind(now);
    });
    query.build().execute(conn).await?;
    Ok(())
}

/// Finds the row that an insert conflicts with: the same purchase, or the buyer's
/// other live order.
async fn find_conflict(conn: &mut Session, purchase: &OrderMessage) -> Result<Placed, StoreError> {
    let locked = signed(purchase.at_ms);
    let rows: Vec<AnyRow> = sqlx::query(
        "SELECT id, state, request, locked_ms FROM orders
         WHERE round = ? AND product = ? AND user = ?
         AND ((request = ? AND locked_ms = ?)
              OR (type = 'seckill' AND state IN ('created', 'paid')))",
    )
    .bind(&purchase.round)
    .bind(&purchase.product)
    .bind(&purchase.user)
    .bind(&purchase.request)
    .bind(locked)
    .fetch_all(conn)
    .await?;
    let mut other = None;
    for row in &rows {
        let id = OrderId(unsigned(row.try_get(0)?));
        let (state, request): (String, String) = (row.try_get(1)?, row.try_get(2)?);
        if request == purchase.request && row.try_get::<i64, _>(3)? == locked {
            return Ok(match State::parse(&state) {
                Some(State::Failed) => Placed::Failed,
                _ => Placed::Before(id),
            });
        }
        other = Some(id);
    }
    // Neither: the order number is in use. Another one will be drawn.
    other.map(Placed::Taken).ok_or(StoreError::NumberInUse)
}
