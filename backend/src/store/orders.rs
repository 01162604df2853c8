//! Orders: their records, and reading them.

use seckill_core::ids::Item;
use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::order::{OrderId, State};
use seckill_core::orders::purchase::Reason;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::due::{Bought, Step};
use super::{Store, StoreError, signed, unsigned};

/// An order to be placed.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// Its number, unless the purchase has an order already.
    pub id: OrderId,
    /// The purchase it is made from.
    pub purchase: OrderMessage,
    /// The deadline for its payment, epoch milliseconds.
    pub pay_by_ms: u64,
}

/// The outcome of placing an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It was inserted.
    New(OrderId),
    /// The same purchase was placed before, under this number.
    Before(OrderId),
    /// The buyer has this live order for the product, from another purchase.
    Taken(OrderId),
    /// The purchase was failed before; its stock is released, or was.
    Failed,
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
    /// The buyer's written id.
    pub user: String,
    /// How many items were bought.
    pub quantity: u32,
    /// Price of one item in cents.
    pub price_cents: u64,
    /// Permit of the purchase; empty if there was none.
    pub permit: String,
    /// Its state.
    pub state: State,
    /// Why it was cancelled or failed.
    pub reason: Option<Reason>,
    /// What the stock has still to follow; `None` if nothing.
    pub stock_due: Option<StockDue>,
    /// The deadline for its payment, epoch milliseconds.
    pub pay_by_ms: u64,
    /// When the stock was locked, epoch milliseconds.
    pub locked_ms: u64,
    /// When it was placed, epoch milliseconds.
    pub created_ms: u64,
}

/// What the stock in Redis has still to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockDue {
    /// Paid: the items count as sold.
    Confirm,
    /// Cancelled or failed: the items are for sale again.
    Release,
    /// Redis knows no such purchase: a person has to investigate.
    Lost,
}

impl StockDue {
    /// Its stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StockDue::Confirm => "confirm",
            StockDue::Release => "release",
            StockDue::Lost => "lost",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [StockDue::Confirm, StockDue::Release, StockDue::Lost]
            .into_iter()
            .find(|due| due.as_str() == text)
    }
}

impl Order {
    /// Its total price, in cents.
    #[must_use]
    pub fn total_cents(&self) -> u64 {
        self.price_cents.saturating_mul(u64::from(self.quantity))
    }

    /// Its purchase, and the step of the stock that is due; `None` if none is, or if
    /// an id is malformed, so that there is no stock.
    #[must_use]
    pub fn step_due(&self) -> Option<(Bought, Step)> {
        let step = match self.stock_due? {
            StockDue::Confirm => Step::Confirm,
            StockDue::Release => Step::Release(self.reason.unwrap_or(Reason::Cancelled)),
            StockDue::Lost => return None,
        };
        let bought = Bought {
            item: Item::new(&self.round, &self.product)?,
            segment: self.segment,
            user: self.user.clone(),
            request: self.request.clone(),
            at_ms: self.locked_ms,
            // The number of an order that was never placed was never shown.
            order: match self.state {
                State::Failed => String::new(),
                _ => self.id.to_string(),
            },
        };
        Some((bought, step))
    }
}

/// A query for whole orders; its argument follows `FROM orders`.
macro_rules! select_orders {
    ($tail:literal) => {
        sqlx::query(concat!(
            "SELECT id, request, round, product, segment, user, quantity, price_cents, permit, ",
            "state, reason, stock_due, pay_by_ms, locked_ms, created_ms FROM orders ",
            $tail
        ))
    };
}
pub(super) use select_orders;

impl Store {
    /// The order of this number, if it is this buyer's and was placed.
    ///
    /// # Errors
    /// The database is away, or the row cannot be read.
    pub async fn order(&self, user: &str, id: OrderId) -> Result<Option<Order>, StoreError> {
        let query = select_orders!("WHERE id = ? AND user = ? AND state <> 'failed'")
            .bind(signed(id.0))
            .bind(user);
        let row = query.fetch_optional(self.orders_db(user).readers()).await?;
        row.as_ref().map(read).transpose()
    }

