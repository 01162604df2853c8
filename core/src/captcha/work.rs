//! Proof of work: the alternative for shoppers who cannot drag the slider, or do not
//! want to.
//!
//! The device searches for numbers whose SHA-256 begins with enough zero bits: for
//! several ([`PARTS`]) of which each is easy, since the time for a
//! single hard one varies too much: with eight, nine in ten are done within 1.5
//! times the mean. A program in machine code searches forty times faster than a phone's
//! browser, so that computing alone would not cost a bot what a drag costs a
//! shopper; therefore an answer also has to wait ([`MIN_WAIT_MS`]), and the work
//! grows with the tries of the account and of the address.

use sha2::{Digest as _, Sha256};

/// How many numbers are searched for.
pub const PARTS: usize = 8;
/// How many zero bits fewer a part has than the whole: there are 2³ parts.
const PARTS_BITS: u32 = PARTS.trailing_zeros();
/// Soonest answer after the puzzle was made, in ms: about what a quick drag takes.
pub const MIN_WAIT_MS: u64 = 2_000;
/// By how many bits the work can grow: 2⁵ times the time.
pub const MAX_GROWTH: u32 = 5;

/// Recent tries of an account and its address. A window is a minute for puzzles
/// and ten for failures, see [`crate::captcha::puzzle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tries {
    /// Puzzles handed out to the account.
    pub user_issued: u32,
    /// Puzzles handed out to the address.
    pub address_issued: u32,
    /// Answers of the account that failed.
    pub user_failed: u32,
    /// Answers of the address that failed.
    pub address_failed: u32,
}

/// How many zero bits the whole work has, given that of a first try. The account's
/// third puzzle within a minute and its second failure double it, and each
/// further two puzzles and each further failure again; an address is shared by
/// many, so that only hundreds of puzzles and dozens of failures count.
#[must_use]
pub fn bits(base: u32, tries: Tries) -> u32 {
    let growth = tries.user_failed.saturating_sub(1)
        + tries.user_issued.saturating_sub(1) / 2
        + tries.address_failed / 30
        + tries.address_issued / 100;
    base + growth.min(MAX_GROWTH)
}

/// Zero bits of each part.
#[must_use]
pub fn part_bits(bits: u32) -> u32 {
    bits.saturating_sub(PARTS_BITS)
}

/// Whether the numbers prove the work for the puzzle `id`: the SHA-256 of
/// `{id}.{part}.{number}` begins with [`part_bits`] zero bits, part by part.
#[must_use]
pub fn proves(id: &str, bits: u32, numbers: &[u64]) -> bool {
    numbers.len() == PARTS
        && numbers.iter().enumerate().all(|(part, number)| {
            let digest = Sha256::digest(format!("{id}.{part}.{number}"));
            let head = digest
                .iter()
                .take(8)
                .fold(0u64, |head, byte| head << 8 | u64::from(*byte));
            head.leading_zeros() >= part_bits(bits)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn work(id: &str, bits: u32) -> Vec<u64> {
        (0..PARTS)
            .map(|part| {
                let good = |number: &u64| {
                    let digest = Sha256::digest(format!("{id}.{part}.{number}"));
                    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).leading_zeros()
                        >= part_bits(bits)
                };
                (0..).find(good).unwrap()
            })
            .collect()
    }

    #[test]
    fn work_proves_its_own_puzzle_and_no_other() {
        let numbers = work(ID, 10);
        assert!(proves(ID, 10, &numbers));
        assert!(!proves("1123456789abcdef0123456789abcdef", 10, &numbers));
        assert!(!proves(ID, 20, &numbers));
    }

    #[test]
    fn every_part_has_to_be_there() {
        let mut numbers = work(ID, 10);
        numbers[7] += 1;
        while proves(ID, 10, &numbers) {
            numbers[7] += 1;
        }
        assert!(!proves(ID, 10, &numbers));
        assert!(!proves(ID, 10, &numbers[..7]));
        assert!(!proves(ID, 10, &[]));
        // One number, sent for all parts, is not the work of eight.
        assert!(!proves(ID, 10, &[numbers[0]; PARTS]));
    }

    #[test]
    fn work_grows_with_tries_and_not_without_end() {
        let after = |user_issued, user_failed| {
            bits(
                19,
                Tries {
                    user_issued,
                    user_failed,
                    ..Tries::default()
                },
            )
        };
        assert_eq!(after(1, 0), 19);
        assert_eq!(after(2, 1), 19, "one retry costs nothing");
        assert_eq!(after(3, 0), 20);
        assert_eq!(after(3, 2), 21);
        assert_eq!(after(10, 10), 24);
        let crowd = Tries {
            address_issued: 250,
            address_failed: 60,
            ..Tries::default()
        };
        assert_eq!(bits(19, crowd), 23);
        let office = Tries {
            address_issued: 99,
            address_failed: 29,
            ..Tries::default()
        };
        assert_eq!(bits(19, office), 19);
    }
}
