//! Writes the numbers of placed orders into the buyers' records.

use std::collections::HashMap;

use seckill_core::ids::Item;
use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::order::OrderId;

use crate::redis::scripts;
use crate::redis::scripts::stock::{Moved, PurchaseRef};
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError};

/// Orders in one run of the script.
const AT_ONCE: usize = 500;

/// A purchase and the order that was made from it.
pub(super) struct Numbered<'a> {
    pub(super) purchase: &'a OrderMessage,
    /// `None` if no order stands, so that nothing is written.
    pub(super) order: Option<OrderId>,
}

/// A number to write.
struct Write<'a> {
    /// Its place in the batch.
    at: usize,
    item: Item,
    purchase: &'a OrderMessage,
    order: OrderId,
}

/// Writes the number of each order into its buyer's record, for all of one master in
/// one round trip. Returns in the same order whether it worked; a master that fails
/// holds up no other.
pub(super) async fn write_numbers(
    segments: &Segments,
    orders: &[Numbered<'_>],
) -> Vec<Result<(), String>> {
    let mut outcomes = vec![Ok(()); orders.len()];
    // Ids that are malformed have no record; the order stands all the same.
    let writes = orders.iter().enumerate().filter_map(|(at, numbered)| {
        let purchase = numbered.purchase;
        Some(Write {
            at,
            item: Item::new(&purchase.round, &purchase.product)?,
            purchase,
            order: numbered.order?,
        })
    });
    let writes: Vec<Write<'_>> = writes.collect();
    let places: Vec<usize> = writes.iter().map(|write| write.at).collect();
    let sorted = segments
        .by_master(writes, |write| (&write.item, write.purchase.segment))
        .await;
    match sorted {
        Ok(sorted) => {
            for (link, writes) in sorted {
                if let Err(error) = write_on(&link, &writes).await {
                    for write in writes {
                        outcomes[write.at] = Err(error.to_string());
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

/// Writes what belongs to one master.
async fn write_on(link: &RedisLink, writes: &[Write<'_>]) -> Result<(), RedisLinkError> {
    let mut of_segments: HashMap<(&Item, u16), Vec<&Write<'_>>> = HashMap::new();
    for write in writes {
        let segment = (&write.item, write.purchase.segment);
        of_segments.entry(segment).or_default().push(write);
    }
    let mut calls = Vec::new();
    for ((item, segment), writes) in &of_segments {
        for some in writes.chunks(AT_ONCE) {
            let orders = some
                .iter()
                .map(|write| (named(write.purchase), write.order));
            calls.push(scripts::stock::ordered(item, *segment, orders));
        }
    }
    let mut conn = link.conn().await?;
    let replies = scripts::run_all(&mut conn, &calls).await?;
    let replies: Vec<Vec<Moved>> = replies.into_iter().collect::<Result<_, _>>()?;
    let missing = replies
        .iter()
        .flatten()
        .filter(|it| **it == Moved::Unknown)
        .count();
    if missing > 0 {
        // An order without its record: Redis lost data that the queue kept.
        tracing::warn!(missing, "placed orders have no purchase on record");
    }
    Ok(())
}

fn named(purchase: &OrderMessage) -> PurchaseRef<'_> {
    PurchaseRef {
        user: &purchase.user,
        request: &purchase.request,
        at_ms: purchase.at_ms,
    }
}
