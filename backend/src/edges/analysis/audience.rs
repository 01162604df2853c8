//! Counts from the logs who saw a product, who tried to buy it, and which products are
//! hot, and writes the counts to Redis in batches.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, RedisError};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::suspicion::access_log::{Endpoint, Line};
use seckill_core::suspicion::participants;
use serde::Serialize;

/// How long counts are kept after the last one, in seconds: four weeks.
const KEPT_S: i64 = 28 * 86_400;
/// Commands sent at once.
const BATCH: usize = 1_000;
/// Visits that are remembered, so that a page that polls each second costs one command
/// and not a thousand.
const REMEMBERED: usize = 500_000;

/// What was counted and is not yet in Redis.
#[derive(Debug)]
pub struct Audience {
    zone: TimeZone,
    visitors: HashMap<Item, HashSet<u64>>,
    participants: HashMap<Item, HashSet<u64>>,
    hot: HashMap<(String, Item), u64>,
    seen: HashSet<(Item, u64)>,
    /// The day of the previous line, which is nearly always that of the next.
    day: Option<(u64, String)>,
}

impl Audience {
    /// Days begin and end at midnight in `zone`.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            visitors: HashMap::new(),
            participants: HashMap::new(),
            hot: HashMap::new(),
            seen: HashSet::new(),
            day: None,
        }
    }

    /// Counts a request that concerns a product; others are ignored.
    pub fn note(&mut self, line: &Line<'_>) {
        // A request for a product that does not exist counts for none.
        if line.status == 404 || line.status == 400 {
            return;
        }
        let Some(item) = line
            .item()
            .and_then(|(round, product)| Item::new(round, product))
        else {
            return;
        };
        if line.is_look() || line.endpoint == Endpoint::Path {
            let visitor = visitor(line);
            if self.seen.len() >= REMEMBERED {
                self.seen.clear();
            }
            if self.seen.insert((item.clone(), visitor)) {
                self.visitors
                    .entry(item.clone())
                    .or_default()
                    .insert(visitor);
            }
        }
        if let (Endpoint::Click, Some(user)) = (line.endpoint, line.user.as_deref()) {
            let bits = self.participants.entry(item.clone()).or_default();
            bits.insert(participants::bit(user));
        }
        if matches!(line.endpoint, Endpoint::Page | Endpoint::Click) {
            let day = self.day_of(line.at_ms);
            *self.hot.entry((day, item)).or_default() += 1;
        }
    }

    fn day_of(&mut self, at_ms: u64) -> String {
        // Time zones differ by quarters of an hour.
        let quarter = at_ms / 900_000;
        if let Some((known, day)) = &self.day
            && *known == quarter
        {
            return day.clone();
        }
        let at = i64::try_from(at_ms).ok();
        let day = at
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .map(|at| at.to_zoned(self.zone.clone()).date().to_string())
            .unwrap_or_default();
        self.day = Some((quarter, day.clone()));
        day
    }

    /// Writes what was counted. If that fails, the rest is written the next time:
    /// visitors and participants are the same however often they are written, and
    /// only what was being written when Redis went away may count twice as hot.
    ///
    /// # Errors
    /// Redis is away, or a key holds something else.
    pub async fn write(&mut self, conn: &mut MultiplexedConnection) -> Result<(), RedisError> {
        while let Some(item) = self.visitors.keys().next().cloned() {
            let key = keys::visitors(&item);
            let marks = self.visitors.get(&item);
            let all: Vec<Vec<u8>> = marks
                .into_iter()
                .flatten()
                .map(|visitor| visitor.to_be_bytes().to_vec())
                .collect();
            for some in all.chunks(BATCH) {
                let mut pipe = redis::pipe();
                pipe.cmd("PFADD").arg(&key).arg(some).ignore();
                pipe.expire(&key, KEPT_S).ignore();
                pipe.query_async::<()>(conn).await?;
            }
            self.visitors.remove(&item);
        }
        while let Some(item) = self.participants.keys().next().cloned() {
            let key = keys::participants(&item);
            let bits: Vec<u64> = self
                .participants
                .get(&item)
                .into_iter()
                .flatten()
                .copied()
                .collect();
            for some in bits.chunks(BATCH) {
                let mut pipe = redis::pipe();
                for bit in some {
                    pipe.cmd("SETBIT").arg(&key).arg(*bit).arg(1).ignore();
                }
                pipe.expire(&key, KEPT_S).ignore();
                pipe.query_async::<()>(conn).await?;
            }
            self.participants.remove(&item);
        }
        while let Some((day, item)) = self.hot.keys().next().cloned() {
            let count = self.hot.remove(&(day.clone(), item.clone())).unwrap_or(0);
            let key = keys::hot(&day);
            let mut pipe = redis::pipe();
            pipe.zincr(&key, item.to_string(), count).ignore();
            pipe.expire(&key, KEPT_S).ignore();
            pipe.query_async::<()>(conn).await?;
        }
        Ok(())
    }
}

/// A number for one visitor: an account, or an address with a browser.
fn visitor(line: &Line<'_>) -> u64 {
    let mark = |text: &str| {
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    match line.user.as_deref() {
        Some(user) => mark(user),
        None => mark(&format!("{}|{}", line.address, line.agent)),
    }
}

/// A product's audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// About how many saw it (HyperLogLog: within 0.8 %).
    pub visitors: u64,
    /// About how many accounts clicked (within 0.1 %, see
    /// [`seckill_core::suspicion::participants`]).
    pub participants: u64,
}

/// Reads the audience of some products, in their order.
///
/// # Errors
/// Redis is away, or a key holds something else.
pub async fn read(
    conn: &mut MultiplexedConnection,
    items: &[Item],
) -> Result<Vec<Counts>, RedisError> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipe = redis::pipe();
    for item in items {
        pipe.cmd("PFCOUNT").arg(keys::visitors(item));
        pipe.cmd("BITCOUNT").arg(keys::participants(item));
    }
    let counts: Vec<u64> = pipe.query_async(conn).await?;
    let counts = counts.chunks_exact(2).map(|pair| Counts {
        visitors: pair[0],
        participants: participants::estimate(pair[1]),
    });
    Ok(counts.collect())
}

/// The hottest products of `date` (`YYYY-MM-DD`) and their views and clicks.
///
/// # Errors
/// Redis is away, or the key holds something else.
pub async fn hottest(
    conn: &mut MultiplexedConnection,
    date: &str,
    most: isize,
) -> Result<Vec<(String, u64)>, RedisError> {
    conn.zrevrange_withscores(keys::hot(date), 0, most - 1)
        .await
}
