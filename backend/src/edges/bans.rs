//! The list of bans. Redis holds it; every edge mirrors it and follows its changes within
//! a second (`lua/bans/` describes how).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use redis::aio::MultiplexedConnection;
use seckill_core::shared::bans::Ban;
use seckill_core::shared::bans::listed;
use seckill_core::shared::bans::listed::{BadEntry, Record};
use seckill_core::shared::prefix::Prefix;
use seckill_core::{ids, keys};
use serde::Serialize;
use serde_json::{Value, json};

use crate::redis::RedisLinkError;
use crate::redis::scripts;

/// Entries read at once: Redis answers others in between.
const BATCH: u32 = 1_000;

/// The cursor for the next batch, and entries as fields and values.
type Batch = (u64, Vec<(Vec<u8>, Vec<u8>)>);

/// One ban, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Listed {
    /// `address` or `user`.
    pub kind: String,
    /// The address, network or user.
    pub value: String,
    /// When it ends, epoch milliseconds; `None` if it does not end by itself.
    pub expires_ms: Option<u64>,
    /// When it was set, epoch milliseconds.
    pub at_ms: u64,
    /// Who set it.
    pub by: String,
    /// The reason given.
    pub reason: String,
}

/// The bans in force, and the entries of the list that are none.
#[derive(Debug, Default)]
pub struct Bans {
    /// The bans in force, sorted.
    pub listed: Vec<Listed>,
    /// For each entry that cannot be read, why.
    pub garbage: Vec<String>,
}

/// Sets a ban, or edits one; returns the ban that was in force before.
///
/// # Errors
/// Redis is away, or a key holds something else.
pub async fn add(
    conn: &mut MultiplexedConnection,
    ban: &Ban<'_>,
    record: &Record,
    now_ms: u64,
) -> Result<Option<Record>, RedisLinkError> {
    let before: Option<Record> = scripts::bans::add(ban, record, now_ms).run(conn).await?;
    Ok(before.filter(|it| it.expires_ms.is_none_or(|at| at > now_ms)))
}

/// What the audit log says of a ban that was added, and of the one that it replaced.
#[must_use]
pub fn detail(record: &Record, before: Option<&Record>) -> Value {
    let mut detail = json!({ "reason": record.reason, "expires_ms": record.expires_ms });
    if let Some(before) = before {
        detail["before"] = json!({ "reason": before.reason, "expires_ms": before.expires_ms });
    }
    detail
}

/// Lifts a ban; returns whether there was one.
///
/// # Errors
/// Redis is away, or a key holds something else.
pub async fn lift(conn: &mut MultiplexedConnection, ban: &Ban<'_>) -> Result<bool, RedisLinkError> {
    Ok(scripts::bans::lift(ban).run(conn).await?)
}

/// Reads the whole list, in pieces.
///
/// # Errors
/// Redis is away, or the key holds something else.
pub async fn list(conn: &mut MultiplexedConnection, now_ms: u64) -> Result<Bans, RedisLinkError> {
    let mut bans = Bans::default();
    scan(conn, now_ms, |entry| match entry {
        Ok(listed) => bans.listed.push(listed),
        Err(error) => bans.garbage.push(error.to_string()),
    })
    .await?;
    // An entry may be met twice while the hash grows.
    bans.listed
        .sort_by(|a, b| (&a.kind, &a.value).cmp(&(&b.kind, &b.value)));
    bans.listed
        .dedup_by(|a, b| (&a.kind, &a.value) == (&b.kind, &b.value));
    bans.garbage.sort_unstable();
    bans.garbage.dedup();
    Ok(bans)
}

/// Hands `take` every entry that is in force, and every one that cannot be read.
async fn scan(
    conn: &mut MultiplexedConnection,
    now_ms: u64,
    mut take: impl FnMut(Result<Listed, BadEntry>),
) -> Result<(), RedisLinkError> {
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
            let entry = read(&field, &value);
            let is_over = |listed: &Listed| listed.expires_ms.is_some_and(|at| at <= now_ms);
            if !entry.as_ref().is_ok_and(is_over) {
                take(entry);
            }
        }
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

