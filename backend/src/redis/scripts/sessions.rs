//! The script that revokes sessions.

use seckill_core::keys;
use seckill_core::shared::bans::Ban;
use seckill_core::shared::bans::listed::{self, Record};

use super::Call;

scripts! {
    REVOKE = "sessions/revoke.lua";
}

/// Changes that are kept for readers that poll; one that has missed more of them reads
/// the whole list.
const CHANGES_KEPT: u32 = 10_000;
/// Revocations that may be in force at once: what an edge's zone of 64 MiB has room for.
pub const MOST: u32 = 1_000_000;

/// Revokes what `session` names until `record` expires; replies whether there was room.
#[must_use]
pub fn revoke(session: &Ban<'_>, record: &Record, now_ms: u64) -> Call<bool> {
    revoke_within(session, record, now_ms, MOST)
}

/// The same with another bound.
#[must_use]
pub fn revoke_within(session: &Ban<'_>, record: &Record, now_ms: u64, most: u32) -> Call<bool> {
    Call::new(&REVOKE, 4)
        .arg(keys::REVOKED)
        .arg(keys::REVOKED_EXPIRING)
        .arg(keys::REVOKED_CHANGES)
        .arg(keys::REVOKED_VERSION)
        .arg(listed::field(session))
        .arg(record.expires_ms.unwrap_or(0))
        .arg(record.to_string())
        .arg(now_ms)
        .arg(CHANGES_KEPT)
        .arg(most)
}
