//! Retires rounds that are over: hours after its end or its withdrawal, once nothing of it
//! is under way, a round leaves the catalogue, and with it every edge's memory, and Redis.
//! What its segments held and a digest of their archived events stay in the database, so
//! that `seckill verify --archived` can replay its ledger for ever.
//!
//! The database decides first. Clearing Redis may be repeated: a crash in between leaves
//! a round that is retired and not cleared, and the next pass goes on with it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, RedisError};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use seckill_core::stock::ledger::Event;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::now_ms;
use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::sale::{message, publish};
use crate::store::retired::{Over, RetiredSegment};
use crate::store::round::{Product, StoredRound};
use crate::store::{LazyStore, Store, StoreError};
use crate::time::periodic::Passes;

/// Pause between two looks for rounds to retire.
const EVERY: Duration = Duration::from_secs(10);
/// Rounds that one pass looks at.
const BATCH: u32 = 20;
/// Keys that one command deletes.
const KEYS: usize = 256;

/// Why a round stays for now.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// The database is away or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis is away or refuses.
    #[error(transparent)]
    Link(#[from] RedisLinkError),
}

impl From<RedisError> for RetireError {
    fn from(error: RedisError) -> Self {
        Self::Link(error.into())
    }
}

/// Retires the rounds of a shop.
#[derive(Debug, Clone, Copy)]
pub struct Retirer<'a> {
    /// The database.
    pub store: &'a Store,
    /// The main Redis.
    pub redis: &'a RedisLink,
    /// The masters of the segments.
    pub segments: &'a Segments,
}

/// What became of a round that was to retire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retired {
    /// It is retired.
    Now,
    /// It stays for now, for this reason.
    Later(String),
}

