//! The back end of the flash sale: every role, wired together.

/// The analysis role: reads the edges' logs, finds programs, counts visitors.
pub mod analysis;
/// HTTP refusals and internal faults, each with its status.
pub mod api_error;
/// Who is banned: adds, lifts and lists for the edges to follow.
pub mod bans;
/// The live board: what the whole system does at this moment.
pub mod board;
/// Puzzles for shoppers, and the passes they win.
pub mod captcha;
/// What is in force: defaults, file, environment, flags.
pub mod config;
/// The console: accounts, login, rounds, approval.
pub mod console;
/// Decisions on what the analysis found.
pub mod findings;
/// Calls to other services.
mod https;
/// Archives every event of every segment.
pub mod ledger;
/// Log format and level.
pub mod logging;
/// Suggests the known name behind a misspelt one.
pub mod nearest;
/// Tells buyers what became of their orders, by webhook and e-mail.
pub mod notices;
/// The ops role: rounds for shoppers, pages, approval.
pub mod ops;
/// The orders role: places orders from the queue at its own pace.
pub mod orders;
/// The buyer's own orders over HTTP.
pub mod orders_api;
/// The renderer: keeps the CDN origin as shoppers are to see it.
pub mod pages;
/// Paying and cancelling an order, and the payment provider's notices.
pub mod payments_api;
/// Gives back permits that no purchase arrived for, and refunds.
pub mod permits;
/// Asks a part whether it is well.
pub mod probe;
/// The purchase role: verifies again, runs the stock script, answers results.
pub mod purchase;
/// Port to the message queue, and its adapters.
pub mod queue;
/// Connections to Redis and the scripts that run there.
pub mod redis_link;
/// Tells the edges who may buy again.
pub mod regrab;
/// The relay: moves segment events from the outbox to the queue.
pub mod relay;
/// Runs the chosen roles until told to stop.
pub mod roles;
/// Sales: the file, the import, the approval, what Redis is told.
pub mod sale;
/// The Redis masters that hold the stock, and which segment lives on which.
pub mod segments;
/// Demo login and the session cookie.
pub mod session_api;
/// Has the stock follow its orders, and cancels what is unpaid past its time.
pub mod settle;
/// What a running system reports of itself.
pub mod status;
/// Stock follows what the database decided: confirmed or released.
pub mod stock;
/// The database: orders and sales.
pub mod store;
/// Moves stock between the segments of a product.
pub mod transfer;
/// One box: redis-server, nginx and all roles under one supervisor.
pub mod up;
/// Replays the ledger and checks every invariant.
pub mod verify;

/// The time, epoch milliseconds.
#[must_use]
pub fn now_ms() -> u64 {
    purchase::now_ms()
}
