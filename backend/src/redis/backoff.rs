//! How long to pause between two attempts to connect.

use std::time::Duration;

/// Longest pause between two attempts to connect.
const MAX_BACKOFF: Duration = Duration::from_millis(400);

/// How long to pause after so many failures: doubling from 25 ms to
/// [`MAX_BACKOFF`], between half and all of it, so that clients spread out.
pub(super) fn backoff(failures: u32, random: u8) -> Duration {
    let whole = Duration::from_millis(25).saturating_mul(1 << failures.saturating_sub(1).min(8));
    let whole = whole.min(MAX_BACKOFF);
    whole / 2 + whole.mul_f64(f64::from(random) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_differ() {
        assert!(backoff(1, 255) <= Duration::from_millis(25));
        for failures in 5..40 {
            assert!(backoff(failures, 255) <= MAX_BACKOFF);
            assert!(backoff(failures, 0) >= MAX_BACKOFF / 2);
        }
        assert_ne!(backoff(3, 0), backoff(3, 200));
    }
}
