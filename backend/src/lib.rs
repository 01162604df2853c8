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

/// Traces of purchases, sent to a collector.
pub mod trace;

/// Connections to Redis, the scripts that run there, and the segments' masters.
pub mod redis;

/// The database: rounds, orders, payments, the ledger's archive, accounts, audit.
pub mod store;

/// The port to the message queue, and its adapters.
pub mod queue;

/// Sales: the file, the import, the approval, the catalogue in Redis, the shop's inventory.
pub mod sale;

/// What the back end does for the edges: bans, log analysis, leases, new grabs.
pub mod edges;

/// Stock in Redis: levels, transfers, following the orders, the journal, the fence.
pub mod stock;

/// Readers of the segments' outboxes: the relay to the queue, the ledger's archive.
pub mod outbox;

/// The CDN origin: product pages, assets, pictures, the document of the day.
pub mod pages;

/// Orders: placing, cancelling, dead letters, notifying buyers, payment providers.
pub mod orders;

/// The buyer's HTTP API: session, captcha, purchase, result, orders, payments.
pub mod shop;

/// Looking at a system as a whole: status, verification, rebuilding lost stock, drills.
pub mod inspect;

/// The operator's HTTP API: accounts, rounds, stock, bans, the live board.
pub mod console;

/// Every role that can run by itself, wired from its parts.
pub mod roles;

/// One box: redis-server, nginx and all roles under one supervisor.
pub mod up;

/// The command line: one file per command.
pub mod cli;

pub use time::now_ms;
