//! The stop switch: an order of an operator is carried out in the database, with its
//! entry in the audit log, and then written to the catalogue, where every edge and every
//! purchase role finds it within a quarter of a second.
//!
//! Whoever writes to Redis reads the round's version once more afterwards, and begins
//! again if it has changed. So of several writers at once, another stop or an approval
//! among them, the last to write has written what the database says. What a crash left
//! in between stays on record as due, and [`run`] finds it.
//!
//! A Redis that comes back older has forgotten stops that it knew, and would sell what
//! operators have stopped. So whenever the connection to it is a new one, [`run`] compares
//! what it says of each round with the database.

use std::time::Duration;

use jiff::tz::TimeZone;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, RedisError};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::message;
use super::publish::put_halt;
use crate::redis::scripts::sale::{Replacement, replace};
use crate::redis::{RedisLink, RedisLinkError};
use crate::store::round::{Round, RoundState, StoredRound};
use crate::store::stops::{StopError, StopOrder};
use crate::store::{Actor, LazyStore, Store, StoreError};
use crate::time::periodic::Passes;

/// What an older Redis has forgotten.
mod forgotten;

/// Products in one round trip.
const BATCH: usize = 256;
/// How long Redis may take for the stops of one round: ten thousand products take it a
/// second.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks for stops of which Redis does not know.
const EVERY: Duration = Duration::from_secs(1);

/// Why Redis does not know a stop yet. It is on record, and carried over later.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The database is away or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis is away or refuses.
    #[error(transparent)]
    Link(#[from] RedisLinkError),
    /// Redis, or the database, is there and silent.
    #[error("the stops of round \"{round}\" were not written to Redis within {} s", PATIENCE.as_secs())]
    Slow {
        /// The round.
        round: String,
    },
}

impl From<RedisError> for FollowError {
    fn from(error: RedisError) -> Self {
        Self::Link(error.into())
    }
}

fn slow(round: &str) -> FollowError {
    let round = round.to_owned();
    FollowError::Slow { round }
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
        // Nobody's stop waits behind one that a silent Redis holds up.
        let written = timeout(PATIENCE, self.write_round(id)).await;
        written.unwrap_or_else(|_| Err(slow(id)))
    }

    async fn write_round(&self, id: &str) -> Result<(), FollowError> {
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
    let items = items(round);
    // First: whoever reads the round at the catalogue's new version finds it stopped.
    let key = keys::round_info(&round.id);
    if conn.exists(&key).await? {
        let halt = stored.stops.round.and_then(|stop| stop.kind.halt());
        let mut info = redis::pipe();
        let window = [("starts_ms", round.opens_ms), ("ends_ms", round.ends_ms)];
        info.hset_multiple(&key, &window).ignore();
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
        for (item, entry) in listed {
            let sold = [
                ("starts_ms", entry.window.opens_ms),
                ("ends_ms", entry.window.ends_ms),
                ("price_cents", entry.price_cents),
            ];
            infos.hset_multiple(keys::info(item), &sold).ignore();
            put_halt(&mut infos, &keys::info(item), entry.halt);
        }
        infos.exec_async(conn).await?;
    }
    Ok(())
}

/// Sets in the catalogue's entries what the database says; returns those that there are.
async fn write_entries<'a>(
    conn: &mut MultiplexedConnection,
    stored: &StoredRound,
    items: &'a [Item],
) -> Result<Vec<(&'a Item, Entry)>, RedisError> {
    loop {
        let mut listed = Vec::new();
        let mut replacements = Vec::new();
        for (item, seen, mut entry) in read_entries(conn, items).await? {
            correct(&mut entry, stored, item);
            let new = entry.to_json();
            listed.push((item, entry));
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

/// The catalogue's entries of those products that have one, each with its text. One that
/// cannot be read is reported by whoever reads the catalogue.
async fn read_entries<'a>(
    conn: &mut MultiplexedConnection,
    items: &'a [Item],
) -> Result<Vec<(&'a Item, String, Entry)>, RedisError> {
    let names: Vec<String> = items.iter().map(Item::to_string).collect();
    let texts: Vec<Option<String>> = redis::cmd("HMGET")
        .arg(keys::CATALOGUE)
        .arg(&names)
        .query_async(conn)
        .await?;
    let read = |(item, text): (&'a Item, Option<String>)| {
        let text = text?;
        let entry = Entry::parse(&text).ok()?;
        Some((item, text, entry))
    };
    Ok(items.iter().zip(texts).filter_map(read).collect())
}

/// Has an entry say what the database says of how the product sells: whether it is
/// stopped, when, and for how much. Amounts are left as they are: they follow the stock.
fn correct(entry: &mut Entry, stored: &StoredRound, item: &Item) {
    let (round, stops) = (&stored.round, &stored.stops);
    entry.halt = stops.halt(item.product());
    entry.window.opens_ms = round.opens_ms;
    entry.window.ends_ms = stops.ends_ms(item.product(), round.ends_ms);
    let product = round.products.iter().find(|it| it.id == item.product());
    if let Some(product) = product {
        (entry.price_cents, entry.priced_ms) = (product.price_cents, product.priced_ms);
    }
}

fn items(round: &Round) -> Vec<Item> {
    let products = round.products.iter();
    products
        .filter_map(|product| Item::new(&round.id, &product.id))
        .collect()
}

/// Carries stops over to Redis that a crash, a Redis that was away, or one that came back
/// older, left due, until `stop`. In `zone` days begin and end.
pub async fn run(store: LazyStore, redis: RedisLink, zone: TimeZone, stop: CancellationToken) {
    let mut passes = Passes::new(stop, "stops wait to reach the edges", EVERY);
    // The connection at which Redis was last compared.
    let mut compared = None;
    while passes.go_on() {
        let outcome = async {
            let store = store.get().await?;
            let redis = &redis;
            let switch = Switch { store, redis };
            redis.conn().await?;
            let life = redis.life();
            // Stops that are due come first, and wait for nothing that is forgotten.
            let followed = switch.follow_due().await;
            if compared != Some(life) {
                switch.follow_forgotten(&zone).await?;
                compared = Some(life);
            }
            followed
        };
        passes.pause_after(outcome.await.map(|()| EVERY)).await;
    }
}
