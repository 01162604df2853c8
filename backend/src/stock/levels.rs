//! How many items of a product each of its segments has.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::window::SaleState;
use serde::Serialize;
use tokio::time::Instant;

use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLinkError, scripts};

/// Longest wait for stock that is on its way between segments.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two readings.
const PAUSE: Duration = Duration::from_millis(5);

/// The amounts of one segment at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Level {
    /// The segment, counted from 1.
    pub segment: u16,
    /// The address of the master that holds it.
    pub master: String,
    /// Items for sale.
    pub sale: u64,
    /// Items in orders that are not paid.
    pub locked: u64,
    /// Items paid.
    pub saled: u64,
    /// Items on their way to another segment.
    pub in_transit: u64,
    /// Events that are still in its outbox.
    pub outbox: u64,
    /// Transfers from or to here that have ever arrived.
    #[serde(skip)]
    moved: u64,
}

impl Level {
    /// Items here in all.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sale + self.locked + self.saled
    }
}

/// One product's stock and permits.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Levels {
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// `paused`, `withdrawn` or `ended`; none while it sells, or will.
    pub stop: Option<String>,
    /// How many permits the edges may grant.
    pub limit: u64,
    /// Permits granted and not returned.
    pub permits: u64,
    /// Items for sale, in all segments.
    pub sale: u64,
    /// Items in orders that are not paid.
    pub locked: u64,
    /// Items paid.
    pub saled: u64,
    /// Items on their way between segments.
    pub in_transit: u64,
    /// The level of each segment.
    pub segments: Vec<Level>,
    /// Segments that cannot be read, and why.
    pub missing: Vec<String>,
}

/// Reads the levels of one product. A segment that cannot be read is listed as missing.
///
/// # Errors
/// The main Redis is away.
pub async fn read(
    conn: &mut MultiplexedConnection,
    segments: &Segments,
    item: &Item,
    entry: &Entry,
) -> Result<Levels, RedisLinkError> {
    let permits: Option<u64> = redis::cmd("GET")
        .arg(keys::permits(item))
        .query_async(conn)
        .await?;
    let (mut read, mut missing) = (Vec::new(), Vec::new());
    for segment in Segment::all(item, entry) {
        match level(segments, &segment).await {
            Ok(level) => read.push(level),
            Err(error) => missing.push(format!("{segment}: {error}")),
        }
    }
    let sum = |of: fn(&Level) -> u64| read.iter().map(of).sum();
    Ok(Levels {
        round: item.round().to_owned(),
        product: item.product().to_owned(),
        stop: stop(entry, crate::now_ms()).map(str::to_owned),
        limit: entry.limit,
        permits: permits.unwrap_or(0),
        sale: sum(|level| level.sale),
        locked: sum(|level| level.locked),
        saled: sum(|level| level.saled),
        in_transit: sum(|level| level.in_transit),
        segments: read,
        missing,
    })
}

/// Why it is not sold: it was stopped, alone or with its round, or its time is over, which
/// a pause does not outlast.
pub(crate) fn stop(entry: &Entry, now_ms: u64) -> Option<&'static str> {
    match entry.state(now_ms, false) {
        SaleState::Withdrawn => Some("withdrawn"),
        SaleState::Ended => Some("ended"),
        SaleState::Paused => Some("paused"),
        SaleState::Scheduled | SaleState::Open | SaleState::SoldOut => None,
    }
}

/// Why there is no steady reading.
#[derive(Debug, thiserror::Error)]
pub enum Unsteady {
    /// A segment cannot be read.
    #[error(transparent)]
    Link(#[from] RedisLinkError),
    /// Stock kept moving.
    #[error(
        "stock of {0} is on its way between segments; try again in a few seconds, while the relay \
         role runs"
    )]
    Moving(Item),
}

/// All levels as they were at one instant, with nothing on its way: two readings in a row
/// that found each segment's sum the same and no transfer between them.
///
/// # Errors
/// A segment cannot be read, or stock kept moving for five seconds.
pub async fn steady(
    segments: &Segments,
    item: &Item,
    entry: &Entry,
) -> Result<Vec<Level>, Unsteady> {
    let until = Instant::now() + TIMEOUT;
    let mut before: Option<Vec<(u64, u64)>> = None;
    loop {
        let mut levels = Vec::new();
        for segment in Segment::all(item, entry) {
            levels.push(level(segments, &segment).await?);
        }
        let still = levels.iter().all(|level| level.in_transit == 0);
        let now: Vec<_> = levels
            .iter()
            .map(|level| (level.sum(), level.moved))
            .collect();
        if still && before.as_ref() == Some(&now) {
            return Ok(levels);
        }
        if Instant::now() >= until {
            return Err(Unsteady::Moving(item.clone()));
        }
        before = still.then_some(now);
        tokio::time::sleep(PAUSE).await;
    }
}

