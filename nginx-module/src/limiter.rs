//! Tokens of the site's buckets by key, for `seckill_rate key=… scope=site`.
//!
//! Redis has the buckets (`lua/rate/take.lua`). Requests of one key that wait at the
//! same time are one command, with one flight for each key and worker. A key that is
//! asked for often gets a few tokens beyond, for the next tenth of a second; of a key
//! at its limit it is remembered until when.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use redis::RedisResult;
use seckill_core::keys;

use crate::conf::Edge;
use crate::ctx::park::Parked;
use crate::ctx::{Ctx, Limiting};
use crate::state::LimitZone;
use crate::{clock, error_log, link, rt};

/// How long tokens in hand may be used, in ms.
const HAND_MS: u64 = 100;
/// The part of a second for which tokens are taken beyond what waits.
const AHEAD: u64 = 100;
/// How long a reply is waited for. Requests themselves wait for the timeout of
/// `seckill_redis`; what comes after that is for the next ones.
const PATIENCE: Duration = Duration::from_secs(1);

/// The zone's address, and the key's hash.
type Key = (*const LimitZone, u64);

thread_local! {
    /// Requests that wait, by key. A key is there while its flight is.
    static WAITING: RefCell<HashMap<Key, Vec<Rc<Parked>>>> = RefCell::default();
}

/// A key of a zone.
struct Bucket {
    zone: Rc<LimitZone>,
    key: Vec<u8>,
    hash: u64,
}

impl Bucket {
    fn id(&self) -> Key {
        (Rc::as_ptr(&self.zone), self.hash)
    }
}

/// Puts a parked request among those that wait for a token of this key.
pub(crate) fn join(
    edge: &Edge,
    zone: &Rc<LimitZone>,
    (key, hash): (&[u8], u64),
    parked: Rc<Parked>,
) {
    let bucket = Bucket {
        zone: Rc::clone(zone),
        key: key.to_vec(),
        hash,
    };
    let is_first = WAITING.with_borrow_mut(|waiting| {
        let mut is_first = false;
        let queue = waiting.entry(bucket.id()).or_insert_with(|| {
            is_first = true;
            Vec::new()
        });
        queue.push(parked);
        is_first
    });
    if is_first {
        let edge = edge.clone();
        rt::spawn(async move { serve(&edge, &bucket).await }).detach();
    }
}

/// Serves the requests of one key until none waits.
async fn serve(edge: &Edge, bucket: &Bucket) {
    loop {
        let waiting = next(bucket);
        if waiting.is_empty() {
            return;
        }
        let taking = take(edge, bucket, waiting.len() as u64);
        match rt::finish(PATIENCE, taking).await {
            Some(Ok((granted, wait_ms))) => {
                share_out(bucket, &waiting, (granted, wait_ms));
            }
            failure => {
                if let Some(Err(error)) = failure
                    && !link::judge(&error)
                {
                    error_log::warn_rarely(&format!(
                        "tokens of zone {} cannot be taken: {}",
                        bucket.zone.name,
                        link::text_of(&error)
                    ));
                }
                for parked in waiting {
                    parked.resume(|ctx: &Ctx| ctx.limiting.set(Limiting::Alone));
                }
            }
        }
    }
}

/// The requests of a key that wait; its flight ends with none.
fn next(bucket: &Bucket) -> Vec<Rc<Parked>> {
    WAITING.with_borrow_mut(|queues| {
        let key = bucket.id();
        let mut waiting = queues.get_mut(&key).map(std::mem::take).unwrap_or_default();
        waiting.retain(|parked| parked.is_waiting());
        if waiting.is_empty() {
            queues.remove(&key);
        }
        waiting
    })
}

/// Gives the tokens to those that wait, the first first; what is beyond stays in hand.
fn share_out(bucket: &Bucket, waiting: &[Rc<Parked>], (granted, wait_ms): (u64, u64)) {
    let now_ms = clock::monotonic_ms();
    let mut left = granted;
    // A client that left needs none.
    for parked in waiting.iter().filter(|parked| parked.is_waiting()) {
        let outcome = if left > 0 {
            left -= 1;
            Limiting::Granted
        } else {
            Limiting::Refused(wait_ms)
        };
        parked.resume(|ctx: &Ctx| ctx.limiting.set(outcome));
    }
    if let Some((_, entry)) = bucket.zone.entry(&bucket.key) {
        if left > 0 {
            entry.add(left, now_ms, now_ms + HAND_MS);
        } else if wait_ms > 0 {
            entry.refuse_until(now_ms + wait_ms, now_ms);
        }
    }
}

/// Takes tokens for `waiting` requests: how many were granted, and ms until the next.
///
/// # Errors
/// Redis is away, or replied with an error.
async fn take(edge: &Edge, bucket: &Bucket, waiting: u64) -> RedisResult<(u64, u64)> {
    let away = || redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::NotConnected));
    let mut link = link::ready().await.ok_or_else(away)?;
    let limit = &bucket.zone.limit;
    let counters = edge.zone.counters();
    counters.redis_commands.add(1);
    let begun = Instant::now();
    let reply = redis::cmd("EVALSHA")
        .arg(&link.scripts.rate)
        .arg(1)
        .arg(keys::rate(&bucket.zone.name, &bucket.key))
        .arg(limit.per_second)
        .arg(limit.burst)
        .arg(waiting)
        .arg(waiting.min(limit.per_second / AHEAD))
        .query_async(&mut link.connection)
        .await;
    counters.redis_took(begun.elapsed().as_micros() as u64);
    match &reply {
        Ok(_) => link::works(),
        Err(_) => counters.redis_failures.add(1),
    }
    reply
}
