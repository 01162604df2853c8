//! A load generator that behaves as shoppers do: it logs in, fetches the hidden
//! purchase URL, waits for the opening by the server's clock, clicks, and polls the
//! result.
//!
//! The modules stand in the order of their layers, the lowest first.

/// Keep-alive connections to the edge.
pub mod client;

/// Plots as SVG.
pub mod plot;

/// Counts and summary of a race.
pub mod report;

/// How fast access logs are read and judged.
pub mod lines;

/// Buyers who pay, cancel, or let the time pass.
pub mod decide;

/// A steady stream of clicks at several edges.
pub mod pace;

/// A race of many buyers for few items.
pub mod race;

/// Buyers who come at a steady rate, for as long as is wanted.
pub mod steady;

/// The stock script beside the strategies that were rejected.
pub mod stock;

/// Shoppers who behave like people, and bots of chosen kinds among them.
pub mod shop;

/// The command line, for this program and for `seckill load`.
pub mod command;

/// The program, for `main.rs`.
pub mod program;
