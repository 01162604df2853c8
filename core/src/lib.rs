//! The rules of a flash sale, as pure functions and plain types.
//!
//! Both sides of the system, the nginx edge and the back end, decide by this
//! crate, so that a signature, a permit or a verdict means the same in both.
//! Nothing here does I/O, reads a clock or draws a random number: the caller
//! passes the time (`now_ms`, epoch milliseconds) and random bytes.
//!
//! The modules below stand in the order of their layers: each may use those above
//! it in this list, never those below. `make check` holds the order.

#![forbid(unsafe_code)]

/// The format of every identifier: rounds, products, buyers, request ids.
pub mod ids;

/// A keyed hash whose values nobody can predict without the key.
pub mod siphash;

/// Every Redis key name, built in this one place.
pub mod keys;

/// What a Redis server says of itself: conditions, roles, outages.
pub mod redis;

/// The text format that Prometheus scrapes.
pub mod metrics;

/// What is on sale: a product's time window, its catalogue entry, the capacity a sale needs,
/// and the texts that operators write.
pub mod sale;

/// Signed texts: key ring, session, hidden purchase URL.
pub mod signing;

/// The captcha: puzzles, the judgement of a drag, proof of work, the pass.
pub mod captcha;

/// The token bucket, and how living edges share the site's rate.
pub mod rate;

/// Permits to buy: leases taken in blocks, and how an edge spends them.
pub mod permits;

/// An edge as the others know it.
pub mod edge;

/// A purchase and what follows from it: message, order, payment, notification.
pub mod orders;

/// The ledger of a stock segment: replaying it, and rebuilding stock from it.
pub mod stock;

/// Several sites that sell one round: shares, transfers, the lease of a site.
pub mod sites;

/// The purchase journal: the format of its files, and reading back what a crash left.
pub mod journal;

/// Checks what shoppers were told against what happened.
pub mod history;

/// Tables in memory that the workers of one edge share: products, buyers seen, bans, passes.
pub mod shared;

/// The gate's decision, its verdicts, and the arguments of the nginx directives.
pub mod gate;

/// Judging by the edges' access logs whether an account is a program.
pub mod suspicion;

/// Content-hashed names for the shop's assets and product pictures.
pub mod pages;

pub use gate::verdict::Verdict;
