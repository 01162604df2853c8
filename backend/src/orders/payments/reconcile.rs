//! Reconciliation: each day's payments are compared with the provider's list. What never
//! arrived here is recorded as if its notice came now; what contradicts itself is
//! reported, for a person.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use seckill_core::orders::payment::{Notice, ProviderName};
use seckill_core::orders::reconcile::{Difference, Recorded, compare};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{AnyProvider, Payments, Provider as _, ProviderError};
use crate::now_ms;
use crate::store::payments::Payment;
use crate::store::refunds::Reconciled;
use crate::store::{Store, StoreError};
use crate::time::periodic::Passes;

/// How often it is looked whether a day is over that was not compared yet.
const EVERY: Duration = Duration::from_secs(600);
/// How much longer the provider's list is than the time that is compared, in ms: a
/// payment may be created on one side of midnight and reported on the other.
const MARGIN_MS: u64 = 86_400_000;
/// How long after midnight the day before is compared, in ms: notices may still come.
const AFTER_MS: u64 = 3_600_000;

/// Why nothing was compared.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The provider did not report its payments.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The database is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The provider.
    pub provider: ProviderName,
    /// Payments that the provider reports.
    pub theirs: usize,
    /// Payments in our records.
    pub ours: usize,
    /// What differs, and whether it was mended.
    pub differences: Vec<(Difference, bool)>,
}

impl Report {
    /// Differences that are left for a person.
    #[must_use]
    pub fn open(&self) -> usize {
        self.differences
            .iter()
            .filter(|(_, mended)| !mended)
            .count()
    }

    /// As JSON, for programs and for the record.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let difference = |(difference, mended): &(Difference, bool)| {
            json!({
                "kind": difference.kind(),
                "what": difference.to_string(),
                "mended": mended,
            })
        };
        json!({
            "provider": self.provider.as_str(),
            "theirs": self.theirs,
            "ours": self.ours,
            "differences": self.differences.iter().map(difference).collect::<Vec<_>>(),
        })
    }
}

/// Compares the payments of `[from_ms, to_ms)` with a provider's list. With `mend`, what
/// never arrived is recorded.
///
/// # Errors
/// [`ReconcileError`]; what was mended stays so.
pub async fn reconcile(
    store: &Store,
    payments: &Payments,
    provider: &AnyProvider,
    (from_ms, to_ms): (u64, u64),
    mend: bool,
) -> Result<Report, ReconcileError> {
    let name = provider.name();
    let wide = (
        from_ms.saturating_sub(MARGIN_MS),
        to_ms.saturating_add(MARGIN_MS),
    );
    let theirs = reported(store, provider, wide).await?;
    let mut known = HashMap::new();
    for payment in store.payments_between(name, wide.0, wide.1).await? {
        let recorded = recorded(payment, payments);
        known.insert(recorded.key.clone(), recorded);
    }
    for notice in &theirs {
        // On record at another time, as after a long outage.
        if !known.contains_key(&notice.key())
            && let Some(payment) = store.payment(&notice.key()).await?
        {
            let recorded = recorded(payment, payments);
            known.insert(recorded.key.clone(), recorded);
        }
    }
    let ours = store.payments_between(name, from_ms, to_ms).await?;
    let ours: HashSet<String> = ours.into_iter().map(|payment| payment.key).collect();
    let mut differences = Vec::new();
    for difference in compare(&theirs, &known, &ours) {
        let mended = match difference.mended_by() {
            Some(notice) if mend => {
                let noted = store.note_payment(notice, payments.currency(), now_ms());
                match noted.await {
                    // It contradicts our record: for a person.
                    Err(StoreError::OtherMoney(..)) => false,
                    noted => noted.map(|_| true)?,
                }
            }
            _ => false,
        };
        differences.push((difference, mended));
    }
    Ok(Report {
        provider: name,
        theirs: theirs.len(),
        ours: ours.len(),
        differences,
    })
}

