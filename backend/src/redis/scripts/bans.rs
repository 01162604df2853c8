//! Scripts that change the list of bans.

use redis::{RedisResult, Value, from_redis_value};
use seckill_core::keys;
use seckill_core::shared::bans::Ban;
use seckill_core::shared::bans::listed::{self, Record};

use super::Call;

scripts! {
    ADD = "bans/add.lua";
    LIFT = "bans/lift.lua";
}

/// Changes that are kept for edges that poll; an edge that has missed more of them
/// reads the whole list.
const CHANGES_KEPT: u32 = 10_000;

/// Sets a ban; replies the one that was there.
#[must_use]
pub fn add(ban: &Ban<'_>, record: &Record, now_ms: u64) -> Call<Option<Record>> {
    fn before(reply: Value) -> RedisResult<Option<Record>> {
        let text: Option<String> = from_redis_value(reply)?;
        Ok(text.and_then(|text| Record::parse(&text)))
    }
    list(Call::decoded(&ADD, 4, before))
        .arg(listed::field(ban))
        .arg(record.expires_ms.unwrap_or(0))
        .arg(record.to_string())
        .arg(now_ms)
        .arg(CHANGES_KEPT)
}

/// Lifts a ban; replies whether there was one.
#[must_use]
pub fn lift(ban: &Ban<'_>) -> Call<bool> {
    fn was_there(reply: Value) -> RedisResult<bool> {
        let text: Option<String> = from_redis_value(reply)?;
        Ok(text.is_some())
    }
    list(Call::decoded(&LIFT, 4, was_there))
        .arg(listed::field(ban))
        .arg(CHANGES_KEPT)
}

/// The keys of both.
fn list<T>(call: Call<T>) -> Call<T> {
    call.arg(keys::BANS)
        .arg(keys::BANS_EXPIRING)
        .arg(keys::BANS_CHANGES)
        .arg(keys::BANS_VERSION)
}
