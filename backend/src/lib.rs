//! The back end of the flash sale.
//!
//! The modules stand in the order of their layers: each may use those above it in
//! this list, never those below; `make check` holds the order. The last ones are
//! the programs (`roles`, `up`, `cli`); before them is what the roles do, then what
//! these share, and first the stores.

/// The time: reading the clock, writing a moment for people, passes that repeat.
pub mod time;

/// What this process counts, for Prometheus.
pub mod metrics;

/// What is in force: defaults, file, environment, flags.
pub mod config;

/// HTTP as a server and as a client: errors, listeners, connections, TLS.
pub mod http;

/// Connections to Redis, the scripts that run there, and the segments' masters.
pub mod redis;

/// The purchase journal on disk: admitted requests that wait for Redis.
pub mod journal;

/// The database: rounds, orders, payments, the ledger's archive, accounts, audit.
pub mod store;

/// The port to the message queue, and its adapters.
pub mod queue;

/// The port to the shop's own inventory: choosing items, holding and returning them.
pub mod inventory;

/// Sales: the file, the import, the approval, the catalogue in Redis.
pub mod sale;

/// What the back end does for the edges: bans, log analysis, leases, new grabs.
pub mod edges;

/// Stock in Redis: levels, transfers, adjustments, and following the orders.
pub mod stock;

/// Fences segments whose Redis knows less than the archive, or than this process.
pub mod fence;
/// The port to payment providers, its adapters, and reconciliation with their records.
pub mod payments;

/// Readers of the segments' outboxes: the relay to the queue, the ledger's archive.
pub mod outbox;

/// The CDN origin: product pages, assets, pictures, the document of the day.
pub mod pages;

/// The orders role: placing, cancelling, dead letters, notifying buyers.
pub mod orders;

/// Removing what is old and settled from the database, after exporting it.
pub mod retention;

/// The buyer's HTTP API: session, captcha, purchase, result, orders, payments.
pub mod shop;

/// Looking at a system as a whole: status, verification, rebuilding lost stock.
pub mod inspect;

/// The operator's HTTP API: accounts, rounds, stock, bans, the live board.
pub mod console;

/// Every role that can run by itself, wired from its parts.
pub mod roles;

/// One box: redis-server, nginx and all roles under one supervisor.
pub mod up;

/// Drills: a system of its own that is struck in the middle of a sale, and a verdict.
pub mod drill;

/// The command line: one file per command.
pub mod cli;

pub use time::now_ms;