/// All payments that the provider knows of: its list, or what it says of each checkout.
async fn reported(
    store: &Store,
    provider: &AnyProvider,
    (from_ms, to_ms): (u64, u64),
) -> Result<Vec<Notice>, ReconcileError> {
    if let Some(list) = provider.list(from_ms, to_ms).await? {
        return Ok(list);
    }
    let mut found = Vec::new();
    for checkout in store
        .checkouts_between(provider.name(), from_ms, to_ms)
        .await?
    {
        found.extend(provider.query(&checkout).await?);
    }
    Ok(found)
}

fn recorded(payment: Payment, payments: &Payments) -> Recorded {
    Recorded {
        amount: payment.amount(payments.currency()),
        key: payment.key,
        id: payment.id,
        order: payment.order,
        state: payment.state,
        refunded: payment.refunded_cents,
    }
}

/// The first and the last moment of a day, epoch milliseconds.
#[must_use]
pub fn day_ms(day: Date, zone: &TimeZone) -> Option<(u64, u64)> {
    let at = |day: Date| {
        let start = day.to_zoned(zone.clone()).ok()?;
        u64::try_from(start.timestamp().as_millisecond()).ok()
    };
    Some((at(day)?, at(day.checked_add(1.day()).ok()?)?))
}

/// Compares each day once it is over, until `stop`. Several may run: comparing a day
/// twice mends nothing twice.
pub async fn run(store: Store, payments: Payments, zone: TimeZone, stop: CancellationToken) {
    let mut passes = Passes::new(stop, "payments wait to be reconciled", EVERY);
    while passes.go_on() {
        let outcome = yesterday(&store, &payments, &zone).await;
        passes.pause_after(outcome.map(|()| EVERY)).await;
    }
}

/// Compares the day before, with every provider with which it was not compared yet.
async fn yesterday(
    store: &Store,
    payments: &Payments,
    zone: &TimeZone,
) -> Result<(), ReconcileError> {
    let Some((day, times)) = last_day(now_ms(), zone) else {
        return Ok(());
    };
    let day = day.to_string();
    let mut outcome = Ok(());
    for provider in payments.all().iter().filter(|it| it.can_report()) {
        let name = provider.name();
        if store.is_reconciled(name, &day).await? {
            continue;
        }
        // One that is away does not keep the others from being compared.
        match reconcile(store, payments, provider, times, true).await {
            Ok(report) => keep(store, &report, &day).await?,
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// The last day that is over, and its first and last moment.
fn last_day(now_ms: u64, zone: &TimeZone) -> Option<(Date, (u64, u64))> {
    let at = i64::try_from(now_ms.saturating_sub(AFTER_MS)).ok()?;
    let today = Timestamp::from_millisecond(at)
        .ok()?
        .to_zoned(zone.clone())
        .date();
    let day = today.yesterday().ok()?;
    Some((day, day_ms(day, zone)?))
}

/// Puts a report on record, and logs what is left for a person.
///
/// # Errors
/// The database is away.
pub async fn keep(store: &Store, report: &Report, day: &str) -> Result<(), StoreError> {
    let provider = report.provider.as_str();
    for (difference, mended) in &report.differences {
        if *mended {
            tracing::warn!(provider, day, "{difference}; it is now");
        } else {
            tracing::error!(provider, day, "{difference}");
        }
    }
    let done = Reconciled {
        provider: report.provider,
        day: day.to_owned(),
        differences: report.differences.len() as u64,
        open: report.open() as u64,
        report: report.as_json().to_string(),
    };
    store.keep_reconciliation(&done, now_ms()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_compared_an_hour_after_it_ended_where_the_shop_is() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        // 2026-11-28T00:59:59+08:00, and a second later.
        let early = 1_795_798_799_000;
        let (day, _) = last_day(early, &zone).unwrap();
        assert_eq!(day.to_string(), "2026-11-26");
        let (day, (from, to)) = last_day(early + 1_000, &zone).unwrap();
        assert_eq!(day.to_string(), "2026-11-27");
        assert_eq!((from, to - from), (1_795_708_800_000, 86_400_000));
    }
}
