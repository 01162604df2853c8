//! Writes a plan to Redis.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, pipe};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::stock::rebuild::Plan;
use serde_json::json;

use super::outcome::Permits;
use crate::inspect::verify::gather::SegmentState;
use crate::redis::scripts;
use crate::redis::segments::Segment;

/// Records or events in one round trip.
const BATCH: usize = 500;

/// Puts a segment back, unless something has happened there since `segment` was
/// read; tells whether it did.
pub(super) async fn segment(
    conn: &mut MultiplexedConnection,
    segment: &SegmentState,
    plan: &Plan,
    spent: &BTreeMap<String, String>,
) -> Result<bool, RedisError> {
    let Segment { item, number } = &segment.id;
    let written = keys::buyers_rebuilt(item, *number);
    redis::cmd("DEL").arg(&written).exec_async(conn).await?;
    let buyers: Vec<_> = plan.buyers.iter().collect();
    for some in buyers.chunks(BATCH) {
        let mut write = pipe();
        write.hset_multiple(&written, some).ignore();
        write.exec_async(conn).await?;
    }
    let events = plan.missing.iter().map(|fields| {
        let flat = fields.iter().flat_map(|(name, text)| [name, text]);
        flat.collect::<Vec<_>>()
    });
    let amounts = [plan.amounts.sale, plan.amounts.locked, plan.amounts.saled];
    let plan = json!({
        "amounts": amounts.map(|items| items.to_string()),
        "events": events.collect::<Vec<_>>(),
        "spent": spent,
        "transfers": plan.transfers,
    });
    let archived = segment.events.last().map_or(0, |event| event.id.ms);
    let rebuild = scripts::stock::Rebuild {
        seen: segment.newest,
        amounts: segment.stock.map(|it| [it.sale, it.locked, it.saled]),
        after_ms: archived.max(segment.newest.ms),
        plan: &plan.to_string(),
    };
    let call = scripts::stock::rebuild(item, *number, &rebuild);
    call.run(conn).await
}

/// Appends copies of purchases whose order message was lost. Should this break
/// off, the next rebuild finds those that are missing.
pub(super) async fn redriven(
    conn: &mut MultiplexedConnection,
    place: &Segment,
    plan: &Plan,
) -> Result<(), RedisError> {
    for some in plan.redriven.chunks(BATCH) {
        let mut write = pipe();
        for fields in some {
            let outbox = keys::outbox(&place.item, place.number);
            write.xadd(outbox, "*", fields).ignore();
        }
        write.exec_async(conn).await?;
    }
    Ok(())
}

/// Sets the count of permits; the segments are halted, so that what was spent stands.
pub(super) async fn permits(
    conn: &mut MultiplexedConnection,
    item: &Item,
    permits: &Permits,
) -> Result<(), RedisError> {
    let Permits {
        spent,
        returned,
        refunds,
    } = permits;
    let call = scripts::permits::rebuild(item, spent, *returned, refunds);
    call.run(conn).await.map(drop)
}