/// Which bans are searched for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Part of the value, the reason or the operator's name; or an address, which also
    /// matches the banned networks that contain it. Empty matches all.
    pub text: String,
    /// Only of this kind.
    pub kind: Option<listed::Kind>,
    /// How many of the newest are left out.
    pub skip: usize,
    /// How many are returned after those.
    pub most: usize,
}

impl Wanted {
    fn fits(&self, listed: &Listed) -> bool {
        if self.kind.is_some_and(|kind| kind.as_str() != listed.kind) {
            return false;
        }
        let text = self.text.to_lowercase();
        let holds = |part: &str| part.to_lowercase().contains(&text);
        let covers = || {
            let address: Option<IpAddr> = self.text.parse().ok();
            let network: Option<Prefix> = listed.value.parse().ok();
            address
                .zip(network)
                .is_some_and(|(address, network)| network.covers(address))
        };
        // As the login has a name, and as it is written.
        holds(&listed.value)
            || holds(&ids::user::name(&listed.value))
            || holds(&listed.reason)
            || holds(&listed.by)
            || covers()
    }
}

/// The result of a search.
#[derive(Debug, Default)]
pub struct Found {
    /// The bans of this page, newest first.
    pub listed: Vec<Listed>,
    /// How many match.
    pub matching: usize,
    /// How many are in force.
    pub all: usize,
    /// How many entries cannot be read.
    pub garbage: usize,
}

/// Searches the whole list in batches, and keeps no more than is asked for: it may have
/// a million entries.
///
/// # Errors
/// Redis is away, or the key holds something else.
pub async fn find(
    conn: &mut MultiplexedConnection,
    wanted: &Wanted,
    now_ms: u64,
) -> Result<Found, RedisLinkError> {
    let mut found = Found::default();
    let kept = wanted.skip.saturating_add(wanted.most);
    let mut newest = BTreeMap::new();
    scan(conn, now_ms, |entry| match entry {
        Err(_) => found.garbage += 1,
        Ok(listed) => {
            found.all += 1;
            if wanted.fits(&listed) {
                found.matching += 1;
                let age = Reverse(listed.at_ms);
                newest.insert((age, listed.kind.clone(), listed.value.clone()), listed);
                if newest.len() > kept {
                    newest.pop_last();
                }
            }
        }
    })
    .await?;
    found.listed = newest.into_values().skip(wanted.skip).collect();
    Ok(found)
}

fn read(field: &str, value: &str) -> Result<Listed, BadEntry> {
    let (ban, expires_ms) = listed::parse(field, value)?;
    let (kind, value_text) = match &ban {
        Ban::Address(prefix) => (listed::Kind::Address, prefix.to_string()),
        Ban::User(user) => (listed::Kind::User, (*user).to_owned()),
        // These are in another list.
        Ban::Session(_) | Ban::SessionsOf { .. } => return Err(BadEntry::Kind(field.to_owned())),
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
    fn a_ban_is_found_by_a_part_of_it_and_by_an_address_it_covers() {
        let listed = |kind: &str, value: &str| Listed {
            kind: kind.to_owned(),
            value: value.to_owned(),
            expires_ms: None,
            at_ms: 0,
            by: "li".to_owned(),
            reason: "90 clicks a second".to_owned(),
        };
        let network = listed("address", "203.0.113.0/24");
        let fits = |text: &str, listed: &Listed| {
            let text = text.to_owned();
            Wanted {
                text,
                ..Wanted::default()
            }
            .fits(listed)
        };
        for text in ["", "203.0", "CLICKS", "li", "203.0.113.77"] {
            assert!(fits(text, &network), "{text}");
        }
        for text in ["eve", "203.0.114.77", "10.0.0.0/8"] {
            assert!(!fits(text, &network), "{text}");
        }
        let user = listed("user", "auth0%7Cpb");
        for text in ["auth0|pb", "AUTH0%7Cpb", "0|p"] {
            assert!(fits(text, &user), "{text}");
        }
        let users = Wanted {
            kind: Some(listed::Kind::User),
            ..Wanted::default()
        };
        assert!(users.fits(&listed("user", "eve")) && !users.fits(&network));
    }

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
