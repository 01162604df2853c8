//! Returns permits for which no purchase arrived.
//!
//! An edge takes permits on a lease and names it with every request that it admits. A
//! lease that is older than a request can be under way is closed on every segment, which
//! fixes how many of its permits were spent, and then settled: the rest is returned. Both
//! steps may be repeated, so that a crash between them, or several instances at once, do
//! no harm.
//!
//! A lease whose permits were all spent is settled at once, without being closed: no
//! request can come with it any more, and nothing is returned. Its edge may not know, since
//! a journalled request is answered before it is made; and while a lease is open, nobody is
//! told "sold out".

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::orders::purchase::BuyerRecord;
use seckill_core::permits::{lease, standby};
use seckill_core::sale::catalogue::Entry;
use seckill_core::shared::winners;
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::sale::catalogue;
use crate::time::periodic::Passes;

/// Leases closed and settled by one run of the scripts, so that a run occupies Redis for
/// well under a millisecond.
const BATCH: usize = 200;
/// How long after its round's end a segment remembers closed leases, in ms.
const KEEP_MS: u64 = 7 * 86_400_000;

/// Until when a segment remembers how many permits of each lease were spent, epoch ms.
#[must_use]
pub fn spent_until_ms(entry: &Entry) -> u64 {
    entry.window.ends_ms.saturating_add(KEEP_MS)
}

/// When leases are reclaimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Longest time for an admitted request to arrive; older leases are closed.
    pub in_flight: Duration,
    /// Pause between two passes.
    pub every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            in_flight: Duration::from_secs(5),
            every: Duration::from_secs(1),
        }
    }
}

/// Returns permits of requests that never arrived, until `stop`. Of several instances one
/// works at a time, to spare Redis.
pub async fn run(redis: RedisLink, segments: Segments, options: Options, stop: CancellationToken) {
    let me = instance_name();
    let every = options.every;
    let mut passes = Passes::new(stop, "leases wait to be reclaimed", every);
    while passes.go_on() {
        let outcome = pass(&redis, &segments, &options, &me).await;
        passes.pause_after(outcome.map(|()| every)).await;
    }
}

/// Reclaims the overdue leases of all products, if it is this instance's turn.
async fn pass(
    redis: &RedisLink,
    segments: &Segments,
    options: &Options,
    me: &str,
) -> Result<(), RedisLinkError> {
    let mut conn = redis.conn().await?;
    if !is_mine(&mut conn, me, options.every * 3).await? {
        return Ok(());
    }
    for (item, entry) in leased(&mut conn).await? {
        match reclaim(&mut conn, segments, &item, &entry, options.in_flight).await {
            Ok(0) => {}
            Ok(back) => {
                // A figure for the board only: a crash before this line loses a count.
                redis::cmd("INCRBY")
                    .arg(keys::RECLAIMED)
                    .arg(back)
                    .exec_async(&mut conn)
                    .await?;
                tracing::info!(%item, back, "permits of requests that never arrived were returned");
            }
            // A segment whose master is away keeps the leases of its product open.
            Err(error) => tracing::debug!(%item, %error, "leases wait to be reclaimed"),
        }
    }
    Ok(())
}

/// The products that have open leases, found in one round trip.
async fn leased(conn: &mut MultiplexedConnection) -> Result<Vec<(Item, Entry)>, RedisLinkError> {
    let products: Vec<_> = catalogue::read(conn).await?.into_iter().collect();
    if products.is_empty() {
        return Ok(products);
    }
    let mut pipe = redis::Pipeline::with_capacity(products.len());
    for (item, _) in &products {
        pipe.cmd("EXISTS").arg(keys::leases(item));
    }
    let exists: Vec<bool> = pipe.query_async(conn).await?;
    Ok(products
        .into_iter()
        .zip(exists)
        .filter_map(|(it, exists)| exists.then_some(it))
        .collect())
}

