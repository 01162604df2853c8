//! The steps that a purchase's stock takes after its order: paid, the items count as
//! sold; cancelled or never placed, they are for sale again.
//!
//! Each step is one run of a script that is idempotent by purchase, so that any
//! process that finds that its effect may be missing can repeat it.

use std::collections::HashMap;
use std::sync::Arc;

use seckill_core::ids::Item;
use seckill_core::orders::purchase::Reason;
use seckill_core::permits::reopening::refund_id;

use super::reopening::{self, Reopening};
use crate::redis::scripts::stock::{Moved, PurchaseRef};
use crate::redis::scripts::{self, Call};
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError};
use crate::store::due::{Bought, Step};

/// The outcome of one step; an error does not keep the others from being taken.
pub type Taken = Result<Moved, Arc<RedisLinkError>>;

/// Takes the step of each purchase, all of one master in one round trip; returns the
/// outcomes in the same order. Those whose master is away may have been taken: call
/// again with them. What is released is announced before, which takes a moment where the
/// product is sold out.
///
/// # Errors
/// [`RedisLinkError::Away`]: it is not known which masters there are.
pub async fn take(
    segments: &Segments,
    steps: &[(Bought, Step)],
) -> Result<Vec<Taken>, RedisLinkError> {
    let mut taken: Vec<Taken> = steps.iter().map(|_| Ok(Moved::Unknown)).collect();
    let mut numbered: Vec<(usize, &(Bought, Step))> = steps.iter().enumerate().collect();
    let main = segments.main();
    if let Err(error) = reopening::announce(main, &announced(&numbered)).await {
        // Paid items are not for sale again, and are not announced.
        let error = Arc::new(error);
        numbered.retain(|(at, (_, step))| {
            if let Step::Release(_) = step {
                taken[*at] = Err(Arc::clone(&error));
            }
            *step == Step::Confirm
        });
    }
    let sorted = segments
        .by_master(numbered, |(_, (bought, _))| (&bought.item, bought.segment))
        .await?;
    for (link, steps) in sorted {
        match take_on(&link, &steps).await {
            Ok(outcomes) => {
                for ((at, _), outcome) in steps.iter().zip(outcomes) {
                    taken[*at] = outcome;
                }
            }
            // A master that is away must not hold up the stock of the others.
            Err(error) => {
                let error = Arc::new(error);
                for (at, _) in steps {
                    taken[at] = Err(Arc::clone(&error));
                }
            }
        }
    }
    let mut void: Vec<_> = steps.iter().enumerate().collect();
    void.retain(|(at, _)| is_void(&taken[*at]));
    if let Err(error) = reopening::withdraw(main, &announced(&void)).await {
        tracing::debug!(%error, "reopenings of what was not released are forgotten later");
    }
    Ok(taken)
}

/// Whether nothing was or will be released by this step, so that no refund follows.
fn is_void(taken: &Taken) -> bool {
    match taken {
        Ok(Moved::Unknown) => true,
        Err(error) => matches!(**error, RedisLinkError::Refused(_)),
        Ok(Moved::Now | Moved::Before) => false,
    }
}

/// What is to be announced of these steps: their releases, by product.
fn announced(steps: &[(usize, &(Bought, Step))]) -> Vec<Reopening> {
    let mut changes: HashMap<&Item, Vec<String>> = HashMap::new();
    for (_, (bought, step)) in steps {
        if let Step::Release(_) = step {
            let id = refund_id(&bought.user, &bought.request, bought.at_ms);
            changes.entry(&bought.item).or_default().push(id);
        }
    }
    let changes = changes.into_iter();
    changes.map(|(item, ids)| (item.clone(), ids)).collect()
}

/// Takes the steps of one master.
async fn take_on(
    link: &RedisLink,
    steps: &[(usize, &(Bought, Step))],
) -> Result<Vec<Taken>, RedisLinkError> {
    let mut conn = link.conn().await?;
    let calls: Vec<_> = steps.iter().map(|(_, step)| call(step)).collect();
    let replies = scripts::run_all(&mut conn, &calls).await?;
    let outcomes = steps.iter().zip(replies).map(|((_, step), reply)| {
        if let Ok(Moved::Unknown) = reply {
            report_unknown(step);
        }
        reply.map_err(|error| Arc::new(error.into()))
    });
    Ok(outcomes.collect())
}

fn call((bought, step): &(Bought, Step)) -> Call<Moved> {
    let Bought {
        item,
        segment,
        order,
        ..
    } = bought;
    let purchase = PurchaseRef {
        user: &bought.user,
        request: &bought.request,
        at_ms: bought.at_ms,
    };
    match step {
        Step::Confirm => scripts::stock::confirm(item, *segment, purchase, order),
        Step::Release(reason) => scripts::stock::release(item, *segment, purchase, *reason, order),
    }
}

fn report_unknown((bought, step): &(Bought, Step)) {
    let Bought {
        item,
        user,
        request,
        ..
    } = bought;
    tracing::error!(%item, user, request, ?step,
        "stock cannot follow: the segment has no such purchase; run \"seckill verify\"");
}

/// Counts the items of a paid order as sold.
///
/// # Errors
/// See [`take`].
pub async fn confirm(segments: &Segments, bought: Bought) -> Taken {
    take_one(segments, bought, Step::Confirm).await
}

/// Puts the items of a purchase up for sale again, sets the buyer's record, and has
/// the relay give the permit back.
///
/// # Errors
/// See [`take`].
pub async fn release(segments: &Segments, bought: Bought, reason: Reason) -> Taken {
    take_one(segments, bought, Step::Release(reason)).await
}

async fn take_one(segments: &Segments, bought: Bought, step: Step) -> Taken {
    let taken = take(segments, &[(bought, step)]).await.map_err(Arc::new)?;
    taken.into_iter().next().unwrap_or(Ok(Moved::Unknown))
}
