//! A load generator that behaves as shoppers do: it logs in, fetches the hidden
//! purchase URL, waits for the opening by the server's clock, clicks, and asks
//! what became of it.

/// Keep-alive connections to the edge.
pub mod client;
/// The command line, for this program and for `seckill load`.
pub mod command;
/// Buyers pay, cancel, or let the time pass.
pub mod decide;
/// The analysis of access logs.
pub mod lines;
/// A steady stream of clicks at several edges.
pub mod pace;
/// Plots as SVG.
pub mod plot;
/// The program, for `main.rs`.
pub mod program;
/// Many buyers, few items.
pub mod race;
/// What was seen, counted.
pub mod report;
/// Shoppers who behave like people, and bots of chosen wickedness among them.
pub mod shop;
/// The stock script beside the ways that were rejected.
pub mod stock;