/// Whether this instance is the one that reclaims. Another takes over when it has been
/// silent for `ttl`.
async fn is_mine(
    conn: &mut MultiplexedConnection,
    me: &str,
    ttl: Duration,
) -> Result<bool, RedisLinkError> {
    let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
    let mut set = redis::cmd("SET");
    set.arg(keys::RECLAIMER)
        .arg(me)
        .arg("NX")
        .arg("PX")
        .arg(ttl_ms);
    let set: Option<String> = set.query_async(conn).await?;
    if set.is_some() {
        return Ok(true);
    }
    let holder: Option<String> = redis::cmd("GET")
        .arg(keys::RECLAIMER)
        .query_async(conn)
        .await?;
    if holder.as_deref() != Some(me) {
        return Ok(false);
    }
    // If another took over in between, both work once, which does no harm.
    redis::cmd("PEXPIRE")
        .arg(keys::RECLAIMER)
        .arg(ttl_ms)
        .exec_async(conn)
        .await?;
    Ok(true)
}

/// Closes and settles the overdue leases of one product, and settles those of which all
/// is spent and that no edge has touched lately; returns how many permits were returned.
///
/// # Errors
/// Redis is away or refuses; the next call completes what was begun.
pub async fn reclaim(
    conn: &mut MultiplexedConnection,
    segments: &Segments,
    item: &Item,
    entry: &Entry,
    in_flight: Duration,
) -> Result<u64, RedisLinkError> {
    let Open { overdue, others } = open(conn, item, in_flight).await?;
    let mut returned = 0;
    // First, so that "sold out" is told soon after it is true.
    for leases in others.chunks(BATCH) {
        let spent = spent(segments, item, entry, leases).await?;
        let of_all = leases.iter().zip(spent);
        let (used, spent): (Vec<String>, Vec<u64>) = of_all
            .filter(|((_, amount), spent)| spent >= amount)
            .map(|((lease, _), spent)| (lease.clone(), spent))
            .unzip();
        if !used.is_empty() {
            list_winners(conn, segments, (item, entry), &used, &spent).await?;
            settle(conn, item, &used, &spent).await?;
        }
    }
    for leases in overdue.chunks(BATCH) {
        let spent = close(segments, item, entry, leases).await?;
        list_winners(conn, segments, (item, entry), leases, &spent).await?;
        returned += settle(conn, item, leases, &spent).await?;
    }
    metrics::RECLAIMED.add(usize::try_from(returned).unwrap_or(usize::MAX));
    Ok(returned)
}

/// The open leases of a product.
#[derive(Debug, Default)]
struct Open {
    /// Those on which no request can be under way any more.
    overdue: Vec<String>,
    /// The others that are not fresh, each with its amount. An edge keeps some of them for
    /// a minute, and does not hear what became of permits that were journalled.
    others: Vec<(String, u64)>,
}

async fn open(
    conn: &mut MultiplexedConnection,
    item: &Item,
    in_flight: Duration,
) -> Result<Open, RedisLinkError> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(conn).await?;
    let now_ms = seconds * 1000 + micros / 1000;
    let in_flight_ms = u64::try_from(in_flight.as_millis()).unwrap_or(u64::MAX);
    let mut open = Open::default();
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(keys::leases(item))
            .arg(cursor)
            .arg("COUNT")
            .arg(1000);
        let (next, leases): (u64, HashMap<String, String>) = scan.query_async(conn).await?;
        for (id, text) in leases {
            match lease::Record::parse(&text) {
                Some(lease) if !lease.is_overdue(now_ms, in_flight_ms) => {
                    if !lease.is_fresh(now_ms, standby::HOLD_MS) {
                        open.others.push((id, lease.amount));
                    }
                }
                Some(_) => open.overdue.push(id),
                None => {
                    tracing::error!(%item, lease = id, text, "a lease cannot be read and is removed");
                    open.overdue.push(id);
                }
            }
        }
        if next == 0 {
            return Ok(open);
        }
        cursor = next;
    }
}

