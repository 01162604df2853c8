//! Scripts that change a segment of stock. All keys of a call belong to one segment,
//! hence to one slot.

use std::time::Duration;

use redis::streams::StreamRangeReply;
use redis::{RedisResult, Value, from_redis_value};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::purchase::Reason;
use seckill_core::permits::permit::PermitId;
use seckill_core::stock::ledger::EntryId;

use super::{Call, unexpected};
use crate::redis::consumer_group::ConsumerGroup;

/// Segments that are halted, and sell again.
mod halting;

pub use halting::{Served, halt, resume, serve};

scripts! {
    PRELOAD = "stock/prelude.lua" + "stock/preload.lua";
    PURCHASE = "stock/prelude.lua" + "stock/purchase.lua";
    ORDERED = "stock/prelude.lua" + "stock/ordered.lua";
    CONFIRM = "stock/prelude.lua" + "stock/confirm.lua";
    RELEASE = "stock/prelude.lua" + "stock/release.lua";
    ADJUST = "stock/prelude.lua" + "stock/adjust.lua";
    TRANSFER = "stock/prelude.lua" + "stock/transfer.lua";
    REBUILD = "stock/rebuild.lua";
    CLOSE_LEASE = "stock/close_lease.lua";
    TAKE = "stock/take.lua";
    TRIM = "stock/trim.lua";
    HALT = "stock/halt.lua";
    RESUME = "stock/resume.lua";
}

/// Puts `amount` items up for sale in a segment; `false` if it had its stock already.
#[must_use]
pub fn preload(item: &Item, segment: u16, amount: u64) -> Call<bool> {
    Call::new(&PRELOAD, 2)
        .arg(keys::stock(item, segment))
        .arg(keys::outbox(item, segment))
        .arg(amount)
        .arg(item.round())
        .arg(item.product())
        .arg(segment)
}

/// A buyer's request for items of one segment.
#[derive(Debug, Clone, Copy)]
pub struct Purchase<'a> {
    /// The buyer.
    pub user: &'a str,
    /// The request id; the same click always carries the same one.
    pub request: &'a str,
    /// Items, at least 1.
    pub quantity: u32,
    /// The permit that the edge admitted it with; `None` if the edge was bypassed.
    pub permit: Option<&'a PermitId>,
    /// Cents an item.
    pub price_cents: u64,
    /// What to do if fewer items are left in the segment than are wanted.
    pub when_gone: WhenGone,
    /// The captcha pass, if one is needed.
    pub pass: Option<Pass<'a>>,
    /// Whether the edge itself returns a permit that bought nothing.
    pub edge_returns: bool,
    /// Until when the counts of leases are kept, epoch milliseconds; 0 for ever.
    pub spent_until_ms: u64,
    /// The number that its order gets; `None` if whoever places it is to draw one.
    pub order: Option<OrderId>,
    /// The trace that what follows belongs to; `None` if it is not sampled.
    pub traceparent: Option<&'a str>,
}

/// What a purchase does where fewer items are left than are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenGone {
    /// Nothing, since other segments may have stock.
    LookElsewhere,
    /// It spends its permit: its item was taken by somebody without one.
    SpendPermit,
    /// It leaves its permit unspent: more are out than there are items.
    LeavePermit,
}

impl WhenGone {
    fn argument(self) -> u8 {
        match self {
            Self::SpendPermit => 0,
            Self::LookElsewhere => 1,
            Self::LeavePermit => 2,
        }
    }
}

/// A captcha pass that a purchase spends.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// Its nonce.
    pub nonce: &'a str,
    /// For how long to remember that it is spent, in ms.
    pub keep_ms: u64,
}

