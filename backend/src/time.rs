//! The time: reading the clock, writing a moment for people, and passes that repeat.

/// Work that is done pass by pass until the program stops.
pub mod periodic;

/// The time, epoch milliseconds.
#[must_use]
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The same in microseconds.
#[must_use]
pub(crate) fn now_us() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A moment given in epoch milliseconds, in RFC 3339 and UTC, such as
/// `2026-11-23T04:00:00Z`. One that no calendar has is written as the number.
#[must_use]
pub fn rfc3339(at_ms: u64) -> String {
    i64::try_from(at_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| at_ms.to_string(), |moment| moment.to_string())
}
