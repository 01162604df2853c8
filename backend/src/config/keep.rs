//! How long what is in the database is kept.

use std::path::PathBuf;

/// Seconds after its deadline for which a payment of an order may still be heard of: the
/// provider's list of a day is compared on the day after, and shows what no notice told.
pub(super) const RECONCILED_AFTER_S: u64 = 2 * 86_400;

/// How long what is in the database is kept, in days; `None`: for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// Orders and payments of settled rounds, after their end.
    pub orders: Option<u64>,
    /// The archived ledger of settled rounds, after their end.
    pub ledger: Option<u64>,
    /// Notifications that no longer wait.
    pub notices: Option<u64>,
    /// The audit log.
    pub audit: Option<u64>,
    /// Findings, after they were last seen and their ban ended.
    pub findings: Option<u64>,
    /// The folder to which is exported what is removed.
    pub folder: PathBuf,
}

/// The least days for which an order has to be kept, so that no payment of it can come
/// that finds no order: `pay_within` and `pay_grace` in seconds, and the comparison with
/// the provider's list.
#[must_use]
pub(super) fn least_days(pay_within: u64, pay_grace: u64) -> u64 {
    let life = pay_within
        .saturating_add(pay_grace)
        .saturating_add(RECONCILED_AFTER_S);
    life.div_ceil(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_outlives_every_payment_of_it() {
        assert_eq!(
            least_days(600, 10),
            3,
            "ten minutes, and two days to compare"
        );
        assert_eq!(least_days(86_400, 0), 3);
        assert_eq!(least_days(86_400, 1), 4);
    }
}