/// What became of a [`Purchase`]; the header of `purchase.lua` says more of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sold {
    /// Stock is locked and the order is on its way.
    Accepted,
    /// This request was accepted before.
    Repeated,
    /// It was accepted before with another permit: this one bought nothing.
    Again,
    /// Another request spent the captcha pass.
    Captcha,
    /// The buyer has this product by another request.
    Duplicate,
    /// Too few items here, and perhaps more elsewhere: nothing was done.
    Empty,
    /// Too few items are left.
    SoldOut,
    /// The same, and the permit was left unspent.
    Surplus,
    /// The lease of the permit is closed.
    Busy,
}

impl Sold {
    /// The script's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Again => "again",
            Self::Captcha => "captcha",
            Self::Duplicate => "duplicate",
            Self::Empty => "empty",
            Self::SoldOut => "sold_out",
            Self::Surplus => "surplus",
            Self::Busy => "busy",
        }
    }
}

/// One purchase, in one atomic step.
#[must_use]
pub fn purchase(item: &Item, segment: u16, it: &Purchase<'_>) -> Call<Sold> {
    let call = Call::decoded(&PURCHASE, 4 + usize::from(it.pass.is_some()), sold);
    let call = purchase_keys(call, item, segment, it);
    purchase_arguments(call, item, segment, it)
}

/// The purchase's keys.
pub(super) fn purchase_keys<T>(
    call: Call<T>,
    item: &Item,
    segment: u16,
    it: &Purchase<'_>,
) -> Call<T> {
    let call = call
        .arg(keys::stock(item, segment))
        .arg(keys::buyers(item, segment))
        .arg(keys::spent(item, segment))
        .arg(keys::outbox(item, segment));
    match it.pass {
        Some(pass) => call.arg(keys::pass(item, segment, pass.nonce)),
        None => call,
    }
}

/// The purchase's arguments.
pub(super) fn purchase_arguments<T>(
    call: Call<T>,
    item: &Item,
    segment: u16,
    it: &Purchase<'_>,
) -> Call<T> {
    let permit = it.permit.map(PermitId::to_string).unwrap_or_default();
    let lease = it.permit.map(PermitId::lease_id).unwrap_or_default();
    let call = call
        .arg(it.user)
        .arg(it.request)
        .arg(it.quantity)
        .arg(permit)
        .arg(lease)
        .arg(item.round())
        .arg(item.product())
        .arg(segment)
        .arg(it.price_cents)
        .arg(it.when_gone.argument());
    let call = call
        .arg(it.pass.map_or(0, |pass| pass.keep_ms))
        .arg(u8::from(it.edge_returns))
        .arg(it.spent_until_ms)
        .arg(
            it.order
                .as_ref()
                .map(OrderId::to_string)
                .unwrap_or_default(),
        );
    match it.traceparent {
        Some(traceparent) => call.arg("traceparent").arg(traceparent),
        None => call,
    }
}

/// The same, with the event of a purchase that was made now.
#[must_use]
pub fn purchase_event(
    item: &Item,
    segment: u16,
    it: &Purchase<'_>,
) -> Call<(Sold, Option<EntryId>)> {
    let keys = 4 + usize::from(it.pass.is_some());
    let call = Call::decoded(&PURCHASE, keys, |reply| {
        let text: String = from_redis_value(reply)?;
        let event = text.split_once(' ').and_then(|(_, id)| EntryId::parse(id));
        Ok((sold_of(&text)?, event))
    });
    let call = purchase_keys(call, item, segment, it);
    purchase_arguments(call, item, segment, it)
}

fn sold(reply: Value) -> RedisResult<Sold> {
    let text: String = from_redis_value(reply)?;
    sold_of(&text)
}

fn sold_of(text: &str) -> RedisResult<Sold> {
    let word = text.split(' ').next().unwrap_or_default();
    Ok(match word {
        "accepted" => Sold::Accepted,
        "repeated" => Sold::Repeated,
        "again" => Sold::Again,
        "captcha" => Sold::Captcha,
        "duplicate" => Sold::Duplicate,
        "empty" => Sold::Empty,
        "sold_out" => Sold::SoldOut,
        "surplus" => Sold::Surplus,
        "busy" => Sold::Busy,
        other => return Err(unexpected("purchase.lua", &other)),
    })
}

