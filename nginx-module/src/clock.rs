//! The time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Wall clock, epoch milliseconds. Read from the system and not from nginx's
/// cache, which stands still while a worker is busy: a sale opens on time.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// The same in microseconds.
pub(crate) fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}

/// Monotonic clock, nanoseconds, the same in all workers of this machine. It goes on while
/// the machine is suspended, as Redis does, which takes leases back meanwhile. Reading it
/// costs no more than the clock that stands still; a coarse one, at a fifth of the cost,
/// there is only of that.
pub(crate) fn monotonic_ns() -> u64 {
    read(libc::CLOCK_BOOTTIME)
}

/// The same in seconds.
pub(crate) fn monotonic_s() -> u64 {
    monotonic_ns() / 1_000_000_000
}

fn read(clock: libc::clockid_t) -> u64 {
    // SAFETY: an all-zero timespec is valid, and the call only writes to it.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: `time` is valid for writing. It cannot fail for these clocks.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Monotonic clock, milliseconds.
pub(crate) fn monotonic_ms() -> u64 {
    monotonic_ns() / 1_000_000
}
