//! From the purchase to the paid order: the records and their states.
//!
//! Here belong the forms in which a purchase travels and is stored, which state may
//! follow which, and what a payment means for its order. It may use `signing`. How
//! stock follows an order is in `stock`; the database is the back end's.

/// The order form, and what buyers fill in.
pub mod form;
/// The order message, as the queue carries it.
pub mod message;
/// Amounts in minor units with their currency.
pub mod money;
/// Notifying buyers about their orders: channels, retries, texts.
pub mod notification;
/// Order states and sortable order numbers.
pub mod order;
/// Payments: the meaning of a provider's notice, and its signature.
pub mod payment;
/// A buyer's purchase of one product, as the stock segment records it.
pub mod purchase;
/// A provider's list of payments beside our records.
pub mod reconcile;
