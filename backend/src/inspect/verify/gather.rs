//! Reads a product's state from every part.
//!
//! In the order in which a purchase travels: permits, segments, queue, dead
//! letters, database. What moves on while it is read is then met further on, and
//! never seen nowhere.

use std::collections::{BTreeMap, HashMap, HashSet};

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamRangeReply};
use redis::{AsyncCommands as _, FromRedisValue as _, Value};
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::orders::message::OrderMessage;
use seckill_core::sale::catalogue::Entry;
use seckill_core::stock::ledger::{Amounts, EntryId, Event, PurchaseId};

use super::{System, VerifyError};
use crate::outbox::event;
use crate::outbox::reader::RELAY;
use crate::redis::scripts;
use crate::redis::segments::Segment;
use crate::store::orders::Order;

/// What stands before the number of permits spent of a closed lease.
const CLOSED: &str = "closed:";

/// The state of a product.
pub(crate) struct ProductState {
    pub(crate) item: Item,
    pub(crate) entry: Entry,
    pub(crate) permits: Permits,
    pub(crate) segments: Vec<SegmentState>,
    /// Purchases in the queue or among the dead letters; `None` if the messages of the
    /// queue cannot be read.
    pub(crate) under_way: Option<HashSet<PurchaseId>>,
    pub(crate) orders: Vec<Order>,
    /// When this was read, by the main Redis's clock.
    pub(crate) at_ms: u64,
}

/// The permits in the main Redis, read in one atomic step.
pub(crate) struct Permits {
    pub(crate) granted: i64,
    pub(crate) limit: Option<i64>,
    /// Open leases, with their amounts.
    pub(crate) leases: HashMap<String, i64>,
    /// Refunds that were made.
    pub(crate) refunds: HashSet<String>,
}

/// The state of a segment, read in one atomic step, with the events archived before.
pub(crate) struct SegmentState {
    pub(crate) id: Segment,
    /// The three amounts; `None` if one is missing.
    pub(crate) stock: Option<Amounts>,
    /// Buyers' records as stored.
    pub(crate) buyers: HashMap<String, String>,
    /// Transfers on their way from here.
    pub(crate) transit: HashMap<String, String>,
    /// Permits spent of leases, and what single permits were told, as stored.
    pub(crate) spent: HashMap<String, String>,
    /// Purchases that the relay has not published yet.
    pub(crate) waiting: HashSet<PurchaseId>,
    /// The last id of the stream before it was read; 0-0 if there was no stream.
    pub(crate) newest: EntryId,
    /// Leases that had spent permits before the permits were read.
    pub(crate) spent_before: HashSet<String>,
    /// The whole ledger.
    pub(crate) events: Vec<Event>,
    /// The last event that was delivered to the relay.
    pub(crate) relayed: EntryId,
    /// Events that were delivered to the relay and not acknowledged.
    pub(crate) held: HashSet<EntryId>,
    /// When this was read, by the segment's own clock.
    pub(crate) at_ms: u64,
}

impl SegmentState {
    /// Permits spent of each lease, whether its edge reported it used up or the back end
    /// closed it.
    pub(crate) fn spent_of_leases(&self) -> impl Iterator<Item = (&String, i64)> {
        self.spent.iter().filter_map(|(lease, text)| {
            let seen = text.strip_prefix(CLOSED).unwrap_or(text);
            Some((lease, seen.parse().ok()?))
        })
    }

    /// Whether purchases with a permit of this lease are refused here.
    pub(crate) fn is_closed(&self, lease: &str) -> bool {
        let text = self.spent.get(lease);
        text.is_some_and(|text| text.starts_with(CLOSED))
    }

    /// Whether the relay has published an event.
    pub(super) fn is_relayed(&self, event: &Event) -> bool {
        event.id <= self.relayed && !self.held.contains(&event.id)
    }
}

