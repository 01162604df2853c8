//! Tells the buyers' records that their orders are in the database.

use std::collections::HashMap;

use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::order::OrderId;

use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError, scripts};

/// Orders in one run of the script.
const AT_ONCE: usize = 500;

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

/// Runs `ordered.lua`, for all of one master in one round trip; says of each whether it worked. What is wrong with one master holds up no other.
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
    let mut of_segments: HashMap<String, Vec<&Call<'_>>> = HashMap::new();
    for call in calls {
        let buyers = keys::buyers(&call.item, call.purchase.segment);
        of_segments.entry(buyers).or_default().push(call);
    }
    let mut commands = Vec::new();
    for (buyers, calls) in &of_segments {
        let chunks = calls.chunks(AT_ONCE);
        commands.extend(chunks.map(|calls| command(buyers, calls)));
    }
    let mut conn = link.conn().await?;
    let replies = scripts::run_all::<Vec<i64>>(&mut conn, &scripts::ORDERED, &commands).await?;
    let replies: Vec<Vec<i64>> = replies.into_iter().collect::<Result<_, _>>()?;
    let untold = replies.iter().flatten().filter(|reply| **reply < 0).count();
    if untold > 0 {
        // An order without its record: Redis lost data that the queue kept.
        tracing::warn!(untold, "placed orders have no purchase on record");
    }
    Ok(())
}

fn command(buyers: &String, calls: &[&Call<'_>]) -> redis::Cmd {
    let mut command = scripts::call(&scripts::ORDERED, std::slice::from_ref(buyers));
    for call in calls {
        command
            .arg(&call.purchase.user)
            .arg(&call.purchase.request)
            .arg(call.order.to_string())
            .arg(call.purchase.at_ms);
    }
    command
}
