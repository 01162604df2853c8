//! A load generator that behaves as shoppers do: it logs in, fetches the hidden
//! purchase URL, waits for the opening by the server's clock, clicks, and asks
//! what became of it.
//!
//! The modules stand in the order of their layers, the lowest first.

/// Keep-alive connections to the edge.
pub mod client;

/// Plots as SVG.
pub mod plot;

/// What was seen, counted.
pub mod report;

/// The analysis of access logs.
pub mod lines;

/// Buyers pay, cancel, or let the time pass.
pub mod decide;

/// A steady stream of clicks at several edges.
pub mod pace;

/// Many buyers, few items.
pub mod race;

/// The stock script beside the ways that were rejected.
pub mod stock;

/// Shoppers who behave like people, and bots of chosen wickedness among them.
pub mod shop;

/// The command line, for this program and for `seckill load`.
pub mod command;

/// The program, for `main.rs`.
pub mod program;
