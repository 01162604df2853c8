//! Findings of the analysis: an account or address that seems to be a program, the
//! reasons, and the decision.

use seckill_core::suspicion::{Judgement, Reason};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, signed, unsigned};

/// The decision on a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// No decision yet.
    Proposed,
    /// The policy banned the subject.
    Banned,
    /// An operator banned the subject.
    Confirmed,
    /// An operator judged the subject to be a person, for a bounded time.
    Dismissed,
}

impl FindingState {
    /// All states.
    pub const ALL: [Self; 4] = [
        Self::Proposed,
        Self::Banned,
        Self::Confirmed,
        Self::Dismissed,
    ];

    /// Its stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Banned => "banned",
            Self::Confirmed => "confirmed",
            Self::Dismissed => "dismissed",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// `address` or `user`.
    pub kind: String,
    /// The address, network or account.
    pub subject: String,
    /// The decision.
    pub state: FindingState,
    /// The sum of the reasons' points.
    pub score: u32,
    /// Each reason: `code`, its numbers, `points`, and `sentence`.
    pub reasons: Vec<Value>,
    /// When it was first found, epoch milliseconds.
    pub first_ms: u64,
    /// When its score last rose, epoch milliseconds.
    pub last_ms: u64,
    /// The end of the ban by this finding, epoch milliseconds.
    pub ban_until_ms: Option<u64>,
    /// Until when the subject counts as a person, whatever it does, epoch milliseconds.
    pub good_until_ms: Option<u64>,
    /// Who decided last.
    pub decided_by: Option<String>,
}

impl Finding {
    /// A new finding without a decision.
    #[must_use]
    pub fn new(kind: &str, subject: &str, judgement: &Judgement, now_ms: u64) -> Self {
        Self {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            state: FindingState::Proposed,
            score: judgement.score,
            reasons: judgement.reasons.iter().map(in_full).collect(),
            first_ms: now_ms,
            last_ms: now_ms,
            ban_until_ms: None,
            good_until_ms: None,
            decided_by: None,
        }
    }

    /// Whether an operator's judgement that this is a person still holds.
    #[must_use]
    pub fn is_good(&self, now_ms: u64) -> bool {
        self.state == FindingState::Dismissed
            && self.good_until_ms.is_some_and(|until| until > now_ms)
    }

    /// Whether the same score needs no new decision. A ban that has ended is set again
    /// when its subject continues.
    pub(crate) fn is_settled(&self, now_ms: u64) -> bool {
        self.ban_until_ms.is_none_or(|until| until > now_ms)
    }
}

/// A reason with its points and its sentence.
fn in_full(reason: &Reason) -> Value {
    let mut value = serde_json::to_value(reason).unwrap_or_else(|_| json!({}));
    if let Some(fields) = value.as_object_mut() {
        fields.insert("points".to_owned(), json!(reason.points()));
        fields.insert("sentence".to_owned(), json!(reason.to_string()));
    }
    value
}

const COLUMNS: &str = "kind, subject, state, score, reasons, first_ms, last_ms, ban_until_ms, \
                       good_until_ms, decided_by";

