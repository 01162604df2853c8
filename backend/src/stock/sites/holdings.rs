//! What this site has of each product that sells, read in a few round trips.

use std::collections::HashMap;

use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;

use super::moves::on_sale;
use crate::now_ms;
use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLink, RedisLinkError};

/// How long before its round opens a product is reported, in ms.
const LEAD_MS: u64 = 60_000;
/// Products, or segments, in one round trip.
const BATCH: usize = 256;

/// What this site has of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Holding {
    /// Items here in all.
    pub(super) amount: u64,
    /// Items in orders, paid or not.
    pub(super) sold: u64,
    /// Items for sale: of these some may be given.
    pub(super) free: u64,
    /// Whether its round has begun.
    pub(super) is_open: bool,
}

/// Whether a product sells now or soon, and is not stopped.
fn sells(entry: &Entry, now_ms: u64) -> bool {
    let window = entry.window;
    entry.halt.is_none()
        && window.opens_ms <= now_ms.saturating_add(LEAD_MS)
        && window.ends_ms > now_ms
}

/// Reads what there is of every product that sells.
///
/// # Errors
/// A Redis is away: then nothing is known for certain.
pub(super) async fn read(
    redis: &RedisLink,
    segments: &Segments,
) -> Result<HashMap<Item, Holding>, RedisLinkError> {
    let mut conn = redis.conn().await?;
    let now_ms = now_ms();
    let mut products = on_sale(&mut conn).await?;
    products.retain(|(_, entry)| sells(entry, now_ms));
    let mut found: HashMap<Item, Holding> = HashMap::with_capacity(products.len());
    for (item, entry) in &products {
        let holding = Holding {
            is_open: entry.window.opens_ms <= now_ms,
            ..Holding::default()
        };
        found.insert(item.clone(), holding);
    }
    let all: Vec<Segment> = products
        .iter()
        .flat_map(|(item, entry)| Segment::all(item, entry).collect::<Vec<_>>())
        .collect();
    for (link, group) in segments.by_master(all, |it| (&it.item, it.number)).await? {
        let mut conn = link.conn().await?;
        for batch in group.chunks(BATCH) {
            let mut read = redis::Pipeline::with_capacity(batch.len());
            for segment in batch {
                let fields = [
                    "sale_stock_amount",
                    "locked_stock_amount",
                    "saled_stock_amount",
                ];
                read.hmget(keys::stock(&segment.item, segment.number), &fields);
            }
            let amounts: Vec<Vec<Option<u64>>> = read.query_async(&mut conn).await?;
            for (segment, amounts) in batch.iter().zip(amounts) {
                let [Some(sale), Some(locked), Some(saled)] = amounts[..] else {
                    continue;
                };
                if let Some(holding) = found.get_mut(&segment.item) {
                    holding.amount += sale + locked + saled;
                    holding.sold += locked + saled;
                    holding.free += sale;
                }
            }
        }
    }
    Ok(found)
}
