//! What became of the permits of a lease, wherever it is counted: beside the share that is
//! kept for when Redis is away, or with the latest leases.

use seckill_core::ids::Item;
use seckill_core::permits::tally::Tally;

use crate::conf::Edge;

/// Counts permits of a lease, used and returned. False if the lease is no longer
/// remembered: then the back end settles it.
pub(super) fn count(edge: &Edge, item: &Item, number: u64, (used, returned): (u64, u64)) -> bool {
    let found = edge.zone.products().find(item.round(), item.product());
    let is_kept = found.is_some_and(|found| found.standby().count(number, used, returned));
    is_kept || edge.zone.tallies().add(number, used, returned)
}

/// What became of a lease's permits; `None` if it is no longer remembered.
pub(super) fn read(edge: &Edge, item: &Item, number: u64) -> Option<Tally> {
    let found = edge.zone.products().find(item.round(), item.product());
    let kept = found.and_then(|found| found.standby().tally(number));
    kept.or_else(|| edge.zone.tallies().read(number))
}