impl Store {
    /// The finding about a subject.
    ///
    /// # Errors
    /// The database is away, or the row cannot be read.
    pub async fn finding(&self, kind: &str, subject: &str) -> Result<Option<Finding>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM findings WHERE kind = ? AND subject = ?");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(kind)
            .bind(subject)
            .fetch_optional(self.main().readers())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Up to `most` findings, worst and newest first; of one state, or all.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn findings(
        &self,
        state: Option<FindingState>,
        most: u32,
    ) -> Result<Vec<Finding>, StoreError> {
        let any = i64::from(state.is_none());
        let sql = format!(
            "SELECT {COLUMNS} FROM findings WHERE (? = 1 OR state = ?) \
             ORDER BY score DESC, last_ms DESC, kind, subject LIMIT ?"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(any)
            .bind(state.map_or("", FindingState::as_str))
            .bind(i64::from(most))
            .fetch_all(self.main().readers())
            .await?;
        rows.iter().map(read).collect()
    }

    /// The number of findings in each state.
    ///
    /// # Errors
    /// The database is away.
    pub async fn count_findings(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = sqlx::query("SELECT state, COUNT(*) FROM findings GROUP BY state")
            .fetch_all(self.main().readers())
            .await?;
        let count = |row: &AnyRow| {
            let (state, count): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            Ok((state, unsigned(count)))
        };
        rows.iter().map(count).collect()
    }

    /// Stores a finding of the analysis. An operator's decision stays, and so does a
    /// higher score with its reasons.
    ///
    /// # Errors
    /// The database is away.
    pub async fn put_finding(&self, finding: &Finding) -> Result<(), StoreError> {
        if self.insert_finding(finding).await? {
            return Ok(());
        }
        sqlx::query(
            "UPDATE findings SET state = ?, score = ?, reasons = ?, last_ms = ?, ban_until_ms = ? \
             WHERE kind = ? AND subject = ? AND score <= ? \
             AND (state IN ('proposed', 'banned') OR (state = 'dismissed' AND good_until_ms <= ?))",
        )
        .bind(finding.state.as_str())
        .bind(i64::from(finding.score))
        .bind(Value::from(finding.reasons.clone()).to_string())
        .bind(signed(finding.last_ms))
        .bind(finding.ban_until_ms.map(signed))
        .bind(&finding.kind)
        .bind(&finding.subject)
        .bind(i64::from(finding.score))
        .bind(signed(finding.last_ms))
        .execute(self.main().writer())
        .await?;
        Ok(())
    }

    /// Inserts a finding; `false` if there is one about its subject.
    async fn insert_finding(&self, finding: &Finding) -> Result<bool, StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO findings (kind, subject, state, score, reasons, first_ms, last_ms, \
             ban_until_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&finding.kind)
        .bind(&finding.subject)
        .bind(finding.state.as_str())
        .bind(i64::from(finding.score))
        .bind(Value::from(finding.reasons.clone()).to_string())
        .bind(signed(finding.first_ms))
        .bind(signed(finding.last_ms))
        .bind(finding.ban_until_ms.map(signed))
        .execute(self.main().writer())
        .await;
        match inserted.map_err(StoreError::from) {
            Ok(_) => Ok(true),
            Err(error) if error.is_double() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stores an operator's decision; `false` if there is no such finding.
    ///
    /// # Errors
    /// The database is away.
    pub async fn decide_finding(
        &self,
        (kind, subject): (&str, &str),
        state: FindingState,
        until_ms: u64,
        by: &str,
    ) -> Result<bool, StoreError> {
        let (ban_until, good_until) = match state {
            FindingState::Dismissed => (None, Some(signed(until_ms))),
            _ => (Some(signed(until_ms)), None),
        };
        let decided = sqlx::query(
            "UPDATE findings SET state = ?, ban_until_ms = ?, good_until_ms = ?, decided_by = ? \
             WHERE kind = ? AND subject = ?",
        )
        .bind(state.as_str())
        .bind(ban_until)
        .bind(good_until)
        .bind(by)
        .bind(kind)
        .bind(subject)
        .execute(self.main().writer())
        .await?;
        Ok(decided.rows_affected() > 0)
    }
}

fn read(row: &AnyRow) -> Result<Finding, StoreError> {
    let (kind, subject): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let bad = |column, value| StoreError::Row {
        table: "findings",
        id: format!("{kind} {subject}"),
        column,
        value,
    };
    let state: String = row.try_get(2)?;
    let state = FindingState::parse(&state).ok_or_else(|| bad("state", state))?;
    let reasons: String = row.try_get(4)?;
    let reasons = serde_json::from_str(&reasons).map_err(|_| bad("reasons", reasons))?;
    let score: i64 = row.try_get(3)?;
    let time = |at: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(at)?.map(unsigned));
    Ok(Finding {
        state,
        score: u32::try_from(score).unwrap_or(u32::MAX),
        reasons,
        first_ms: unsigned(row.try_get(5)?),
        last_ms: unsigned(row.try_get(6)?),
        ban_until_ms: time(7)?,
        good_until_ms: time(8)?,
        decided_by: row.try_get(9)?,
        kind,
        subject,
    })
}
