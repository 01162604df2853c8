//! The request that a record of the journal carries: all that the stock script needs,
//! as it was when the request was admitted.

use serde::{Deserialize, Serialize};

use crate::ids::{self, Item};
use crate::permits::permit::PermitId;

/// An admitted purchase request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// When it was admitted, epoch milliseconds.
    pub at_ms: u64,
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// The buyer's segment.
    pub segment: u16,
    /// How many segments the product has.
    pub segments: u16,
    /// The buyer's written id.
    pub user: String,
    /// Request id.
    pub request: String,
    /// Items, at least 1.
    pub quantity: u32,
    /// Cents an item.
    pub price_cents: u64,
    /// The permit; empty if the edge was bypassed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub permit: String,
    /// The captcha pass that it spends, if one was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Pass>,
    /// The trace that it belongs to, as a `traceparent`; `None` if it is not sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// A captcha pass that was verified and is still to be spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// Its nonce.
    pub nonce: String,
    /// Until when it is good, epoch milliseconds.
    pub expires_ms: u64,
}

impl Request {
    /// The body of its record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Strings and numbers only: there is nothing in it that could fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a body. Ids are checked again, since keys are built from them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let request: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let Self { permit, pass, .. } = &request;
        let sound = request.item().is_some()
            && ids::is_user(&request.user)
            && ids::is_request(&request.request)
            && request.quantity >= 1
            && (1..=request.segments).contains(&request.segment)
            && (permit.is_empty() || PermitId::parse(permit).is_some())
            && pass.as_ref().is_none_or(|pass| {
                !pass.nonce.is_empty() && pass.nonce.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
        match sound {
            true => Ok(request),
            false => Err(format!(
                "the request \"{}\" of \"{}\" for \"{}::{}\" has a field that cannot be used",
                request.request, request.user, request.round, request.product
            )),
        }
    }

    /// The product.
    #[must_use]
    pub fn item(&self) -> Option<Item> {
        Item::new(&self.round, &self.product)
    }
}
