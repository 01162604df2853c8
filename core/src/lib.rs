//! The rules of a flash sale, as pure functions and plain types.
//!
//! Both sides of the system, the nginx edge and the back end, decide by this
//! crate, so that a signature, a permit or a verdict means the same in both.
//! Nothing here does I/O, reads a clock or draws a random number: the caller
//! passes the time (`now_ms`, epoch milliseconds) and random bytes.

#![forbid(unsafe_code)]

/// Lines of the edges' access logs.
pub mod access_log;
/// Bans as Redis lists them.
pub mod ban;
/// Token bucket kept in one 64-bit word.
pub mod bucket;
/// How much of everything a rate of requests needs.
pub mod capacity;
/// Captcha passes: signing and verifying.
pub mod captcha;
/// What the edge must know of a product: window, limit, cap.
pub mod catalogue;
/// Which edges are alive, and what that does to a shared rate.
pub mod census;
/// Arguments of the nginx directives, read into types.
pub mod directive;
/// The gate's decision, in the order that refuses cheapest first.
pub mod gate;
/// The permits in hand for one product.
pub mod hand;
/// Hidden purchase URLs: signing and verifying.
pub mod hidden_path;
mod hmac;
/// Which rounds, products, buyers and request ids are well formed.
pub mod ids;
/// Signing secrets: ring of named keys, derived per purpose.
pub mod keyring;
/// Every Redis key name, built in this one place.
pub mod keys;
/// Leases: permits taken in advance.
pub mod lease;
/// The ledger: events of a segment, and replaying them.
pub mod ledger;
/// The order message and its queue form.
pub mod message;
/// Prometheus's text form.
pub mod metrics;
/// Telling buyers what became of their orders.
pub mod notice;
/// Order states and sortable order numbers.
pub mod order;
/// Who took part in a sale, one bit each.
pub mod participants;
/// Payments: what a provider's notice means, and its signature.
pub mod payment;
/// Permits: clipping, leases, the header that names one.
pub mod permit;
/// A buyer's purchase of one product, as the stock segment records it.
pub mod purchase;
/// Puzzles: what is kept of one, and whether an answer is right.
pub mod puzzle;
/// What stock must be after its Redis was lost.
pub mod rebuild;
/// The buyer's session token.
pub mod session;
/// Tables in memory that several workers share: products, buyers seen, bans.
pub mod shared;
/// Redis Cluster's slots.
pub mod slot;
/// What an edge keeps for the time when Redis is away.
pub mod standby;
/// Who buys like a program.
pub mod suspicion;
/// Whether a hand may have dragged a slider so.
pub mod track;
/// Verdicts with their HTTP status and body.
pub mod verdict;
/// The round's time window.
pub mod window;
/// Proof of work instead of a drag.
pub mod work;

pub use verdict::Verdict;
