//! A load generator that behaves as shoppers do: it logs in, fetches the hidden
//! purchase URL, waits for the opening by the server's clock, clicks, and asks
//! what became of it.

/// Keep-alive connections to the edge.
pub mod client;
/// Buyers pay, cancel, or let the time pass.
pub mod decide;
/// A steady stream of clicks at several edges.
pub mod pace;
/// Plots as SVG.
pub mod plot;
/// Many buyers, few items.
pub mod race;
/// What was seen, counted.
pub mod report;
/// The stock script beside the ways that were rejected.
pub mod stock;
