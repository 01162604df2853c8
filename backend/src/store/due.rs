//! What the stock has to follow: a purchase, and where its items go.

use seckill_core::ids::Item;
use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::purchase::Reason;

/// A purchase whose stock is to move. Buyer, request and time together name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bought {
    /// Round and product.
    pub item: Item,
    /// The segment that locked its stock.
    pub segment: u16,
    /// Buyer.
    pub user: String,
    /// Request id.
    pub request: String,
    /// When the stock was locked, epoch milliseconds by Redis's clock.
    pub at_ms: u64,
    /// The order's number; empty if none was placed.
    pub order: String,
}

impl Bought {
    /// The purchase of a message; `None` if its ids are no ids, so that it can
    /// have locked no stock.
    #[must_use]
    pub fn of(message: &OrderMessage) -> Option<Self> {
        Some(Self {
            item: Item::new(&message.round, &message.product)?,
            segment: message.segment,
            user: message.user.clone(),
            request: message.request.clone(),
            at_ms: message.at_ms,
            order: String::new(),
        })
    }
}

/// Where the stock of a purchase goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Locked to sold.
    Confirm,
    /// Locked to for sale, for this reason. The buyer may grab again, and the
    /// permit goes back.
    Release(Reason),
}
