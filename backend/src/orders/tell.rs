//! Tells the buyers' records that their orders are in the database.

use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::message::OrderMessage;
use seckill_core::order::OrderId;

use crate::redis_link::{RedisLink, RedisLinkError, scripts};
use crate::segments::Segments;

/// A purchase and the order that was made from it.
pub(super) struct Told<'a> {
    pub(super) purchase: &'a OrderMessage,
    /// `None` if there is nothing to tell.
    pub(super) order: Option<OrderId>,
}

/// One call: where in the batch it stands, and what is told.
struct Call<'a> {
    at: usize,
    item: Item,
    purchase: &'a OrderMessage,
    order: OrderId,
}

/// Runs `ordered.lua` for each, all of one master in one round trip; says of
/// each whether it worked. What is wrong with one master holds up no other.
pub(super) async fn tell(segments: &Segments, orders: &[Told<'_>]) -> Vec<Result<(), String>> {
    let mut outcomes = vec![Ok(()); orders.len()];
    // Ids that are no ids have no record; the order stands all the same.
    let calls = orders.iter().enumerate().filter_map(|(at, told)| {
        let purchase = told.purchase;
        Some(Call {
            at,
            item: Item::new(&purchase.round, &purchase.product)?,
            purchase,
            order: told.order?,
        })
    });
    let calls: Vec<Call<'_>> = calls.collect();
    let places: Vec<usize> = calls.iter().map(|call| call.at).collect();
    let sorted = segments
        .by_master(calls, |call| (&call.item, call.purchase.segment))
        .await;
    match sorted {
        Ok(sorted) => {
            for (link, calls) in sorted {
                if let Err(error) = tell_one_master(&link, &calls).await {
                    for call in calls {
                        outcomes[call.at] = Err(error.to_string());
                    }
                }
            }
        }
        Err(error) => {
            for at in places {
                outcomes[at] = Err(error.to_string());
            }
        }
    }
    outcomes
}

async fn tell_one_master(link: &RedisLink, calls: &[Call<'_>]) -> Result<(), RedisLinkError> {
    let mut conn = link.conn().await?;
    let commands: Vec<redis::Cmd> = calls.iter().map(command).collect();
    let replies = scripts::run_all::<i64>(&mut conn, &scripts::ORDERED, &commands).await?;
    let replies: Vec<i64> = replies.into_iter().collect::<Result<_, _>>()?;
    let untold = replies.iter().filter(|reply| **reply < 0).count();
    if untold > 0 {
        // An order without its record: Redis lost data that the queue kept.
        tracing::warn!(untold, "placed orders have no purchase on record");
    }
    Ok(())
}

fn command(call: &Call<'_>) -> redis::Cmd {
    let Call {
        item,
        purchase,
        order,
        ..
    } = call;
    let mut command = scripts::call(&scripts::ORDERED, &[keys::buyers(item, purchase.segment)]);
    command
        .arg(&purchase.user)
        .arg(&purchase.request)
        .arg(order.to_string())
        .arg(purchase.at_ms);
    command
}
