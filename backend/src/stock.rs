//! Stock follows what the database decided of an order: paid, its items count as
//! sold; cancelled or never placed, they are for sale again.
//!
//! The scripts are idempotent by purchase, so that every call may be repeated
//! by whoever finds that its effect may be missing.

use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::message::OrderMessage;
use seckill_core::purchase::Reason;

use crate::redis_link::{RedisLink, RedisLinkError, scripts};

/// A purchase whose stock is to move. Buyer, request and time together name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bought {
    /// Round and product.
    pub item: Item,
    /// The segment that locked its stock.
    pub segment: u16,
    /// Buyer.
    pub user: String,
    /// Request id.
    pub request: String,
    /// When the stock was locked, epoch milliseconds by Redis's clock.
    pub at_ms: u64,
    /// The order's number; empty if none was placed.
    pub order: String,
}

impl Bought {
    /// The purchase of a message; `None` if its ids are no ids, so that it can
    /// have locked no stock.
    #[must_use]
    pub fn of(message: &OrderMessage) -> Option<Self> {
        Some(Self {
            item: Item::new(&message.round, &message.product)?,
            segment: message.segment,
            user: message.user.clone(),
            request: message.request.clone(),
            at_ms: message.at_ms,
            order: String::new(),
        })
    }
}

/// Where the stock of a purchase goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Locked to sold.
    Confirm,
    /// Locked to for sale, for this reason. The buyer may grab again, and the
    /// permit goes back.
    Release(Reason),
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It was taken.
    Now,
    /// It had been taken before.
    Before,
    /// The segment knows no such purchase, or took the opposite step before:
    /// Redis lost data, or somebody changed it by hand. `seckill verify` tells.
    Unknown,
}

/// Takes the step of each purchase, all in one round trip; tells in order what
/// came of it.
///
/// # Errors
/// Redis is away or refuses one of them. The others may have been taken: call
/// again with all.
pub async fn follow(
    redis: &RedisLink,
    steps: &[(Bought, Step)],
) -> Result<Vec<Moved>, RedisLinkError> {
    let mut moved = vec![Moved::Unknown; steps.len()];
    for script in [&scripts::CONFIRM, &scripts::RELEASE] {
        let of_script = |(_, step): &(Bought, Step)| std::ptr::eq(script, script_of(*step));
        let calls: Vec<_> = steps.iter().filter(|it| of_script(it)).map(call).collect();
        if calls.is_empty() {
            continue;
        }
        let mut conn = redis.conn().await?;
        let replies = scripts::run_all::<i64>(&mut conn, script, &calls).await?;
        let places = moved.iter_mut().zip(steps).filter(|(_, it)| of_script(it));
        for ((place, (bought, step)), reply) in places.zip(replies) {
            *place = match reply? {
                1 => Moved::Now,
                0 => Moved::Before,
                _ => {
                    let Bought {
                        item,
                        user,
                        request,
                        ..
                    } = bought;
                    tracing::error!(%item, user, request, ?step,
                        "stock cannot follow: the segment has no such purchase; run \"seckill verify\"");
                    Moved::Unknown
                }
            };
        }
    }
    Ok(moved)
}

/// Counts the items of a paid order as sold.
///
/// # Errors
/// See [`follow`].
pub async fn confirm(redis: &RedisLink, bought: Bought) -> Result<Moved, RedisLinkError> {
    one(redis, bought, Step::Confirm).await
}

/// Puts the items of a purchase up for sale again, sets the buyer's record, and
/// gives the permit back.
///
/// # Errors
/// See [`follow`].
pub async fn release(
    redis: &RedisLink,
    bought: Bought,
    reason: Reason,
) -> Result<Moved, RedisLinkError> {
    one(redis, bought, Step::Release(reason)).await
}

async fn one(redis: &RedisLink, bought: Bought, step: Step) -> Result<Moved, RedisLinkError> {
    let moved = follow(redis, &[(bought, step)]).await?;
    Ok(moved.first().copied().unwrap_or(Moved::Unknown))
}

fn script_of(step: Step) -> &'static std::sync::LazyLock<redis::Script> {
    match step {
        Step::Confirm => &scripts::CONFIRM,
        Step::Release(_) => &scripts::RELEASE,
    }
}

fn call((bought, step): &(Bought, Step)) -> redis::Cmd {
    let Bought { item, segment, .. } = bought;
    let keys = [
        keys::stock(item, *segment),
        keys::buyers(item, *segment),
        keys::outbox(item, *segment),
    ];
    let mut call = scripts::call(script_of(*step), &keys);
    call.arg(&bought.user)
        .arg(&bought.request)
        .arg(bought.at_ms);
    if let Step::Release(reason) = step {
        call.arg(reason.state().as_str()).arg(reason.as_str());
    }
    call.arg(&bought.order)
        .arg(item.round())
        .arg(item.product())
        .arg(*segment);
    call
}
