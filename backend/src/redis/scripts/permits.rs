//! Scripts that count permits. The edges run the others of this folder.

use std::collections::BTreeMap;

use redis::from_redis_value;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::permits::reopening;
use seckill_core::shared::winners;

use super::Call;

scripts! {
    GIVE = "permits/give.lua";
    REFUND = "permits/refund.lua";
    SETTLE = "permits/settle.lua";
    WINNERS = "permits/winners.lua";
    REBUILD = "permits/rebuild.lua";
    REOPEN = "permits/reopen.lua";
}

/// What a refund returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refunded {
    /// A permit that bought nothing and that no segment counts as spent: one of this lease.
    Unspent(String),
    /// A permit whose purchase was released.
    Spent,
    /// A permit that met empty stock because of a purchase without one, which was released.
    MetEmptyStock,
}

/// Gives back `permits` that bought nothing, or whose purchase was released; replies
/// how many. `refund` names it, so that it is done once.
#[must_use]
pub fn refund(item: &Item, refund: &str, what: &Refunded, permits: u32) -> Call<u64> {
    let lease = match what {
        Refunded::Unspent(lease) => lease,
        Refunded::Spent | Refunded::MetEmptyStock => "",
    };
    Call::new(&REFUND, 4)
        .arg(keys::permits(item))
        .arg(keys::refunds(item))
        .arg(keys::leases(item))
        .arg(keys::reopening(item))
        .arg(refund)
        .arg(lease)
        .arg(permits)
        .arg(u8::from(*what == Refunded::MetEmptyStock))
}

/// Announces that items are about to be for sale again, whose refunds, or other changes, have
/// these ids; replies for how many ms to wait before.
#[must_use]
pub fn reopen(item: &Item, ids: &[String]) -> Call<u64> {
    Call::new(&REOPEN, 5)
        .arg(keys::permits(item))
        .arg(keys::leases(item))
        .arg(keys::info(item))
        .arg(keys::refunds(item))
        .arg(keys::reopening(item))
        .arg(reopening::KNOWN_MS)
        .arg(ids)
}

/// Takes at most `most` permits off the limit, for items that another site is to sell, also
/// those that edges have. Replies how many.
#[must_use]
pub fn give(item: &Item, transfer: &str, most: u64) -> Call<u64> {
    giving(item, transfer).arg(most)
}

/// Puts those permits back that edges still have; replies how many stay off the limit, for
/// good.
#[must_use]
pub fn keep(item: &Item, transfer: &str) -> Call<u64> {
    giving(item, transfer).arg("keep")
}

fn giving(item: &Item, transfer: &str) -> Call<u64> {
    Call::new(&GIVE, 3)
        .arg(keys::info(item))
        .arg(keys::permits(item))
        .arg(keys::giving(item))
        .arg(transfer)
}

/// Settles closed leases, each with the permits that were seen of it; replies for each
/// in order how many went back, `None` if it was settled before.
pub fn settle<'a>(
    item: &Item,
    leases: impl IntoIterator<Item = (&'a str, u64)>,
) -> Call<Vec<Option<u64>>> {
    let call = Call::decoded(&SETTLE, 2, |reply| {
        let replies: Vec<i64> = from_redis_value(reply)?;
        Ok(replies.into_iter().map(|it| it.try_into().ok()).collect())
    });
    let call = call.arg(keys::permits(item)).arg(keys::leases(item));
    leases
        .into_iter()
        .fold(call, |call, (lease, seen)| call.arg(lease).arg(seen))
}

/// Puts buyers on the product's list of winners, which is kept until `until_ms`; replies
/// how many are on it.
#[must_use]
pub fn winners(item: &Item, fingerprints: &[u64], until_ms: u64) -> Call<u64> {
    Call::new(&WINNERS, 1)
        .arg(keys::winners(item))
        .arg(winners::to_bytes(fingerprints.iter().copied()))
        .arg(until_ms)
}

/// Sets the count of permits to those that were `spent`, by lease, and not `returned`, and
/// those of the leases that are open by now; remembers what was `refunded`. The segments
/// must be halted. Replies the count.
#[must_use]
pub fn rebuild(
    item: &Item,
    spent: &BTreeMap<String, i64>,
    returned: i64,
    refunded: &[String],
) -> Call<u64> {
    let call = Call::new(&REBUILD, 3)
        .arg(keys::permits(item))
        .arg(keys::leases(item))
        .arg(keys::refunds(item))
        .arg(returned)
        .arg(spent.len());
    let call = spent
        .iter()
        .fold(call, |call, (lease, n)| call.arg(lease).arg(*n));
    call.arg(refunded)
}
