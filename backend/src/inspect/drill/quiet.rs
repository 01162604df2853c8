//! Reads ledger and orders once the system is quiet.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use redis::AsyncCommands as _;
use seckill_core::history::record::{Call, History, Order};
use seckill_core::ids::Item;
use seckill_core::keys;

use super::system::{ROUND, System};
use crate::inspect::verify::{self, gather};
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::sale::catalogue;
use crate::store::Store;

/// How long the system may take until every part agrees with the others.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// How long after an item was returned "sold out" may still be told, in microseconds: on a
/// machine that has much else to do, and with parts that were just struck.
const REOPENS_WITHIN_US: u64 = 5_000_000;

/// What there is in the end.
pub(super) struct Quiet {
    pub(super) history: History,
    /// What `seckill verify` says.
    pub(super) verified: verify::Report,
    /// How long it took until that was a pass.
    pub(super) took: Duration,
}

/// Waits until the system is quiet, and reads it.
pub(super) async fn read(system: &System, amount: u64, calls: Vec<Call>) -> anyhow::Result<Quiet> {
    // A slow answer is no fault of the system's.
    let redis = RedisLink::lazy_with(&system.redis_url(), Duration::from_secs(5))?;
    let segments = Segments::on(redis.clone());
    let store = Store::open(&system.database_url()).await?;
    let parts = verify::System {
        store: &store,
        redis: &redis,
        segments: &segments,
        queue_is_visible: !system.needs().queue,
        pause: verify::PAUSE,
    };
    let item = Item::new(ROUND, "1").context("the drill's ids")?;
    let began = Instant::now();
    let verified = loop {
        let is_late = began.elapsed() > PATIENCE;
        match verify::verify(parts).await {
            Ok(report) if is_late || (report.pass && report.counts.on_their_way == 0) => {
                break report;
            }
            Err(error) if is_late => return Err(error.into()),
            // A part may still be coming back.
            _ => tokio::time::sleep(PAUSE).await,
        }
    };
    let products = catalogue::read(&mut redis.conn().await?).await?;
    let entry = products
        .get(&item)
        .context("the drill's product is not in the catalogue")?;
    let state = gather::gather(parts, &item, entry).await?;
    let orders = state.orders.iter().map(|order| Order {
        number: order.id.to_string(),
        user: order.user.clone(),
        request: order.request.clone(),
        locked_ms: order.locked_ms,
        // By the roles' clock, which may have jumped; not before it was bought.
        created_ms: match system.needs().clock {
            true => order.locked_ms,
            false => order.created_ms,
        },
        quantity: order.quantity,
        state: order.state,
        stock_due: order.stock_due.is_some(),
    });
    let mut refused = HashSet::new();
    for number in 1..=entry.segments {
        let mut conn = segments.conn(&item, number).await?;
        let of_segment: Vec<String> = conn.hkeys(keys::refused(&item, number)).await?;
        refused.extend(of_segment);
    }
    let history = History {
        amount,
        reopens_within_us: REOPENS_WITHIN_US,
        calls,
        orders: orders.collect(),
        segments: state
            .segments
            .into_iter()
            .map(|segment| segment.events)
            .collect(),
        refused,
    };
    store.close().await;
    Ok(Quiet {
        history,
        verified,
        took: began.elapsed(),
    })
}