impl Retirer<'_> {
    /// Retires a round, unless something of it is still under way.
    ///
    /// # Errors
    /// [`RetireError`]; calling again goes on.
    pub async fn retire(&self, id: &str) -> Result<Retired, RetireError> {
        let Some(stored) = self.store.round(id).await? else {
            return Ok(Retired::Later("it is gone".to_owned()));
        };
        if self.store.has_open_orders(id).await? {
            return Ok(Retired::Later("an order of it is open".to_owned()));
        }
        let mut held = Vec::new();
        for (item, entry) in items(&stored) {
            for segment in Segment::all(&item, &entry) {
                match self.settled(&segment).await? {
                    Ok(Some(retired)) => held.push(retired),
                    // It never had stock: it was never sold.
                    Ok(None) => {}
                    Err(reason) => return Ok(Retired::Later(reason)),
                }
            }
            let mut conn = self.redis.conn().await?;
            let leases: u64 = conn.hlen(keys::leases(&item)).await?;
            if leases > 0 {
                return Ok(Retired::Later(format!("{item} has {leases} open leases")));
            }
        }
        self.store.retire_round(id, &held, now_ms()).await?;
        self.clear(id).await?;
        Ok(Retired::Now)
    }

    /// What a segment holds, if nothing of it is under way; else what is.
    async fn settled(
        &self,
        segment: &Segment,
    ) -> Result<Result<Option<RetiredSegment>, String>, RetireError> {
        let Segment { item, number } = segment;
        let mut conn = self.segments.conn(item, *number).await?;
        type Amounts = (Option<u64>, Option<u64>, Option<u64>);
        let ((sale, locked, saled), outbox, transit): (Amounts, u64, u64) = redis::pipe()
            .hmget(
                keys::stock(item, *number),
                &[
                    "sale_stock_amount",
                    "locked_stock_amount",
                    "saled_stock_amount",
                ],
            )
            .xlen(keys::outbox(item, *number))
            .hlen(keys::transit(item, *number))
            .query_async(&mut conn)
            .await?;
        let (Some(sale), Some(locked), Some(saled)) = (sale, locked, saled) else {
            let archived = self.store.last_archived(item, *number).await?;
            return Ok(match (sale, locked, saled, archived) {
                (None, None, None, None) => Ok(None),
                // It is put back first (`inspect/heal.rs`): what it held goes on record.
                (None, None, None, Some(_)) => Err(format!("segment {segment} has lost its stock")),
                _ => Err(format!("segment {segment} has lost an amount")),
            });
        };
        for (count, what) in [
            (outbox, "events in the outbox"),
            (transit, "transfers on their way"),
            (locked, "locked items"),
        ] {
            if count > 0 {
                return Ok(Err(format!("segment {segment} has {count} {what}")));
            }
        }
        let events = self.store.ledger(item, *number).await?;
        Ok(Ok(Some(RetiredSegment {
            round: item.round().to_owned(),
            product: item.product().to_owned(),
            segment: *number,
            sale,
            saled,
            events: events.len() as u64,
            digest: digest(&events),
        })))
    }

    /// Removes a retired round from Redis: from the catalogue first, by which the edges
    /// forget it.
    ///
    /// # Errors
    /// [`RetireError`]; calling again goes on.
    pub async fn clear(&self, id: &str) -> Result<(), RetireError> {
        let Some(stored) = self.store.round(id).await? else {
            return Ok(());
        };
        let items = items(&stored);
        let mut conn = self.redis.dedicated().await?;
        forget_catalogue(&mut conn, &items).await?;
        self.delete_items(&mut conn, &items).await?;
        let date: Option<String> = conn.hget(keys::round_info(id), "date").await?;
        if let Some(date) = date {
            let () = conn.zrem(keys::rounds(&date), id).await?;
        }
        delete(&mut conn, &[keys::round_products(id), keys::round_info(id)]).await?;
        message::announce(self.redis, id).await?;
        Ok(self.store.round_cleared(id).await?)
    }

    /// Removes what came back after a round was cleared: a process that had not read the
    /// new catalogue yet may have made an outbox anew, to read from it, or reported to a
    /// product.
    ///
    /// # Errors
    /// [`RetireError`]; calling again goes on.
    pub async fn clear_again(&self, id: &str) -> Result<(), RetireError> {
        let Some(stored) = self.store.round(id).await? else {
            return Ok(());
        };
        let mut conn = self.redis.dedicated().await?;
        self.delete_items(&mut conn, &items(&stored)).await
    }

    async fn delete_items(
        &self,
        conn: &mut MultiplexedConnection,
        items: &[(Item, Entry)],
    ) -> Result<(), RetireError> {
        for (item, entry) in items {
            for Segment { item, number } in Segment::all(item, entry) {
                let link = self.segments.link(&item, number).await?;
                let keys = segment_keys(&item, number);
                delete(&mut link.dedicated().await?, &keys).await?;
            }
            delete(conn, &item_keys(item)).await?;
        }
        Ok(())
    }
}

/// The products of a round, with the number of their segments.
fn items(stored: &StoredRound) -> Vec<(Item, Entry)> {
    let round = stored.in_force();
    let named = |product: &Product| {
        let entry = publish::entry((&round, &stored.stops), product);
        Some((Item::new(&round.id, &product.id)?, entry))
    };
    round.products.iter().filter_map(named).collect()
}

async fn forget_catalogue(
    conn: &mut MultiplexedConnection,
    items: &[(Item, Entry)],
) -> Result<(), RedisError> {
    let fields: Vec<String> = items.iter().map(|(item, _)| item.to_string()).collect();
    let mut write = redis::pipe();
    for fields in fields.chunks(KEYS) {
        write.hdel(keys::CATALOGUE, fields);
    }
    write.hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1);
    scripts::together(&write).run(conn).await
}

/// The keys of a product in the main Redis.
fn item_keys(item: &Item) -> Vec<String> {
    vec![
        keys::info(item),
        keys::permits(item),
        keys::leases(item),
        keys::reports(item),
        keys::winners(item),
        keys::refunds(item),
        keys::reopening(item),
        keys::adjusted(item),
        keys::adjusting(item),
        keys::giving(item),
        keys::visitors(item),
        keys::participants(item),
    ]
}

