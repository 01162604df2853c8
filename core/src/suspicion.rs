//! Who buys like a program: a judgement by what the edges logged.
//!
//! # Points
//! A reason is worth 25 points for each power of ten by which it is more likely
//! of a program than of a person at a browser, so that independent reasons add
//! up. [`PROPOSE`] (60) is a factor of some 250: worth a person's look. [`BAN`]
//! (100) is one of ten thousand: more than any single reason that has an innocent
//! explanation may give. The innocent explanations that were weighed:
//!
//! * An office, a school or a mobile network shares an address, often also the
//!   browser's name: how many share one is worth nothing by itself. It counts that
//!   they click in step, or that nearly all of them behave like programs.
//! * Somebody drums on the button before the opening and hits its very first
//!   moment, time and again: worth a look, never a ban.
//! * A second click, a page in two windows, a URL that went stale, a login that
//!   changed in another window: the limits lie above what these do.
//! * The log has a hole, or the requests of a page went by an edge whose log is
//!   not read: nothing is concluded from absence unless the log was watched for
//!   [`thresholds::WATCHED_MS`] before and beyond, and [`watch::Watch`] distrusts it when most
//!   accounts seem to be absent, or when there are more edges than logs.
//! * A phone was locked, a laptop slept, a login was made on the open page: what a
//!   page asks when it is looked at again is in `presence.rs`.
//!
//! # Memory
//! All tables have a fixed size ([`watch::Limits`]); whoever was idle longest is
//! forgotten first. A record of an account takes about 400 bytes, one of an
//! address up to 5 KB.
//!
//! # What may live here
//! Everything that turns log lines into a [`Judgement`], by the time stamps in the
//! lines alone. It may use what a round's window and an address are (`sale`,
//! `shared::prefix`), and nothing of the gate: refusals it knows from the log.

/// Lines of the edges' access logs.
pub mod access_log;
/// What is remembered of one account.
mod account;
/// What is remembered of one address.
mod address;
/// A score, about whom, and its reasons.
mod judgement;
/// The keys of the tables.
mod key;
/// The participants of a sale, one bit each.
pub mod participants;
/// Whether a page was open.
mod presence;
/// Why somebody seems to be a program.
mod reason;
/// Every figure by which is judged.
pub mod thresholds;
/// All accounts and addresses, and what follows from them.
pub mod watch;

pub use judgement::{Judgement, Subject};
pub use reason::Reason;
pub use thresholds::{BAN, FORGET_MS, PROPOSE};

#[cfg(test)]
mod tests;
