//! What the back end does for the edges: bans, revoked sessions, the analysis of their access logs,
//! overdue leases, and buyers who may buy again. It may use the sale's catalogue, the
//! database and Redis; it knows nothing of orders.

/// The analysis role: judges the edges' access logs, counts visitors.
pub mod analysis;
/// Bans: adding, lifting, and listing those that the edges follow.
pub mod bans;
/// An operator's decisions on what the analysis found.
pub mod findings;
/// Reclaims permits from leases whose requests never arrived.
pub mod leases;
/// Announces to the edges which buyers may buy again.
pub mod regrabs;
/// Revoked sessions and tokens.
pub mod sessions;
/// Permits beyond the items.
pub mod surplus;