/// The keys of a segment, the outbox last: while it is there, readers find it.
fn segment_keys(item: &Item, number: u16) -> Vec<String> {
    vec![
        keys::stock(item, number),
        keys::buyers(item, number),
        keys::buyers_rebuilt(item, number),
        keys::spent(item, number),
        keys::journals(item, number),
        keys::refused(item, number),
        keys::forgotten(item, number),
        keys::given_up(item, number),
        keys::adjustments(item, number),
        keys::transit(item, number),
        keys::transfers(item, number),
        keys::outbox(item, number),
    ]
}

/// Deletes keys one by one, in the background of Redis: they may lie in several slots,
/// and a record of a million buyers takes a while to free.
async fn delete(conn: &mut MultiplexedConnection, keys: &[String]) -> Result<(), RedisError> {
    let mut write = redis::pipe();
    for key in keys {
        write.cmd("UNLINK").arg(key).ignore();
    }
    write.exec_async(conn).await
}

/// A digest of a segment's events, in their order.
#[must_use]
pub fn digest(events: &[Event]) -> String {
    let mut hash = Sha256::new();
    for event in events {
        hash.update(event.id.to_string());
        for (name, text) in &event.fields {
            // No name and no text holds a zero byte.
            hash.update([0]);
            hash.update(name);
            hash.update([0]);
            hash.update(text);
        }
        hash.update([0, 0]);
    }
    let bytes = hash.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Retires rounds `after` their end, until `stop`. Several may run: each step may be
/// repeated.
pub async fn run(
    store: LazyStore,
    redis: RedisLink,
    segments: Segments,
    after: Duration,
    stop: CancellationToken,
) {
    let mut passes = Passes::new(stop, "rounds that are over wait to leave Redis", EVERY);
    let mut progress = Progress::default();
    while passes.go_on() {
        let outcome = async {
            let retirer = Retirer {
                store: store.get().await?,
                redis: &redis,
                segments: &segments,
            };
            progress.pass(retirer, after).await
        };
        passes.pause_after(outcome.await.map(|()| EVERY)).await;
    }
}

/// What passes leave to those after them.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rounds that the pass before retired: by now every process has read the catalogue.
    retired: Vec<String>,
    /// The last round that a pass looked at. The next looks at those behind it, so that
    /// rounds that cannot retire keep no other from its turn.
    looked_at: Over,
}

impl Progress {
    /// Retires what has been over for `after`, up to [`BATCH`] rounds. A round that fails,
    /// such as one with a segment whose Redis is away, keeps none of the others.
    ///
    /// # Errors
    /// The first failure, when all has been tried; the next pass goes on.
    pub async fn pass(&mut self, retirer: Retirer<'_>, after: Duration) -> Result<(), RetireError> {
        let mut failed = Ok(());
        for round in std::mem::take(&mut self.retired) {
            if let Err(error) = retirer.clear_again(&round).await {
                self.retired.push(round);
                failed = failed.and(Err(error));
            }
        }
        for round in retirer.store.rounds_to_clear().await? {
            match retirer.clear(&round).await {
                Ok(()) => self.retired.push(round),
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let ended_before = now_ms().saturating_sub(after_ms);
        let store = retirer.store;
        let due = store.rounds_to_retire(ended_before, &self.looked_at, BATCH);
        let due = due.await?;
        let is_full = due.len() == BATCH as usize;
        self.looked_at = due.last().filter(|_| is_full).cloned().unwrap_or_default();
        for Over { round, .. } in due {
            match retirer.retire(&round).await {
                Ok(Retired::Now) => {
                    tracing::info!(round, "a round is retired: it left Redis and the edges");
                    self.retired.push(round);
                }
                Ok(Retired::Later(reason)) => {
                    tracing::debug!(round, reason, "a round cannot retire yet");
                }
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed
    }
}
