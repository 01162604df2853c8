//! The renderer on real files and a real Redis: what stands in the CDN origin,
//! which purges caches get, and what is removed again; and the day's document.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod caches;
mod day;
/// What is left of the products that sell.
mod left;
mod pictures;
mod rendering;
mod shop;