/// Reads the state of a product.
pub(crate) async fn gather(
    system: System<'_>,
    item: &Item,
    entry: &Entry,
) -> Result<ProductState, VerifyError> {
    let mut conn = system.redis.conn().await?;
    let mut spent_before = Vec::new();
    for segment in Segment::all(item, entry) {
        let mut conn = system.segments.conn(item, segment.number).await?;
        let leases: HashSet<String> = conn.hkeys(keys::spent(item, segment.number)).await?;
        spent_before.push((segment, leases));
    }
    let (permits, at_ms) = read_permits(&mut conn, item).await?;
    let mut segments = Vec::new();
    for (segment, spent_before) in spent_before {
        segments.push(read_segment(system, segment, spent_before).await?);
    }
    let under_way = match system.queue_is_visible {
        true => Some(read_queue(&mut conn, item).await?),
        false => None,
    };
    let orders = system.store.all_orders(item).await?;
    Ok(ProductState {
        item: item.clone(),
        entry: *entry,
        permits,
        segments,
        under_way,
        orders,
        at_ms,
    })
}

async fn read_permits(
    conn: &mut MultiplexedConnection,
    item: &Item,
) -> Result<(Permits, u64), VerifyError> {
    type Read = (
        Option<i64>,
        Option<i64>,
        HashMap<String, String>,
        HashSet<String>,
        (u64, u64),
    );
    let mut read = redis::pipe();
    read.get(keys::permits(item))
        .hget(keys::info(item), "limit")
        .hgetall(keys::leases(item))
        .smembers(keys::refunds(item))
        .cmd("TIME");
    let (granted, limit, leases, refunds, time): Read = scripts::together(&read).run(conn).await?;
    let amount = |text: &String| text.split(':').next().and_then(|n| n.parse().ok());
    let leases = leases
        .iter()
        .map(|(id, text)| (id.clone(), amount(text).unwrap_or(0)));
    let permits = Permits {
        granted: granted.unwrap_or(0),
        limit,
        leases: leases.collect(),
        refunds,
    };
    Ok((permits, millis(time)))
}

async fn read_segment(
    system: System<'_>,
    segment: Segment,
    spent_before: HashSet<String>,
) -> Result<SegmentState, VerifyError> {
    let Segment { item, number } = &segment;
    let mut conn = system.segments.conn(item, *number).await?;
    let outbox = keys::outbox(item, *number);
    let before = last_id(&mut conn, &outbox).await?;
    type Read = (
        (Option<i64>, Option<i64>, Option<i64>, Option<String>),
        HashMap<String, String>,
        HashMap<String, String>,
        HashMap<String, String>,
        StreamRangeReply,
        (u64, u64),
    );
    let fields = [
        "sale_stock_amount",
        "locked_stock_amount",
        "saled_stock_amount",
        keys::STOCK_HALTED,
    ];
    let mut read = redis::pipe();
    read.hmget(keys::stock(item, *number), &fields)
        .hgetall(keys::buyers(item, *number))
        .hgetall(keys::transit(item, *number))
        .hgetall(keys::spent(item, *number))
        .xrange_all(&outbox)
        .cmd("TIME");
    let (stock, buyers, transit, spent, stream, time): Read =
        scripts::together(&read).run(&mut conn).await?;
    let (relayed, held) = read_relay(&mut conn, &outbox).await?;
    // Archived events leave the stream, never the other way round: read second.
    let mut events: BTreeMap<EntryId, Event> = BTreeMap::new();
    for event in system.store.ledger(item, *number).await? {
        events.insert(event.id, event);
    }
    let newest = stream
        .ids
        .last()
        .and_then(|entry| EntryId::parse(&entry.id));
    // What was archived after the stream was read is not in the other numbers.
    let at_ms = millis(time);
    let is_relayed = |id: &EntryId| *id <= relayed && !held.contains(id);
    let waiting = stream.ids.iter().filter_map(event::of_ledger);
    let waiting = waiting
        .filter(|event| event.kind() == "purchase" && !is_relayed(&event.id))
        .map(|event| event.purchase())
        .collect();
    // Nothing happens where nothing is sold, and a new master's clock may be behind.
    let (sale, locked, saled, halted) = stock;
    let is_still =
        sale.is_none() || halted.is_some_and(|why| !why.starts_with(keys::HALTED_REPLAYS));
    events.retain(|id, _| is_still || newest.is_some_and(|newest| *id <= newest) || id.ms <= at_ms);
    for event in stream.ids.iter().filter_map(event::of_ledger) {
        events.insert(event.id, event);
    }
    Ok(SegmentState {
        stock: match (sale, locked, saled) {
            (Some(sale), Some(locked), Some(saled)) => Some(Amounts {
                sale,
                locked,
                saled,
            }),
            _ => None,
        },
        buyers,
        transit,
        spent_before,
        spent,
        waiting,
        newest: before,
        events: events.into_values().collect(),
        relayed,
        held,
        at_ms,
        id: segment,
    })
}

