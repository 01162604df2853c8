//! The console: logging in, rounds, and what attackers and typing mistakes try.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

/// Accounts, second factors, sessions.
mod accounts;
/// Input that is refused, and the sentences that say why.
mod bad_input;
/// Accounts in the same hands are no two people.
mod four_eyes;
/// Logging in and staying logged in.
mod login;
/// Every refusal of every write leaves everything as it was.
mod refusals;
/// Rounds made, approved, edited.
pub(crate) mod rounds;
/// Sale files that are imported.
mod sale_files;
/// What takes a second person.
mod second_person;
/// Single sign-on.
mod sso;
/// With the database stopped.
mod without_database;
/// What changes nothing, or is refused by Redis.
mod without_effect;