/// Closes leases on every segment; returns how many permits of each were spent.
async fn close(
    segments: &Segments,
    item: &Item,
    entry: &Entry,
    leases: &[String],
) -> Result<Vec<u64>, RedisLinkError> {
    let mut spent = vec![0; leases.len()];
    for segment in 1..=entry.segments {
        let mut conn = segments.conn(item, segment).await?;
        let until_ms = spent_until_ms(entry);
        let call = scripts::stock::close_leases(item, segment, until_ms, leases);
        let seen = call.run(&mut conn).await?;
        for (total, seen) in spent.iter_mut().zip(seen) {
            *total += seen;
        }
    }
    Ok(spent)
}

/// How many permits of each lease were spent so far, on all segments together.
async fn spent(
    segments: &Segments,
    item: &Item,
    entry: &Entry,
    leases: &[(String, u64)],
) -> Result<Vec<u64>, RedisLinkError> {
    let ids: Vec<&str> = leases.iter().map(|(id, _)| id.as_str()).collect();
    let mut spent = vec![0; leases.len()];
    for segment in 1..=entry.segments {
        let mut conn = segments.conn(item, segment).await?;
        let mut read = redis::cmd("HMGET");
        read.arg(keys::spent(item, segment)).arg(&ids);
        let seen: Vec<Option<String>> = read.query_async(&mut conn).await?;
        for (total, text) in spent.iter_mut().zip(seen) {
            let number = text
                .as_deref()
                .map(|it| it.strip_prefix("closed:").unwrap_or(it));
            *total += number.and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(spent)
}

/// Puts on the list of winners whom these leases' edges admitted: an edge that was killed
/// may not have done so, and its buyers retry at another one. Before the leases are
/// settled, since the others tell "sold out" from then on.
async fn list_winners(
    conn: &mut MultiplexedConnection,
    segments: &Segments,
    (item, entry): (&Item, &Entry),
    leases: &[String],
    spent: &[u64],
) -> Result<(), RedisLinkError> {
    let used = leases.iter().zip(spent).filter(|(_, spent)| **spent > 0);
    let used: HashSet<&str> = used.map(|(lease, _)| lease.as_str()).collect();
    if used.is_empty() {
        return Ok(());
    }
    let admitted = |record: &str| {
        let record = BuyerRecord::parse(record)?;
        let (lease, _) = record.permit.rsplit_once('.')?;
        used.contains(lease).then_some(())
    };
    for segment in 1..=entry.segments {
        let mut home = segments.conn(item, segment).await?;
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(keys::buyers(item, segment))
                .arg(cursor)
                .arg("COUNT")
                .arg(1000);
            let (next, records): (u64, Vec<(String, String)>) = scan.query_async(&mut home).await?;
            let found = records.iter().filter(|(_, text)| admitted(text).is_some());
            let found: Vec<u64> = found.map(|(user, _)| winners::fingerprint(user)).collect();
            if !found.is_empty() {
                let until_ms = spent_until_ms(entry);
                let call = scripts::permits::winners(item, &found, until_ms);
                call.run(conn).await?;
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
    }
    Ok(())
}

async fn settle(
    conn: &mut MultiplexedConnection,
    item: &Item,
    leases: &[String],
    spent: &[u64],
) -> Result<u64, RedisLinkError> {
    let leases = leases.iter().map(String::as_str).zip(spent.iter().copied());
    let back = scripts::permits::settle(item, leases).run(conn).await?;
    Ok(back.into_iter().flatten().sum())
}

/// A random name for this instance.
fn instance_name() -> String {
    let mut random = [0; 8];
    // Without randomness instances share a name and all reclaim, which is safe.
    let _ = getrandom::fill(&mut random);
    format!("{:016x}", u64::from_be_bytes(random))
}
