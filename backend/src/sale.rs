//! Sales: rounds and products, from the sale file to the catalogue in Redis.
//!
//! A sale file is read ([`file`]), its rounds are stored as drafts ([`import`]),
//! and a supervisor's approval ([`approve`]) publishes them to Redis ([`publish`])
//! and has their pages ([`page`]) rendered. Shoppers are served from Redis alone.
//! This module uses the store, Redis and the configuration; it knows neither HTTP
//! nor who calls it.

/// Keeps a process that was not told of the other sites from selling all of an amount here.
pub mod alone;
/// Approval of a round: the double write to database and Redis.
pub mod approve;
/// Reads the catalogue in Redis, and keeps a copy of it in memory.
pub mod catalogue;
/// The characters of files that people write: encodings, byte order marks.
pub mod characters;
/// Exports rounds as a sale file.
pub mod export;
/// Reads a sale file and checks every field.
pub mod file;
/// Stores the rounds of a sale file as drafts.
pub mod import;
/// The port to the shop's own inventory: choosing items, holding and returning them.
pub mod inventory;
/// The limits of a round and a product.
pub mod limits;
/// The stream of product messages, each of which names a round that changed.
pub mod message;
/// The page of a product.
pub mod page;
/// Writes an approved round to Redis.
pub mod publish;
/// Repeats a round on several days.
pub mod repeat;
/// Whether every living edge has room for the catalogue with one more round in it.
pub mod room;
/// The stop switch: pausing, ending and withdrawing what is on sale.
pub mod switch;
/// Turns the description of a product into HTML.
pub mod text;
/// TOML and JSON as one tree of values with their positions.
mod tree;
/// Times in a sale file.
mod when;
