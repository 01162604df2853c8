//! The purchases whose stock is to be confirmed or released.

use seckill_core::ids::Item;
use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::purchase::Reason;

/// A purchase whose stock is to be confirmed or released. Buyer, request and time
/// together name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bought {
    /// Round and product.
    pub item: Item,
    /// The segment that locked its stock.
    pub segment: u16,
    /// The buyer's written id.
    pub user: String,
    /// Request id.
    pub request: String,
    /// When the stock was locked, epoch milliseconds by Redis's clock.
    pub at_ms: u64,
    /// The order's number; empty if none was placed.
    pub order: String,
}

impl Bought {
    /// The purchase of a message; `None` if an id is malformed, so that no stock can
    /// have been locked.
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

/// The change of a purchase's stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Locked items become sold.
    Confirm,
    /// Locked items are for sale again, for this reason. The permit is returned, and
    /// the buyer may purchase again.
    Release(Reason),
}
