//! Who is banned. Redis holds the list; every edge mirrors it and follows its
//! changes within a second (`lua/bans/` says how).

use redis::aio::MultiplexedConnection;
use seckill_core::ban::{self, BadEntry, Record};
use seckill_core::keys;
use seckill_core::shared::bans::Ban;
use serde::Serialize;

use crate::redis_link::RedisLinkError;
use crate::redis_link::scripts;

/// Changes that are kept for edges that poll; an edge that has missed more of
/// them reads the whole list.
const CHANGES_KEPT: u32 = 10_000;
/// Entries read at once: Redis answers others in between.
const BATCH: u32 = 1_000;

/// Where to go on reading, and entries as fields and values.
type Batch = (u64, Vec<(Vec<u8>, Vec<u8>)>);

/// One ban, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// `address` or `user`.
    pub kind: String,
    /// The address, network or user.
    pub value: String,
    /// Until when, epoch milliseconds; `None`: for good.
    pub expires_ms: Option<u64>,
    /// Since when, epoch milliseconds.
    pub at_ms: u64,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// The bans in force, and what stands on the list beside them.
#[derive(Debug, Default)]
pub struct Bans {
    /// In force, sorted.
    pub listed: Vec<Listed>,
    /// Why each of the other entries is none.
    pub garbage: Vec<String>,
}

/// Bans somebody, or edits his ban. Returns what was known of him before.
///
/// # Errors
/// Redis is away, or a key holds something else.
pub async fn add(
    conn: &mut MultiplexedConnection,
    ban: &Ban<'_>,
    record: &Record,
    now_ms: u64,
) -> Result<Option<Record>, RedisLinkError> {
    let before: Option<String> = scripts::BAN_ADD
        .key(keys::BANS)
        .key(keys::BANS_EXPIRING)
        .key(keys::BANS_CHANGES)
        .key(keys::BANS_VERSION)
        .arg(ban::field(ban))
        .arg(record.expires_ms.unwrap_or(0))
        .arg(record.to_string())
        .arg(now_ms)
        .arg(CHANGES_KEPT)
        .invoke_async(conn)
        .await?;
    Ok(before.and_then(|text| Record::parse(&text)))
}

/// Lifts a ban. Whether there was one.
///
/// # Errors
/// Redis is away, or a key holds something else.
pub async fn lift(conn: &mut MultiplexedConnection, ban: &Ban<'_>) -> Result<bool, RedisLinkError> {
    let before: Option<String> = scripts::BAN_LIFT
        .key(keys::BANS)
        .key(keys::BANS_EXPIRING)
        .key(keys::BANS_CHANGES)
        .key(keys::BANS_VERSION)
        .arg(ban::field(ban))
        .arg(CHANGES_KEPT)
        .invoke_async(conn)
        .await?;
    Ok(before.is_some())
}

/// Reads the whole list, in pieces.
///
/// # Errors
/// Redis is away, or the key holds something else.
pub async fn list(conn: &mut MultiplexedConnection, now_ms: u64) -> Result<Bans, RedisLinkError> {
    let mut bans = Bans::default();
    let mut cursor = 0_u64;
    loop {
        let (next, entries): Batch = redis::cmd("HSCAN")
            .arg(keys::BANS)
            .arg(cursor)
            .arg("COUNT")
            .arg(BATCH)
            .query_async(conn)
            .await?;
        for (field, value) in &entries {
            let (field, value) = (
                String::from_utf8_lossy(field),
                String::from_utf8_lossy(value),
            );
            match read(&field, &value) {
                Ok(listed) if listed.expires_ms.is_some_and(|at| at <= now_ms) => {}
                Ok(listed) => bans.listed.push(listed),
                Err(error) => bans.garbage.push(error.to_string()),
            }
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    // An entry may be met twice while the hash grows.
    bans.listed
        .sort_by(|a, b| (&a.kind, &a.value).cmp(&(&b.kind, &b.value)));
    bans.listed
        .dedup_by(|a, b| (&a.kind, &a.value) == (&b.kind, &b.value));
    bans.garbage.sort_unstable();
    bans.garbage.dedup();
    Ok(bans)
}

fn read(field: &str, value: &str) -> Result<Listed, BadEntry> {
    let (ban, expires_ms) = ban::parse(field, value)?;
    let (kind, value_text) = match &ban {
        Ban::Address(prefix) => (ban::Kind::Address, prefix.to_string()),
        Ban::User(user) => (ban::Kind::User, (*user).to_owned()),
    };
    // An expiry is all that an edge needs; the rest may be missing.
    let record = Record::parse(value);
    let (at_ms, by, reason) = record.map_or((0, String::new(), String::new()), |record| {
        (record.at_ms, record.by, record.reason)
    });
    Ok(Listed {
        kind: kind.as_str().to_owned(),
        value: value_text,
        expires_ms,
        at_ms,
        by,
        reason,
    })
}

/// Reads a time such as `30s`, `15m`, `1h` or `7d`, in milliseconds.
///
/// # Errors
/// A sentence that says what is right.
pub fn parse_time(text: &str) -> Result<u64, String> {
    let units = [
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let read = |(unit, ms): (&str, u64)| {
        let number = text.strip_suffix(unit)?;
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        // At most a hundred years: what is longer is for good.
        let number: u64 = number.parse().ok().filter(|n| digits && *n > 0)?;
        number
            .checked_mul(ms)
            .filter(|ms| *ms <= 100 * 366 * 86_400_000)
    };
    units.into_iter().find_map(read).ok_or_else(|| {
        "write a number and s, m, h or d, such as 1h; without --for it is for good".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_or_refused() {
        assert_eq!(parse_time("30s"), Ok(30_000));
        assert_eq!(parse_time("15m"), Ok(900_000));
        assert_eq!(parse_time("1h"), Ok(3_600_000));
        assert_eq!(parse_time("7d"), Ok(604_800_000));
        for bad in [
            "",
            "h",
            "1",
            "0s",
            "-1h",
            "+1h",
            "1.5h",
            "1w",
            "99999999999d",
        ] {
            assert!(parse_time(bad).unwrap_err().contains("such as 1h"), "{bad}");
        }
    }
}
