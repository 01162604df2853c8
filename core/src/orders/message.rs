//! Events of a stock segment. `purchase.lua` appends them to the outbox as
//! stream fields; the relay turns them into JSON for the queue.

use serde::{Deserialize, Serialize};

/// The version this code writes and reads.
pub const VERSION: u32 = 1;

/// Stock was locked for a buyer: an order is to be placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderMessage {
    /// Version of this message; a reader refuses a newer one than it knows.
    pub v: u32,
    /// Request id: the same purchase always carries the same one.
    pub request: String,
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// Segment that locked the stock.
    pub segment: u16,
    /// The buyer's written id.
    pub user: String,
    /// How many items were bought.
    pub quantity: u32,
    /// Price of one item in cents.
    pub price_cents: u64,
    /// Permit it was admitted with.
    pub permit: String,
    /// When the stock was locked, epoch milliseconds.
    pub at_ms: u64,
    /// The number that its order gets, which its buyer may know before there is one;
    /// `None` if the purchase was made without, so that whoever places it draws one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
    /// The trace that the purchase belongs to, as a `traceparent`; `None` if it is not
    /// sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// When the relay published it, epoch microseconds; only in a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relayed_us: Option<u64>,
}

/// An order was placed: it is cancelled when this message is due, unless it is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelMessage {
    /// Version of this message; a reader refuses a newer one than it knows.
    pub v: u32,
    /// The order's number.
    pub order: u64,
    /// The buyer's written id.
    pub user: String,
}

/// Why a message cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Not JSON, or a field is missing or of the wrong type.
    #[error("the message does not parse: {0}")]
    Shape(#[from] serde_json::Error),
    /// Written by a newer version.
    #[error("the message has version {0}, this worker reads up to {VERSION}; upgrade it")]
    Newer(u32),
}

impl OrderMessage {
    /// The message as JSON for the queue.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and numbers only: there is nothing in it that could fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the JSON.
    ///
    /// # Errors
    /// [`MessageError`]; such a message goes to the dead letters.
    pub fn parse(text: &[u8]) -> Result<Self, MessageError> {
        parse(text)
    }
}

impl CancelMessage {
    /// The message as JSON for the queue.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the JSON.
    ///
    /// # Errors
    /// [`MessageError`]; such a message goes to the dead letters.
    pub fn parse(text: &[u8]) -> Result<Self, MessageError> {
        parse(text)
    }
}

/// Reads the version before anything else: a newer form may have any fields.
fn parse<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, MessageError> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
    }
    let Versioned { v } = serde_json::from_slice(text)?;
    if v > VERSION {
        Err(MessageError::Newer(v))
    } else {
        Ok(serde_json::from_slice(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_an_older_version_has_no_order_number() {
        let text = r#"{"v":1,"request":"r","round":"1","product":"153","segment":1,
            "user":"li","quantity":1,"price_cents":5,"permit":"","at_ms":7}"#;
        let message = OrderMessage::parse(text.as_bytes()).unwrap();
        assert_eq!(message.order, None);
        assert!(!message.to_json().contains("order"), "{message:?}");
        let numbered = OrderMessage {
            order: Some(u64::MAX >> 1),
            ..message
        };
        let parsed = OrderMessage::parse(numbered.to_json().as_bytes());
        assert_eq!(parsed.unwrap(), numbered);
    }

    #[test]
    fn a_trace_is_read_by_those_that_know_it_and_ignored_by_the_others() {
        let text = r#"{"v":1,"request":"r","round":"1","product":"153","segment":1,
            "user":"li","quantity":1,"price_cents":5,"permit":"","at_ms":7,
            "of_a_later_version":true}"#;
        let untraced = OrderMessage::parse(text.as_bytes()).unwrap();
        assert_eq!((&untraced.traceparent, untraced.relayed_us), (&None, None));
        assert!(!untraced.to_json().contains("trace"), "{untraced:?}");
        let traced = OrderMessage {
            traceparent: Some("00-ab-cd-01".to_owned()),
            relayed_us: Some(8),
            ..untraced
        };
        let parsed = OrderMessage::parse(traced.to_json().as_bytes()).unwrap();
        assert_eq!(parsed, traced);
    }

    #[test]
    fn a_newer_message_is_named_as_such() {
        let error = OrderMessage::parse(br#"{"v":9,"surprise":true}"#).unwrap_err();
        assert!(matches!(error, MessageError::Newer(9)));
        assert!(matches!(
            OrderMessage::parse(b"nonsense"),
            Err(MessageError::Shape(_))
        ));
    }
}
