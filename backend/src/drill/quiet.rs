//! Reads ledger and orders once the system is quiet.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use seckill_core::history::record::{Call, History, Order};
use seckill_core::ids::Item;

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
    let redis = RedisLink::connect(&system.redis_url()).await?;
    let segments = Segments::on(redis.clone());
    let store = Store::open(&system.database_url()).await?;
    let parts = verify::System {
        store: &store,
        redis: &redis,
        segments: &segments,
        queue_is_visible: true,
        pause: verify::PAUSE,
    };
    let item = Item::new(ROUND, "1").context("the drill's ids")?;
    let began = Instant::now();
    let verified = loop {
        let report = verify::verify(parts).await?;
        let quiet = report.pass && report.counts.on_their_way == 0;
        if quiet || began.elapsed() > PATIENCE {
            break report;
        }
        tokio::time::sleep(PAUSE).await;
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
        created_ms: order.created_ms,
        quantity: order.quantity,
        state: order.state,
        stock_due: order.stock_due.is_some(),
    });
    let history = History {
        amount,
        calls,
        orders: orders.collect(),
        segments: state
            .segments
            .into_iter()
            .map(|segment| segment.events)
            .collect(),
    };
    store.close().await;
    Ok(Quiet {
        history,
        verified,
        took: began.elapsed(),
    })
}
