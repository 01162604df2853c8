//! Sales: what is sold when, from the file a seller writes to what shoppers see.
//!
//! A sale file is read ([`file`]), its rounds are kept as drafts ([`import`]),
//! and a supervisor's approval ([`approve`]) writes them to Redis and has their
//! pages ([`page`]) rendered. Shoppers are served from Redis alone.

/// Approval: the double write to database and Redis.
pub mod approve;
/// The catalogue in Redis, and the copy by which decisions are made.
pub mod catalogue;
/// The way back: rounds as a sale file.
pub mod export;
/// Reads a sale file and checks every field of it.
pub mod file;
/// Stores the rounds of a sale file as drafts.
pub mod import;
/// The limits of a round and a product.
pub mod limits;
/// The stream of product messages: which round changed.
pub mod message;
/// A product's page.
pub mod page;
/// Writes an approved round to Redis.
pub mod publish;
/// A round on several days.
pub mod repeat;
/// What is told of a product, from a few marks to HTML.
pub mod text;
/// TOML and JSON as one tree that knows where each value stands.
mod tree;
/// Times in a sale file.
mod when;
