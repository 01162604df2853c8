//! Looking at a running or stopped system as a whole, and striking one in a drill.

/// Looks for what keeps a system from selling, and says the cures.
pub mod doctor;
/// Drills: a system of its own that is struck in the middle of a sale, and a verdict.
pub mod drill;
/// The edges of this machine, and which of them are this system's.
mod edges;
/// Heals halted segments by itself, where that is exact.
pub mod heal;
/// The nginx that run on this machine.
mod masters;
/// Directives out of what `nginx -T` prints.
mod nginx_text;
/// Checks whether a part responds.
pub mod probe;
/// Rebuilds stock that its Redis lost.
pub mod rebuild;
/// What a running system reports about itself.
pub mod status;
/// The settings that a peak needs, beside those in force.
pub mod tune;
/// Replays the ledger and checks every invariant.
pub mod verify;