/// The last id that a stream gave, also if its entry was taken out; 0-0 if there
/// is no stream.
async fn last_id(conn: &mut MultiplexedConnection, outbox: &str) -> Result<EntryId, VerifyError> {
    let mut ask = redis::cmd("XINFO");
    let info: redis::RedisResult<HashMap<String, Value>> =
        ask.arg("STREAM").arg(outbox).query_async(conn).await;
    let id = info.ok().and_then(|mut info| {
        let id = String::from_redis_value(info.remove("last-generated-id")?).ok()?;
        EntryId::parse(&id)
    });
    Ok(id.unwrap_or(EntryId { ms: 0, seq: 0 }))
}

/// How far the relay has come, and what it holds.
async fn read_relay(
    conn: &mut MultiplexedConnection,
    outbox: &str,
) -> Result<(EntryId, HashSet<EntryId>), VerifyError> {
    let nothing = (EntryId { ms: 0, seq: 0 }, HashSet::new());
    let groups: redis::RedisResult<Vec<HashMap<String, Value>>> = redis::cmd("XINFO")
        .arg("GROUPS")
        .arg(outbox)
        .query_async(conn)
        .await;
    // No stream yet: nothing was ever relayed.
    let Ok(groups) = groups else {
        return Ok(nothing);
    };
    let text = |group: &HashMap<String, Value>, name: &str| {
        let value = group.get(name)?.clone();
        String::from_redis_value(value).ok()
    };
    let Some(group) = groups
        .iter()
        .find(|group| text(group, "name").as_deref() == Some(RELAY.group.name))
    else {
        return Ok(nothing);
    };
    let relayed = text(group, "last-delivered-id").and_then(|id| EntryId::parse(&id));
    let held: Vec<(String, Value, Value, Value)> = redis::cmd("XPENDING")
        .arg(outbox)
        .arg(RELAY.group.name)
        .arg(&["-", "+", "100000"])
        .query_async(conn)
        .await?;
    let held = held.iter().filter_map(|(id, ..)| EntryId::parse(id));
    Ok((relayed.unwrap_or(nothing.0), held.collect()))
}

/// Purchases of a product in the queue, kept back or not, and among the dead letters.
async fn read_queue(
    conn: &mut MultiplexedConnection,
    item: &Item,
) -> Result<HashSet<PurchaseId>, VerifyError> {
    let (queued, delayed, dead): (StreamRangeReply, Vec<Vec<u8>>, StreamRangeReply) = redis::pipe()
        .xrange_all(keys::QUEUE_ORDERS)
        .zrange(keys::delayed(keys::QUEUE_ORDERS), 0, -1)
        .xrange_all(keys::QUEUE_DEAD_LETTERS)
        .query_async(conn)
        .await?;
    let body = |entry: &StreamId| entry.get::<Vec<u8>>("body").unwrap_or_default();
    let bodies = queued.ids.iter().chain(&dead.ids).map(body).chain(delayed);
    let purchases = bodies.filter_map(|body| {
        // A message that is kept back has its key in front of it; an event among
        // the dead letters is JSON with texts only.
        let begin = body.iter().position(|byte| *byte == b'{')?;
        let body = body.get(begin..)?;
        match OrderMessage::parse(body) {
            Ok(message) => named(item, &message),
            Err(_) => event_named(item, body),
        }
    });
    Ok(purchases.collect())
}

fn named(item: &Item, message: &OrderMessage) -> Option<PurchaseId> {
    let same = message.round == item.round() && message.product == item.product();
    same.then(|| PurchaseId {
        user: message.user.clone(),
        request: message.request.clone(),
        at_ms: message.at_ms,
    })
}

fn event_named(item: &Item, body: &[u8]) -> Option<PurchaseId> {
    let fields: BTreeMap<String, String> = serde_json::from_slice(body).ok()?;
    let id = EntryId { ms: 0, seq: 0 };
    let event = Event { id, fields };
    let same = event.text("round") == item.round() && event.text("product") == item.product();
    same.then(|| event.purchase())
}

fn millis((seconds, micros): (u64, u64)) -> u64 {
    seconds * 1000 + micros / 1000
}
