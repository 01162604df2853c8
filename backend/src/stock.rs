//! Stock follows what the database decided of an order: paid, its items count as
//! sold; cancelled or never placed, they are for sale again.
//!
//! The scripts are idempotent by purchase, so that every call may be repeated
//! by whoever finds that its effect may be missing.

/// Changing how much there is.
pub mod adjust;
/// Keeps the stock in step with its orders, and expires unpaid ones.
pub mod following;
/// How much lies where.
pub mod levels;
/// Moves stock between the segments of a product.
pub mod transfer;

use std::sync::Arc;

use seckill_core::keys;
use seckill_core::orders::purchase::Reason;

use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::store::due::{Bought, Step};

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

/// What came of one step: an error leaves the others be.
pub type Taken = Result<Moved, Arc<RedisLinkError>>;

/// Takes the step of each purchase, all of one master in one round trip; tells in
/// order what came of it. Those whose master is away may have been taken: call
/// again with them.
///
/// # Errors
/// [`RedisLinkError::Away`]: it is not known which masters there are.
pub async fn follow(
    segments: &Segments,
    steps: &[(Bought, Step)],
) -> Result<Vec<Taken>, RedisLinkError> {
    let mut taken: Vec<Taken> = steps.iter().map(|_| Ok(Moved::Unknown)).collect();
    let places: Vec<(usize, &(Bought, Step))> = steps.iter().enumerate().collect();
    let sorted = segments
        .by_master(places, |(_, (bought, _))| (&bought.item, bought.segment))
        .await?;
    for (link, places) in sorted {
        match follow_on(&link, &places).await {
            Ok(done) => done.into_iter().for_each(|(at, what)| taken[at] = what),
            // A master that is away must not hold up the stock of the others.
            Err(error) => {
                let error = Arc::new(error);
                places
                    .iter()
                    .for_each(|(at, _)| taken[*at] = Err(error.clone()));
            }
        }
    }
    Ok(taken)
}

/// The steps of one master, each under its place in the whole.
async fn follow_on(
    link: &RedisLink,
    places: &[(usize, &(Bought, Step))],
) -> Result<Vec<(usize, Taken)>, RedisLinkError> {
    let mut taken = Vec::with_capacity(places.len());
    let mut conn = link.conn().await?;
    for script in [&scripts::CONFIRM, &scripts::RELEASE] {
        let steps: Vec<_> = places
            .iter()
            .filter(|(_, (_, step))| std::ptr::eq(script, script_of(*step)))
            .collect();
        if steps.is_empty() {
            continue;
        }
        let calls: Vec<_> = steps.iter().map(|(_, step)| call(step)).collect();
        let replies = scripts::run_all::<i64>(&mut conn, script, &calls).await?;
        for ((at, (bought, step)), reply) in steps.into_iter().zip(replies) {
            let outcome = reply.map(|reply| told(bought, *step, reply));
            taken.push((*at, outcome.map_err(|error| Arc::new(error.into()))));
        }
    }
    Ok(taken)
}

fn told(bought: &Bought, step: Step, reply: i64) -> Moved {
    match reply {
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
    }
}

/// Counts the items of a paid order as sold.
///
/// # Errors
/// See [`follow`].
pub async fn confirm(segments: &Segments, bought: Bought) -> Taken {
    one(segments, bought, Step::Confirm).await
}

/// Puts the items of a purchase up for sale again, sets the buyer's record, and
/// gives the permit back.
///
/// # Errors
/// See [`follow`].
pub async fn release(segments: &Segments, bought: Bought, reason: Reason) -> Taken {
    one(segments, bought, Step::Release(reason)).await
}

async fn one(segments: &Segments, bought: Bought, step: Step) -> Taken {
    let taken = follow(segments, &[(bought, step)])
        .await
        .map_err(Arc::new)?;
    taken.into_iter().next().unwrap_or(Ok(Moved::Unknown))
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
