//! The stop switch: an order of an operator is carried out in the database, with its
//! entry in the audit log, and then written to the catalogue, where every edge and every
//! purchase role finds it within a quarter of a second.
//!
//! Whoever writes to Redis reads the round's version once more afterwards, and begins
//! again if it has changed. So of several writers at once, another stop or an approval
//! among them, the last to write has written what the database says. What a crash left
//! in between stays on record as due, and [`run`] finds it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, RedisError};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use tokio_util::sync::CancellationToken;

use super::message;
use super::publish::put_halt;
use crate::redis::scripts::sale::{Replacement, replace};
use crate::redis::{RedisLink, RedisLinkError};
use crate::store::round::{RoundState, StoredRound};
use crate::store::stops::{StopError, StopOrder};
use crate::store::{Actor, LazyStore, Store, StoreError};
use crate::time::periodic::Passes;

/// Products in one round trip.
const BATCH: usize = 256;
/// Pause between two looks for stops of which Redis does not know.
const EVERY: Duration = Duration::from_secs(1);

/// Why Redis does not know a stop yet. It is on record, and carried over later.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis.
    #[error(transparent)]
    Link(#[from] RedisLinkError),
}

impl From<RedisError> for FollowError {
    fn from(error: RedisError) -> Self {
        Self::Link(error.into())
    }
}

/// The outcome of an order to the stop switch.
#[derive(Debug)]
pub struct Switched {
    /// Whether anything changed: a second order of the same kind changes nothing.
    pub changed: bool,
    /// Why the edges do not know of it yet, if they do not.
    pub problem: Option<FollowError>,
}

/// The stop switch of a shop.
#[derive(Debug, Clone, Copy)]
pub struct Switch<'a> {
    /// The database.
    pub store: &'a Store,
    /// The main Redis, with the catalogue.
    pub redis: &'a RedisLink,
}

impl Switch<'_> {
    /// Carries an order out.
    ///
    /// # Errors
    /// [`StopError`]: nothing was changed.
    pub async fn carry_out(
        &self,
        order: &StopOrder<'_>,
        by: &Actor,
        now_ms: u64,
    ) -> Result<Switched, StopError> {
        let changed = self.store.switch(order, by, now_ms).await?;
        // Also if nothing changed: Redis may have been away the first time.
        let followed = self.follow(order.round).await;
        if changed {
            let (step, round) = (order.step.as_str(), order.round);
            tracing::info!(
                step,
                round,
                product = order.product,
                by = by.name,
                "the stop switch"
            );
        }
        Ok(Switched {
            changed,
            problem: followed.err(),
        })
    }

    /// Writes the stops of all rounds of which Redis may not know them. A round that fails
    /// keeps none of the others.
    ///
    /// # Errors
    /// The first failure, when all have been tried; what failed stays due.
    pub async fn follow_due(&self) -> Result<(), FollowError> {
        let mut failed = Ok(());
        for round in self.store.stops_due().await? {
            failed = failed.and(self.follow(&round).await);
        }
        failed
    }

    /// Writes the stops of a round to Redis.
    ///
    /// # Errors
    /// [`FollowError`]; they stay due.
    pub async fn follow(&self, id: &str) -> Result<(), FollowError> {
        let mut conn = self.redis.dedicated().await?;
        loop {
            let stored = self.store.round(id).await?;
            let approved = stored.filter(|it| it.state == RoundState::Approved);
            // Only approved rounds are stopped; one that is gone has nothing to stop.
            let version = match &approved {
                Some(stored) => {
                    write(&mut conn, stored).await?;
                    stored.trail.version
                }
                None => u64::MAX,
            };
            if approved.is_none() || self.store.round_version(id).await? == Some(version) {
                message::announce(self.redis, id).await?;
                return Ok(self.store.stops_followed(id, version).await?);
            }
        }
    }
}

/// Writes the stops of a round to where edges, purchase roles and pages read them. A
/// product that is not in the catalogue is left out: its approval is still to come, or
/// its round has left Redis.
async fn write(conn: &mut MultiplexedConnection, stored: &StoredRound) -> Result<(), RedisError> {
    let round = &stored.round;
    let items: Vec<Item> = round
        .products
        .iter()
        .filter_map(|product| Item::new(&round.id, &product.id))
        .collect();
    // First: whoever reads the round at the catalogue's new version finds it stopped.
    let key = keys::round_info(&round.id);
    if conn.exists(&key).await? {
        let halt = stored.stops.round.and_then(|stop| stop.kind.halt());
        let mut info = redis::pipe();
        info.hset(&key, "ends_ms", round.ends_ms).ignore();
        put_halt(&mut info, &key, halt);
        info.exec_async(conn).await?;
    }
    for batch in items.chunks(BATCH) {
        let listed = write_entries(conn, stored, batch).await?;
        // Redis does not reply to a pipeline without commands.
        if listed.is_empty() {
            continue;
        }
        let mut infos = redis::pipe();
        for item in listed {
            let (halt, ends_ms) = stopped(stored, item);
            infos.hset(keys::info(item), "ends_ms", ends_ms).ignore();
            put_halt(&mut infos, &keys::info(item), halt);
        }
        infos.exec_async(conn).await?;
    }
    Ok(())
}

/// Sets halt and end in the catalogue's entries; returns which products have one.
async fn write_entries<'a>(
    conn: &mut MultiplexedConnection,
    stored: &StoredRound,
    items: &'a [Item],
) -> Result<Vec<&'a Item>, RedisError> {
    let names: Vec<String> = items.iter().map(Item::to_string).collect();
    loop {
        let texts: Vec<Option<String>> = redis::cmd("HMGET")
            .arg(keys::CATALOGUE)
            .arg(&names)
            .query_async(conn)
            .await?;
        let mut listed = Vec::new();
        let mut replacements = Vec::new();
        for (item, text) in items.iter().zip(texts) {
            // One that cannot be read is reported by whoever reads the catalogue.
            let Some((seen, mut entry)) = text.and_then(|text| {
                let entry = Entry::parse(&text).ok()?;
                Some((text, entry))
            }) else {
                continue;
            };
            listed.push(item);
            (entry.halt, entry.window.ends_ms) = stopped(stored, item);
            let new = entry.to_json();
            if new != seen {
                let item = item.to_string();
                replacements.push(Replacement { item, seen, new });
            }
        }
        let replaced = match replacements.is_empty() {
            true => Vec::new(),
            false => replace(&replacements).run(conn).await?,
        };
        // Somebody changed one of them at this moment: all are read again.
        if replaced.into_iter().all(|done| done) {
            return Ok(listed);
        }
    }
}

/// Halt and end of a product.
fn stopped(stored: &StoredRound, item: &Item) -> (Option<seckill_core::sale::halt::Halt>, u64) {
    let stops = &stored.stops;
    let ends_ms = stops.ends_ms(item.product(), stored.round.ends_ms);
    (stops.halt(item.product()), ends_ms)
}

/// Carries stops over to Redis that a crash, or a Redis that was away, left due, until
/// `stop`.
pub async fn run(store: LazyStore, redis: RedisLink, stop: CancellationToken) {
    let mut passes = Passes::new(stop, "stops wait to reach the edges", EVERY);
    while passes.go_on() {
        let outcome = async {
            let store = store.get().await?;
            let redis = &redis;
            Switch { store, redis }.follow_due().await
        };
        passes.pause_after(outcome.await.map(|()| EVERY)).await;
    }
}
