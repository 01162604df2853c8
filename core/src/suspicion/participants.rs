//! Who took part, as one bit each (course §054).
//!
//! User ids are texts, so that a bit's place is a hash of the id, and two users
//! may share one. With [`BITS`] = 2^20 (128 KiB a product) the number of users is
//! estimated from the bits by linear counting, `n = -m ln(1 - k/m)` (Whang et al.,
//! 1990), whose standard error is `sqrt(m (e^t - t - 1)) / n` with `t = n/m`:
//!
//! | users | error |
//! |---|---|
//! | 1,000 | 0.07 % |
//! | 100,000 | 0.07 % |
//! | 1,000,000 | 0.08 % |
//! | 5,000,000 | 0.2 % |
//!
//! Numbering users one by one would be exact, at the price of a table of all
//! users in Redis and of a round trip for each that is new.

/// Bits of a product's map.
pub const BITS: u64 = 1 << 20;

/// The bit of a user: the same in every version, since maps are kept for weeks.
#[must_use]
pub fn bit(user: &str) -> u64 {
    // FNV-1a; its low bits alone are not spread well enough, so that the high
    // ones are mixed in (the finalizer of MurmurHash3).
    let mut hash = user.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash % BITS
}

/// About how many users have set `ones` bits.
#[must_use]
pub fn estimate(ones: u64) -> u64 {
    let ones = ones.min(BITS - 1);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a million at most, and never below zero"
    )]
    {
        let (m, k) = (BITS as f64, ones as f64);
        (-m * (-k / m).ln_1p()).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_keeps_its_promise() {
        let mut map = vec![false; BITS as usize];
        let mut users = 0_u64;
        for (until, percent) in [(1_000, 1.0), (100_000, 0.4), (1_000_000, 0.4)] {
            while users < until {
                map[bit(&format!("user{users}")) as usize] = true;
                users += 1;
            }
            let ones = map.iter().filter(|set| **set).count() as u64;
            let off = (estimate(ones) as f64 - users as f64).abs() / users as f64 * 100.0;
            assert!(off < percent, "{users}: off by {off} %");
        }
        assert_eq!(estimate(0), 0);
        assert_eq!(estimate(1), 1);
        assert!(estimate(u64::MAX) > 10_000_000);
    }
}
