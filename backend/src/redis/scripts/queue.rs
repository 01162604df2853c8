//! Scripts of the queue on Redis Streams.

use redis::from_redis_value;
use seckill_core::keys;

use super::Call;

scripts! {
    DUE = "queue/due.lua";
    RELEASE = "queue/release.lua";
    ALLOW = "queue/allow.lua";
}

/// Puts delayed messages that are due into the stream, `most` at most; replies how
/// many ms until the next one is due, `None` if there is none.
#[must_use]
pub fn due(stream: &str, most: usize) -> Call<Option<u64>> {
    Call::decoded(&DUE, 2, |reply| {
        let next_ms: i64 = from_redis_value(reply)?;
        Ok(next_ms.try_into().ok())
    })
    .arg(keys::delayed(stream))
    .arg(stream)
    .arg(most)
}

/// Requeues messages of a consumer group, to be delivered again after `after_ms`;
/// replies how many.
pub fn release<'a>(
    stream: &str,
    group: &str,
    after_ms: u64,
    ids: impl IntoIterator<Item = &'a str>,
) -> Call<u64> {
    let call = Call::new(&RELEASE, 2)
        .arg(stream)
        .arg(keys::delayed(stream))
        .arg(group)
        .arg(after_ms);
    ids.into_iter().fold(call, Call::arg)
}

/// Draws up to `want` of the site's allowances for orders, or puts them back if it is
/// negative; replies how many were granted.
#[must_use]
pub fn allow(per_second: u32, want: i64) -> Call<usize> {
    Call::new(&ALLOW, 1)
        .arg(keys::ORDERS_ALLOWED)
        .arg(per_second)
        .arg(want)
}