    /// Whether there is an order of this number, also if it is failed.
    ///
    /// # Errors
    /// A database is away.
    pub async fn has_order(&self, id: OrderId) -> Result<bool, StoreError> {
        for shard in self.shards() {
            let found: Option<i64> = sqlx::query_scalar("SELECT id FROM orders WHERE id = ?")
                .bind(signed(id.0))
                .fetch_optional(shard.readers())
                .await?;
            if found.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
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
        let query = select_orders!(
            "WHERE user = ? AND state <> 'failed' ORDER BY id DESC LIMIT ? OFFSET ?"
        );
        let rows = query
            .bind(user)
            .bind(i64::from(limit))
            .bind(i64::from(skip))
            .fetch_all(self.orders_db(user).readers())
            .await?;
        rows.iter().map(read).collect()
    }

    /// The order of the buyer's latest purchase of a product in a round, also if it
    /// failed.
    ///
    /// # Errors
    /// The database is away, or the row cannot be read.
    pub async fn latest_order(&self, user: &str, item: &Item) -> Result<Option<Order>, StoreError> {
        let query =
            select_orders!("WHERE user = ? AND round = ? AND product = ? ORDER BY id DESC LIMIT 1");
        let query = query.bind(user).bind(item.round()).bind(item.product());
        let row = query.fetch_optional(self.orders_db(user).readers()).await?;
        row.as_ref().map(read).transpose()
    }

    /// Every order for a product in a round, including failed ones.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn all_orders(&self, item: &Item) -> Result<Vec<Order>, StoreError> {
        let mut orders = Vec::new();
        for shard in self.shards() {
            let rows = select_orders!("WHERE round = ? AND product = ? ORDER BY id")
                .bind(item.round())
                .bind(item.product())
                .fetch_all(shard.readers())
                .await?;
            for row in &rows {
                orders.push(read(row)?);
            }
        }
        Ok(orders)
    }

    /// The number of orders for a product in a round that are created or paid.
    ///
    /// # Errors
    /// The database is away.
    pub async fn live_orders(&self, item: &Item) -> Result<u64, StoreError> {
        let mut live = 0;
        for shard in self.shards() {
            let count: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM orders
                 WHERE round = ? AND product = ? AND state IN ('created', 'paid')",
            )
            .bind(item.round())
            .bind(item.product())
            .fetch_one(shard.readers())
            .await?;
            live += unsigned(count);
        }
        Ok(live)
    }
}

/// Reads a row of [`select_orders`].
pub(super) fn read(row: &AnyRow) -> Result<Order, StoreError> {
    let id: i64 = row.try_get("id")?;
    let unreadable = |column, value| StoreError::Row {
        table: "orders",
        id: id.to_string(),
        column,
        value,
    };
    let state: String = row.try_get("state")?;
    let state = State::parse(&state).ok_or_else(|| unreadable("state", state))?;
    let due: Option<String> = row.try_get("stock_due")?;
    let stock_due = match due {
        Some(text) => Some(StockDue::parse(&text).ok_or_else(|| unreadable("stock_due", text))?),
        None => None,
    };
    let reason: Option<String> = row.try_get("reason")?;
    let number = |column| -> Result<u64, sqlx::Error> { Ok(unsigned(row.try_get(column)?)) };
    let small = |column, value: u64| {
        u32::try_from(value).map_err(|_| unreadable(column, value.to_string()))
    };
    let segment = small("segment", number("segment")?)?;
    Ok(Order {
        id: OrderId(unsigned(id)),
        request: row.try_get("request")?,
        round: row.try_get("round")?,
        product: row.try_get("product")?,
        segment: u16::try_from(segment).map_err(|_| unreadable("segment", segment.to_string()))?,
        user: row.try_get("user")?,
        quantity: small("quantity", number("quantity")?)?,
        price_cents: number("price_cents")?,
        permit: row.try_get("permit")?,
        state,
        reason: reason.as_deref().and_then(Reason::parse),
        stock_due,
        pay_by_ms: number("pay_by_ms")?,
        locked_ms: number("locked_ms")?,
        created_ms: number("created_ms")?,
    })
}
