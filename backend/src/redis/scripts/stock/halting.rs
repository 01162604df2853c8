//! Halts a segment, and lets it sell again.

use std::time::Duration;

use redis::from_redis_value;
use seckill_core::ids::Item;
use seckill_core::keys;

use super::{Call, HALT, RESUME};

/// Halts a segment for this reason; `false` if it has no stock.
#[must_use]
pub fn halt(item: &Item, segment: u16, reason: &str) -> Call<bool> {
    Call::new(&HALT, 1)
        .arg(keys::stock(item, segment))
        .arg(reason)
}

/// Lets a segment that was halted sell again: for `first` only what was journalled, and to
/// everybody once [`serve`] says so. `false` if it was not halted.
#[must_use]
pub fn resume(item: &Item, segment: u16, first: Duration) -> Call<bool> {
    let call = Call::decoded(&RESUME, 3, |reply| {
        let (is_done, _): (bool, u64) = from_redis_value(reply)?;
        Ok(is_done)
    });
    call.arg(keys::stock(item, segment))
        .arg(keys::forgotten(item, segment))
        .arg(keys::given_up(item, segment))
        .arg(u64::try_from(first.as_millis()).unwrap_or(u64::MAX))
}

/// Whether a segment serves everybody again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// It does; so many purchases that it has forgotten were not made again in time, and
    /// are not waited for any more.
    Everybody(u64),
    /// Not yet: what it has forgotten is made again first.
    Forgotten,
    /// It was served already, or is halted anew.
    Unchanged,
}

/// Lets a segment sell to everybody that replays what was journalled ([`resume`]), unless it
/// has forgotten something that is not made again yet and there is time left for that.
#[must_use]
pub fn serve(item: &Item, segment: u16) -> Call<Served> {
    let call = Call::decoded(&RESUME, 3, |reply| {
        let (done, left): (i64, u64) = from_redis_value(reply)?;
        Ok(match done {
            0 => Served::Unchanged,
            1.. => Served::Everybody(left),
            _ => Served::Forgotten,
        })
    });
    call.arg(keys::stock(item, segment))
        .arg(keys::forgotten(item, segment))
        .arg(keys::given_up(item, segment))
        .arg("")
}