/// Names one purchase of an item. The request id alone does not: a buyer may use it
/// again after a purchase that failed.
#[derive(Debug, Clone, Copy)]
pub struct PurchaseRef<'a> {
    /// The buyer.
    pub user: &'a str,
    /// The request id.
    pub request: &'a str,
    /// When it was made, the record's `at_ms`.
    pub at_ms: u64,
}

/// What a step of a purchase that was made before came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// The step was taken.
    Now,
    /// It had been taken before.
    Before,
    /// The segment has no such purchase on record, or the opposite step was taken
    /// before: Redis lost data, or somebody changed it by hand. `seckill verify`
    /// finds which.
    Unknown,
}

impl Moved {
    fn of(reply: i64) -> Self {
        match reply {
            1 => Self::Now,
            0 => Self::Before,
            _ => Self::Unknown,
        }
    }
}

fn moved(reply: Value) -> RedisResult<Moved> {
    Ok(Moved::of(from_redis_value(reply)?))
}

/// Writes order numbers into the records of their buyers, all of one segment and a
/// thousand at most; replies for each in order.
pub fn ordered<'a>(
    item: &Item,
    segment: u16,
    orders: impl IntoIterator<Item = (PurchaseRef<'a>, OrderId)>,
) -> Call<Vec<Moved>> {
    let call = Call::decoded(&ORDERED, 1, |reply| {
        let replies: Vec<i64> = from_redis_value(reply)?;
        Ok(replies.into_iter().map(Moved::of).collect())
    });
    let call = call.arg(keys::buyers(item, segment));
    orders.into_iter().fold(call, |call, (purchase, order)| {
        call.arg(purchase.user)
            .arg(purchase.request)
            .arg(order.to_string())
            .arg(purchase.at_ms)
    })
}

/// Counts the items of a paid order as sold.
#[must_use]
pub fn confirm(item: &Item, segment: u16, purchase: PurchaseRef<'_>, order: &str) -> Call<Moved> {
    Call::decoded(&CONFIRM, 3, moved)
        .arg(keys::stock(item, segment))
        .arg(keys::buyers(item, segment))
        .arg(keys::outbox(item, segment))
        .arg(purchase.user)
        .arg(purchase.request)
        .arg(purchase.at_ms)
        .arg(order)
        .arg(item.round())
        .arg(item.product())
        .arg(segment)
}

/// Puts the items of a purchase up for sale again. `order` is empty if none was placed.
#[must_use]
pub fn release(
    item: &Item,
    segment: u16,
    purchase: PurchaseRef<'_>,
    reason: Reason,
    order: &str,
) -> Call<Moved> {
    Call::decoded(&RELEASE, 3, moved)
        .arg(keys::stock(item, segment))
        .arg(keys::buyers(item, segment))
        .arg(keys::outbox(item, segment))
        .arg(purchase.user)
        .arg(purchase.request)
        .arg(purchase.at_ms)
        .arg(reason.state().as_str())
        .arg(reason.as_str())
        .arg(order)
        .arg(item.round())
        .arg(item.product())
        .arg(segment)
}

/// Changes how many items are for sale; replies the change that was made, which is
/// smaller than a negative `change` if fewer were for sale.
#[must_use]
pub fn adjust(item: &Item, segment: u16, request: &str, change: i64) -> Call<i64> {
    Call::new(&ADJUST, 4)
        .arg(keys::stock(item, segment))
        .arg(keys::adjustments(item, segment))
        .arg(keys::outbox(item, segment))
        .arg(keys::forgotten(item, segment))
        .arg(request)
        .arg(change)
        .arg(item.round())
        .arg(item.product())
        .arg(segment)
}