/// One segment's amounts, read in one atomic step.
async fn level(segments: &Segments, segment: &Segment) -> Result<Level, RedisLinkError> {
    let Segment { item, number } = segment;
    let link = segments.link(item, *number).await?;
    let mut conn = segments.conn(item, *number).await?;
    let fields = [
        "sale_stock_amount",
        "locked_stock_amount",
        "saled_stock_amount",
    ];
    type Amounts = (Option<u64>, Option<u64>, Option<u64>);
    let mut read = redis::pipe();
    read.hmget(keys::stock(item, *number), &fields)
        .hgetall(keys::transit(item, *number))
        .hlen(keys::transfers(item, *number))
        .xlen(keys::outbox(item, *number));
    let (amounts, transit, moved, outbox): (Amounts, HashMap<String, String>, u64, u64) =
        scripts::together(&read).run(&mut conn).await?;
    let (Some(sale), Some(locked), Some(saled)) = amounts else {
        return Err(RedisLinkError::NoStock(segment.to_string()));
    };
    let items = |open: &String| open.split('|').next()?.parse::<u64>().ok();
    Ok(Level {
        segment: *number,
        master: link.address().to_owned(),
        sale,
        locked,
        saled,
        in_transit: transit.values().filter_map(items).sum(),
        outbox,
        moved,
    })
}

/// The levels as a table for people.
#[must_use]
pub fn table(levels: &Levels) -> String {
    let Levels {
        round,
        product,
        limit,
        permits,
        ..
    } = levels;
    let stop = levels.stop.as_ref().map(|stop| format!("   {stop}"));
    let stop = stop.unwrap_or_default();
    let mut text = format!("{round}::{product}   permits {permits} of {limit}{stop}\n");
    let head = ["segment", "sale", "locked", "saled", "in transit", "outbox"];
    let row = |name: String, numbers: [u64; 5]| {
        let numbers = numbers.map(|number| number.to_string());
        std::iter::once(name).chain(numbers).collect::<Vec<_>>()
    };
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for level in &levels.segments {
        let Level {
            sale,
            locked,
            saled,
            in_transit,
            outbox,
            ..
        } = *level;
        rows.push(row(
            format!("{:02}", level.segment),
            [sale, locked, saled, in_transit, outbox],
        ));
    }
    let outbox = levels.segments.iter().map(|level| level.outbox).sum();
    rows.push(row(
        "all".to_owned(),
        [
            levels.sale,
            levels.locked,
            levels.saled,
            levels.in_transit,
            outbox,
        ],
    ));
    let masters =
        std::iter::once("master").chain(levels.segments.iter().map(|it| it.master.as_str()));
    for (cells, master) in rows.iter().zip(masters.chain(std::iter::once(""))) {
        let mut line = String::from(" ");
        for (at, cell) in cells.iter().enumerate() {
            let width = rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
            line.push_str(&format!(" {cell:>width$} "));
        }
        text.push_str(format!("{line} {master}").trim_end());
        text.push('\n');
    }
    for missing in &levels.missing {
        text.push_str(&format!("  missing {missing}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_product_from_selling_is_said() {
        let entry = |halt: &str| {
            let text = format!(
                r#"{{"opens_ms":1,"ends_ms":9,"limit":1,"per_buyer":1,"segments":1,"price_cents":1{halt}}}"#
            );
            Entry::parse(&text).unwrap()
        };
        let (free, halted) = (entry(""), entry(r#","halt":"withdrawn""#));
        assert_eq!(stop(&free, 5), None);
        assert_eq!(stop(&free, 9), Some("ended"));
        assert_eq!(stop(&halted, 5), Some("withdrawn"));
        assert_eq!(stop(&halted, 9), Some("withdrawn"));
        let paused = entry(r#","halt":"paused""#);
        assert_eq!(stop(&paused, 5), Some("paused"));
        assert_eq!(stop(&paused, 9), Some("ended"));
    }
}
