//! Reads how long what is in the database is kept.

use std::path::Path;

use super::{ConfigError, Values};
use crate::config::keep::{Keep, least_days};

/// Most days: a century.
const MOST: u64 = 36_500;

impl Values {
    /// The settings `keep_…_days` and `keep_exports`. `pays` are `pay_within` and `pay_grace`.
    pub(in crate::config) fn keep(
        &mut self,
        data: &Path,
        pays: (u64, u64),
        retires: bool,
    ) -> Result<Keep, ConfigError> {
        let least = least_days(pays.0, pays.1);
        let paid = format!(
            "a payment may arrive {} s after an order, and is compared with its provider's list on \
             the next day, so write {least} to {MOST} days, or 0 for ever",
            pays.0 + pays.1
        );
        // A round that does not retire stays in Redis, and its orders with it.
        let by_round = match retires {
            true => paid.clone(),
            false => "only what has left Redis is removed: set retire_hours above 0, or write 0 \
                      for ever"
                .to_owned(),
        };
        let least_by_round = if retires { least } else { u64::MAX };
        let simple = format!("write 1 to {MOST} days, or 0 for ever");
        Ok(Keep {
            orders: self.days("keep_orders_days", least_by_round, &by_round)?,
            ledger: self.days("keep_ledger_days", least_by_round, &by_round)?,
            notices: self.days("keep_notices_days", least, &paid)?,
            audit: self.days("keep_audit_days", 1, &simple)?,
            findings: self.days("keep_findings_days", 1, &simple)?,
            folder: self.path("keep_exports", &data.join("removed"))?,
        })
    }

    fn days(
        &mut self,
        key: &'static str,
        least: u64,
        right: &str,
    ) -> Result<Option<u64>, ConfigError> {
        let parse = |text: &str| {
            let days: u64 = text.trim().replace('_', "").parse().ok()?;
            let fits = days == 0 || (least..=MOST).contains(&days);
            fits.then(|| ((days > 0).then_some(days), days.to_string()))
        };
        self.read(key, right, || (None, "0".to_owned()), parse)
    }
}
