//! The shop's own inventory: where items for a sale are chosen, and where they are held
//! from the approval until the round is over.
//!
//! A hold has a name, and each call for it may be repeated. It is on record before the
//! inventory is called, so that a crash leaves nothing held that nobody knows of.

use serde::Deserialize;

use crate::store::StoreError;

/// Holding items for rounds, returning them, comparing.
pub mod holds;
/// The adapter over HTTP.
pub mod http;

pub use http::HttpInventory;

/// An item of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Offer {
    /// The inventory's name for it.
    pub sku: String,
    /// What shoppers call it.
    pub title: String,
    /// Its description.
    #[serde(default)]
    pub text: String,
    /// The address of its picture; empty for none.
    #[serde(default)]
    pub picture: String,
    /// What the picture shows, in words; empty for the title.
    #[serde(default)]
    pub picture_alt: String,
    /// Its usual price, in minor units.
    pub price_cents: u64,
    /// Items that can be held.
    pub available: u64,
}

/// What the inventory says of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Held {
    /// Items that it holds, or held before it was settled.
    pub amount: u64,
    /// Whether it is settled.
    #[serde(default)]
    pub settled: bool,
    /// Items that were sold, once it is settled.
    #[serde(default)]
    pub sold: u64,
    /// Items that were returned, once it is settled.
    #[serde(default)]
    pub returned: u64,
}

/// Why the inventory did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// It is away, or its reply cannot be read: the outcome is unknown, and the same call
    /// may be repeated.
    #[error("the inventory is away: {0}")]
    Away(String),
    /// It refuses; a repetition does not help.
    #[error("the inventory refuses: {0}")]
    Refused(String),
}

/// The inventory of a shop.
pub trait Inventory: Send + Sync {
    /// Items whose title or SKU has this text; all of them if it is empty.
    fn items(
        &self,
        search: &str,
    ) -> impl Future<Output = Result<Vec<Offer>, InventoryError>> + Send;

    /// The item of this name.
    fn item(&self, sku: &str)
    -> impl Future<Output = Result<Option<Offer>, InventoryError>> + Send;

    /// Holds items under this name; the same name again holds nothing more. Returns what
    /// is held.
    fn hold(
        &self,
        id: &str,
        sku: &str,
        amount: u64,
    ) -> impl Future<Output = Result<Held, InventoryError>> + Send;

    /// Settles a hold: `sold` items stay gone, `returned` ones can be sold elsewhere. The
    /// same again changes nothing.
    fn settle(
        &self,
        id: &str,
        sold: u64,
        returned: u64,
    ) -> impl Future<Output = Result<(), InventoryError>> + Send;

    /// What is held under this name; `None` if there is no such hold.
    fn held(&self, id: &str) -> impl Future<Output = Result<Option<Held>, InventoryError>> + Send;
}

/// Why the items of a round are not held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The inventory holds another amount than it was asked for.
    #[error(
        "the inventory holds {held} items of \"{sku}\", and the round needs {asked}; what it holds is returned. Lower the amount, or ask the people who run the inventory why"
    )]
    Amount {
        /// The inventory's name for the product.
        sku: String,
        /// The amount of the round.
        asked: u64,
        /// What it holds.
        held: u64,
    },
    /// The inventory refuses, or it is not known what it did.
    #[error("\"{sku}\" is not held: {source}")]
    Inventory {
        /// The inventory's name for the product.
        sku: String,
        /// What it said.
        source: InventoryError,
    },
    /// The database is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A product id for an item of the inventory: its SKU where that can be one, and otherwise
/// what of the SKU can, with a number behind it that differs from SKU to SKU.
#[must_use]
pub fn product_id(sku: &str) -> String {
    const SHORT: usize = 20;
    if seckill_core::ids::is_id(sku) {
        return sku.to_owned();
    }
    let plain = sku
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    let plain: String = plain.take(SHORT).collect();
    let number = sku.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{plain}_{:08x}", number >> 32)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_sku_makes_a_product_id_of_its_own() {
        assert_eq!(product_id("153"), "153");
        let long = "x".repeat(200);
        let skus = ["a-b", "a b", "a/b", "手机", "电脑", "", &long];
        let ids: HashSet<String> = skus.iter().map(|sku| product_id(sku)).collect();
        assert_eq!(ids.len(), skus.len());
        assert!(ids.iter().all(|id| seckill_core::ids::is_id(id)), "{ids:?}");
    }
}