/// A step of a transfer between two segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferStep {
    /// The source gives away at least `wanted` items, or half of what is for sale if
    /// that is more, or what there is. Replies how many.
    Out {
        /// How many items are wanted at least.
        wanted: u64,
    },
    /// The items arrive at the destination. Replies 1, or 0 if they had arrived before.
    In {
        /// How many items arrive.
        items: u64,
    },
    /// The source notes that they have arrived. Replies 1, or 0 if that was known.
    Done,
}

/// One step of transfer `id`, at segment `here`; segment `other` is at the other end.
#[must_use]
pub fn transfer(item: &Item, (here, other): (u16, u16), id: &str, step: TransferStep) -> Call<u64> {
    let (step, items) = match step {
        TransferStep::Out { wanted } => ("out", wanted),
        TransferStep::In { items } => ("in", items),
        TransferStep::Done => ("done", 0),
    };
    Call::new(&TRANSFER, 5)
        .arg(keys::stock(item, here))
        .arg(keys::transit(item, here))
        .arg(keys::transfers(item, here))
        .arg(keys::outbox(item, here))
        .arg(keys::forgotten(item, here))
        .arg(step)
        .arg(id)
        .arg(items)
        .arg(other)
        .arg(item.round())
        .arg(item.product())
        .arg(here)
}

/// What a rebuild of a segment was planned with, and the plan.
#[derive(Debug, Clone, Copy)]
pub struct Rebuild<'a> {
    /// The last event that was seen in the segment's outbox; 0-0 if none was.
    pub seen: EntryId,
    /// The three amounts that were seen: sale, locked, saled.
    pub amounts: Option<[i64; 3]>,
    /// New events get ids behind this time, epoch milliseconds.
    pub after_ms: u64,
    /// JSON, as the header of `rebuild.lua` describes it.
    pub plan: &'a str,
}

/// Puts a segment back after its Redis lost it, with the buyers that were written to
/// [`keys::buyers_rebuilt`] beforehand; `false` if something has happened there since
/// the plan was made.
#[must_use]
pub fn rebuild(item: &Item, segment: u16, it: &Rebuild<'_>) -> Call<bool> {
    let amounts = it.amounts.map_or_else(
        || "-".to_owned(),
        |[sale, locked, saled]| format!("{sale}|{locked}|{saled}"),
    );
    Call::new(&REBUILD, 7)
        .arg(keys::stock(item, segment))
        .arg(keys::buyers(item, segment))
        .arg(keys::spent(item, segment))
        .arg(keys::outbox(item, segment))
        .arg(keys::transit(item, segment))
        .arg(keys::transfers(item, segment))
        .arg(keys::buyers_rebuilt(item, segment))
        .arg(it.seen.to_string())
        .arg(amounts)
        .arg(it.after_ms)
        .arg(it.plan)
}

/// Closes leases on one segment, which remembers them until `keep_until_ms` (epoch
/// milliseconds); replies for each in order how many of its permits were seen.
#[must_use]
pub fn close_leases(
    item: &Item,
    segment: u16,
    keep_until_ms: u64,
    leases: &[String],
) -> Call<Vec<u64>> {
    Call::new(&CLOSE_LEASE, 1)
        .arg(keys::spent(item, segment))
        .arg(keep_until_ms)
        .arg(leases)
}

/// Takes up to `most` next events of an outbox for a group that is done with them in
/// their order; none while another of its readers has some that it took less than `hold`
/// ago.
#[must_use]
pub fn take(
    outbox: &str,
    group: &ConsumerGroup,
    most: usize,
    hold: Duration,
) -> Call<StreamRangeReply> {
    Call::new(&TAKE, 1)
        .arg(outbox)
        .arg(group.name)
        .arg(group.consumer)
        .arg(most)
        .arg(u64::try_from(hold.as_millis()).unwrap_or(u64::MAX))
}

/// Takes out of an outbox what all `groups` are done with; replies how many events.
#[must_use]
pub fn trim(outbox: &str, groups: &[&str]) -> Call<u64> {
    Call::new(&TRIM, 1).arg(outbox).arg(groups)
}
