//! Who learns of the changes of orders: written down in the transaction that changes
//! them, so that neither happens without the other.

use seckill_core::orders::notification::{Channel, Kind};
use seckill_core::orders::order::OrderId;
use seckill_core::signing::trace::TraceContext;
use sqlx::{Any, QueryBuilder};

use super::session::Session;
use super::{StoreError, signed};

/// Rows in one statement: as many as every kind of database takes.
const ROWS: usize = 500;

/// Who learns of the changes of orders.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listeners<'a> {
    /// The channels by which buyers are notified.
    pub(crate) channels: &'a [Channel],
    /// Whether the shop's own systems follow the orders.
    pub(crate) feed: bool,
}

impl Listeners<'_> {
    /// Whether there are none, so that nothing is to be written.
    pub(super) fn is_empty(self) -> bool {
        self.channels.is_empty() && !self.feed
    }

    /// Writes a change of these orders down.
    pub(super) async fn announce(
        self,
        conn: &mut Session,
        orders: &[OrderId],
        kind: Kind,
        payment: &str,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        for orders in orders.chunks(ROWS) {
            for channel in self.channels {
                notify(&mut *conn, *channel, orders, kind, payment, now_ms).await?;
            }
            // A purchase that failed has no order that anybody has seen.
            if self.feed && kind != Kind::Failed {
                feed(&mut *conn, orders, kind, payment, now_ms).await?;
            }
        }
        Ok(())
    }

    /// Notes the trace of an order's change beside its notifications.
    pub(super) async fn trace(
        self,
        conn: &mut Session,
        order: OrderId,
        kind: Kind,
        context: &TraceContext,
    ) -> Result<(), StoreError> {
        if self.channels.is_empty() {
            return Ok(());
        }
        let mut query = QueryBuilder::<Any>::new("UPDATE notices SET traceparent = ");
        query.push_bind(context.to_string());
        query.push(" WHERE order_id = ").push_bind(signed(order.0));
        query.push(" AND kind = ").push_bind(kind.as_str());
        query.build().execute(conn).await?;
        Ok(())
    }

    /// Writes down that those of these orders have expired which are cancelled. Some may
    /// have been cancelled by their delayed message meanwhile, and written down then.
    pub(super) async fn announce_expired(
        self,
        conn: &mut Session,
        orders: &[i64],
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let now = signed(now_ms);
        for channel in self.channels {
            let mut query = QueryBuilder::<Any>::new(
                "INSERT INTO notices (order_id, kind, payment, channel, state, attempts, due_ms, \
                 created_ms, updated_ms) SELECT id, 'cancelled', '', ",
            );
            query.push_bind(channel.as_str()).push(", 'waiting', 0, ");
            query.push_bind(now).push(", ").push_bind(now).push(", ");
            query.push_bind(now).push(" FROM orders");
            push_ids(&mut query, " WHERE state = 'cancelled' AND id IN (", orders);
            query.push(
                " AND NOT EXISTS (SELECT 1 FROM notices WHERE notices.order_id = orders.id \
                 AND notices.kind = 'cancelled' AND notices.channel = ",
            );
            query.push_bind(channel.as_str()).push(")");
            query.build().execute(&mut *conn).await?;
        }
        if self.feed {
            let mut query = QueryBuilder::<Any>::new(
                "INSERT INTO order_events (order_id, kind, payment, at_ms) \
                 SELECT id, 'cancelled', '', ",
            );
            query.push_bind(now).push(" FROM orders");
            push_ids(&mut query, " WHERE state = 'cancelled' AND id IN (", orders);
            query.push(
                " AND NOT EXISTS (SELECT 1 FROM order_events \
                 WHERE order_events.order_id = orders.id AND order_events.kind = 'cancelled')",
            );
            query.build().execute(&mut *conn).await?;
        }
        Ok(())
    }
}

async fn notify(
    conn: &mut Session,
    channel: Channel,
    orders: &[OrderId],
    kind: Kind,
    payment: &str,
    now_ms: u64,
) -> Result<(), StoreError> {
    let now = signed(now_ms);
    let mut query = QueryBuilder::<Any>::new(
        "INSERT INTO notices (order_id, kind, payment, channel, state, attempts, due_ms, \
         created_ms, updated_ms) ",
    );
    query.push_values(orders, |mut row, order| {
        row.push_bind(signed(order.0))
            .push_bind(kind.as_str())
            .push_bind(payment)
            .push_bind(channel.as_str())
            .push("'waiting', 0")
            .push_bind(now)
            .push_bind(now)
            .push_bind(now);
    });
    query.build().execute(conn).await?;
    Ok(())
}

async fn feed(
    conn: &mut Session,
    orders: &[OrderId],
    kind: Kind,
    payment: &str,
    now_ms: u64,
) -> Result<(), StoreError> {
    let mut query =
        QueryBuilder::<Any>::new("INSERT INTO order_events (order_id, kind, payment, at_ms) ");
    query.push_values(orders, |mut row, order| {
        row.push_bind(signed(order.0))
            .push_bind(kind.as_str())
            .push_bind(payment)
            .push_bind(signed(now_ms));
    });
    query.build().execute(conn).await?;
    Ok(())
}

/// Pushes a list of ids after `before`, which opens it.
pub(super) fn push_ids(query: &mut QueryBuilder<Any>, before: &'static str, ids: &[i64]) {
    query.push(before);
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    query.push(")");
}
