//! From the purchase to the paid order: the records and their states.

/// The order message, as the queue carries it.
pub mod message;
/// Notifying buyers about their orders: channels, retries, texts.
pub mod notice;
/// Order states and sortable order numbers.
pub mod order;
/// Payments: the meaning of a provider's notice, and its signature.
pub mod payment;
/// A buyer's purchase of one product, as the stock segment records it.
pub mod purchase;
