//! Orders in the database.

use seckill_core::ids::Item;
use seckill_core::message::OrderMessage;
use seckill_core::order::{OrderId, State};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Store, StoreError};

/// An order to be placed.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// The number it gets, if it is new.
    pub id: OrderId,
    /// The purchase it is made from.
    pub purchase: OrderMessage,
}

/// What became of an order that was to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It was written.
    New(OrderId),
    /// The same purchase was placed before, under this number.
    Before(OrderId),
    /// The buyer has a live order for this product from another purchase, this one.
    Taken(OrderId),
}

/// An order as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub id: OrderId,
    /// Request id of the purchase.
    pub request: String,
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// Stock segment.
    pub segment: u16,
    /// Buyer.
    pub user: String,
    /// Items.
    pub quantity: u32,
    /// Price of one item in cents.
    pub price_cents: u64,
    /// Where it stands.
    pub state: State,
    /// When it was placed, epoch milliseconds.
    pub created_ms: u64,
}

/// A query for whole orders, with what follows `FROM orders`.
macro_rules! select_orders {
    ($tail:literal) => {
        sqlx::query(concat!(
            "SELECT id, request, round, product, segment, user, quantity, price_cents, state, ",
            "created_ms FROM orders ",
            $tail
        ))
    };
}

impl Store {
    /// Places orders in one transaction: all that are returned are committed.
    /// Placing a purchase again changes nothing and tells its number.
    ///
    /// # Errors
    /// Nothing was placed. See [`StoreError::is_passing`] whether to try again.
    pub async fn place_batch(
        &self,
        batch: &[NewOrder],
        now_ms: u64,
    ) -> Result<Vec<Placed>, StoreError> {
        let mut transaction = self.writer().begin_with("BEGIN IMMEDIATE").await?;
        let mut placed = Vec::with_capacity(batch.len());
        for order in batch {
            placed.push(place(&mut transaction, order, now_ms).await?);
        }
        transaction.commit().await?;
        Ok(placed)
    }

    /// The order of this number, if it is this buyer's.
    ///
    /// # Errors
    /// The database is away, or the row cannot be read.
    pub async fn order(&self, user: &str, id: OrderId) -> Result<Option<Order>, StoreError> {
        let query = select_orders!("WHERE id = ? AND user = ?")
            .bind(signed(id.0))
            .bind(user);
        query
            .fetch_optional(self.readers())
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// The buyer's orders, newest first: up to `limit` after the first `skip`.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn orders_of(
        &self,
        user: &str,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Order>, StoreError> {
        let query = select_orders!("WHERE user = ? ORDER BY id DESC LIMIT ? OFFSET ?");
        let rows = query
            .bind(user)
            .bind(limit)
            .bind(skip)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(read).collect()
    }

    /// The buyer's latest order for a product in a round.
    ///
    /// # Errors
    /// The database is away, or the row cannot be read.
    pub async fn latest_order(&self, user: &str, item: &Item) -> Result<Option<Order>, StoreError> {
        let query =
            select_orders!("WHERE user = ? AND round = ? AND product = ? ORDER BY id DESC LIMIT 1");
        let query = query.bind(user).bind(item.round()).bind(item.product());
        query
            .fetch_optional(self.readers())
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// How many orders there are for a product in a round, cancelled ones left out.
    ///
    /// # Errors
    /// The database is away.
    pub async fn live_orders(&self, item: &Item) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM orders WHERE round = ? AND product = ? AND state <> 'cancelled'",
        )
        .bind(item.round())
        .bind(item.product())
        .fetch_one(self.readers())
        .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

async fn place(
    conn: &mut SqliteConnection,
    order: &NewOrder,
    now_ms: u64,
) -> Result<Placed, StoreError> {
    let purchase = &order.purchase;
    let inserted = sqlx::query(
        "INSERT INTO orders (id, request, round, product, segment, user, quantity, price_cents, \
         permit, state, locked_ms, created_ms, updated_ms) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'created', ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(signed(order.id.0))
    .bind(&purchase.request)
    .bind(&purchase.round)
    .bind(&purchase.product)
    .bind(purchase.segment)
    .bind(&purchase.user)
    .bind(purchase.quantity)
    .bind(signed(purchase.price_cents))
    .bind(&purchase.permit)
    .bind(signed(purchase.at_ms))
    .bind(signed(now_ms))
    .bind(signed(now_ms))
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Placed::New(order.id));
    }
    find_in_the_way(conn, purchase).await
}

/// What an insert met: the same purchase, or the buyer's other live order.
async fn find_in_the_way(
    conn: &mut SqliteConnection,
    purchase: &OrderMessage,
) -> Result<Placed, StoreError> {
    let found: Option<(i64, bool)> = sqlx::query_as(
        "SELECT id, request = ? AS same FROM orders WHERE round = ? AND product = ? AND user = ? \
         AND (request = ? OR (type = 'seckill' AND state <> 'cancelled')) \
         ORDER BY same DESC LIMIT 1",
    )
    .bind(&purchase.request)
    .bind(&purchase.round)
    .bind(&purchase.product)
    .bind(&purchase.user)
    .bind(&purchase.request)
    .fetch_optional(conn)
    .await?;
    match found {
        Some((id, true)) => Ok(Placed::Before(OrderId(unsigned(id)))),
        Some((id, false)) => Ok(Placed::Taken(OrderId(unsigned(id)))),
        // Neither: the number itself is in use. Another one will be drawn.
        None => Err(StoreError::NumberInUse),
    }
}

fn read(row: &SqliteRow) -> Result<Order, StoreError> {
    let id: i64 = row.try_get("id")?;
    let state: String = row.try_get("state")?;
    let Some(state) = State::parse(&state) else {
        return Err(StoreError::Row {
            table: "orders",
            id,
            column: "state",
            value: state,
        });
    };
    Ok(Order {
        id: OrderId(unsigned(id)),
        request: row.try_get("request")?,
        round: row.try_get("round")?,
        product: row.try_get("product")?,
        segment: row.try_get("segment")?,
        user: row.try_get("user")?,
        quantity: row.try_get("quantity")?,
        price_cents: unsigned(row.try_get("price_cents")?),
        state,
        created_ms: unsigned(row.try_get("created_ms")?),
    })
}

/// SQL integers are signed; ours stay below 2^63, and one that does not is
/// kept apart from every real one rather than wrapped around.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
