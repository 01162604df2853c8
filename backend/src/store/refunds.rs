//! Refunds that were asked for, and the days that were reconciled.

use seckill_core::orders::payment::ProviderName;
use sqlx::Row as _;

use super::payments::Payment;
use super::{Store, StoreError, signed, unsigned};

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundState {
    /// It is on record; whether the provider knows of it is not.
    Asked,
    /// The provider has accepted it, and reports when it is done.
    Pending,
    /// The money was returned.
    Done,
    /// The provider refused it.
    Refused,
}

impl RefundState {
    /// The name in the database and in responses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RefundState::Asked => "asked",
            RefundState::Pending => "pending",
            RefundState::Done => "done",
            RefundState::Refused => "refused",
        }
    }
}

/// A day that was compared with a provider's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// The provider.
    pub provider: ProviderName,
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// Differences that were found.
    pub differences: u64,
    /// Differences that are left for a person.
    pub open: u64,
    /// What was found, as JSON.
    pub report: String,
}

impl Store {
    /// Puts a refund on record before it is made; returns the amount under this id, which
    /// is another one if the same refund was asked for before.
    ///
    /// # Errors
    /// The database is away.
    pub async fn ask_refund(
        &self,
        id: &str,
        payment: &Payment,
        amount: u64,
        by: &str,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO refunds (id, payment, amount, state, asked_by, created_ms, updated_ms) \
             VALUES (?, ?, ?, 'asked', ?, ?, ?)",
        )
        .bind(id)
        .bind(&payment.key)
        .bind(signed(amount))
        .bind(by)
        .bind(signed(now_ms))
        .bind(signed(now_ms))
        .execute(self.main().writer())
        .await
        .map_err(StoreError::from);
        match inserted {
            Ok(_) => return Ok(amount),
            Err(error) if !error.is_double() => return Err(error),
            Err(_) => {}
        }
        // One that the provider refused may be asked for anew, with another amount.
        sqlx::query(
            "UPDATE refunds SET amount = ?, state = 'asked', reason = NULL, asked_by = ?, \
             created_ms = ?, updated_ms = ? WHERE id = ? AND state = 'refused'",
        )
        .bind(signed(amount))
        .bind(by)
        .bind(signed(now_ms))
        .bind(signed(now_ms))
        .bind(id)
        .execute(self.main().writer())
        .await?;
        let stored: i64 = sqlx::query_scalar("SELECT amount FROM refunds WHERE id = ?")
            .bind(id)
            .fetch_one(self.main().writer())
            .await?;
        Ok(unsigned(stored))
    }

    /// The refund of a payment that was asked for and whose outcome nobody was told, if it is
    /// not the one of this id: its id and amount.
    ///
    /// # Errors
    /// The database is away.
    pub async fn unanswered_refund(
        &self,
        payment: &Payment,
        next: &str,
    ) -> Result<Option<(String, u64)>, StoreError> {
        let row = sqlx::query(
            "SELECT id, amount FROM refunds WHERE payment = ? AND state = 'asked' AND id <> ? \
             ORDER BY created_ms DESC LIMIT 1",
        )
        .bind(&payment.key)
        .bind(next)
        .fetch_optional(self.main().writer())
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        Ok(Some((row.try_get(0)?, unsigned(row.try_get(1)?))))
    }

    /// Records what became of a refund.
    ///
    /// # Errors
    /// The database is away.
    pub async fn note_refund(
        &self,
        id: &str,
        state: RefundState,
        reason: Option<&str>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        const MAX_REASON: usize = 500;
        let reason = reason.map(|reason| reason.chars().take(MAX_REASON).collect::<String>());
        sqlx::query("UPDATE refunds SET state = ?, reason = ?, updated_ms = ? WHERE id = ?")
            .bind(state.as_str())
            .bind(reason)
            .bind(signed(now_ms))
            .bind(id)
            .execute(self.main().writer())
            .await?;
        Ok(())
    }

    /// Whether this day was compared with the provider's list.
    ///
    /// # Errors
    /// The database is away.
    pub async fn is_reconciled(
        &self,
        provider: ProviderName,
        day: &str,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT day FROM reconciliations WHERE provider = ? AND day = ?")
            .bind(provider.as_str())
            .bind(day)
            .fetch_optional(self.main().readers())
            .await?;
        Ok(row.is_some())
    }

    /// Records that a day was compared, instead of what was recorded of it before.
    ///
    /// # Errors
    /// The database is away.
    pub async fn keep_reconciliation(
        &self,
        done: &Reconciled,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        // Both name the columns in the same order, those of the key last.
        let bound = |statement| {
            sqlx::query(statement)
                .bind(signed(done.differences))
                .bind(signed(done.open))
                .bind(&done.report)
                .bind(signed(now_ms))
                .bind(done.provider.as_str())
                .bind(&done.day)
        };
        let update = || {
            bound(
                "UPDATE reconciliations SET differences = ?, open = ?, report = ?, done_ms = ? \
                 WHERE provider = ? AND day = ?",
            )
        };
        let insert = bound(
            "INSERT INTO reconciliations (differences, open, report, done_ms, provider, day) \
             VALUES (?, ?, ?, ?, ?, ?)",
        );
        self.main().put(update, insert).await
    }

    /// The days that were compared, latest first: up to `limit`.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn reconciliations(&self, limit: u32) -> Result<Vec<Reconciled>, StoreError> {
        let rows = sqlx::query(
            "SELECT provider, day, differences, open, report FROM reconciliations \
             ORDER BY day DESC, provider LIMIT ?",
        )
        .bind(i64::from(limit))
        .fetch_all(self.main().readers())
        .await?;
        let read = |row: &sqlx::any::AnyRow| {
            let provider: String = row.try_get(0)?;
            let day: String = row.try_get(1)?;
            let Some(name) = ProviderName::parse(&provider) else {
                let (table, column) = ("reconciliations", "provider");
                return Err(StoreError::Row {
                    table,
                    id: day,
                    column,
                    value: provider,
                });
            };
            Ok(Reconciled {
                provider: name,
                day,
                differences: unsigned(row.try_get(2)?),
                open: unsigned(row.try_get(3)?),
                report: row.try_get(4)?,
            })
        };
        rows.iter().map(read).collect()
    }
}
