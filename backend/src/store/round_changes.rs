//! Changes of rounds: created, edited, submitted, approved, rejected, published,
//! deleted. Each change is one transaction with its entry in the audit log, and
//! names the version that its author has seen: of two at once, one wins and the
//! other fails with [`ChangeError::NotAsSeen`].

use sqlx::Row as _;

use super::audit::{Actor, Done, note};
use super::frozen::set_aside;
use super::locks::one_at_a_time;
use super::round::{Round, RoundState, StoredRound};
use super::round_rows::{insert_round, load, replace_products, update_draft};
use super::session::Session;
use super::{Store, StoreError, signed, unsigned};
use crate::time::rfc3339;

/// Why a round was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no round of this id.
    #[error("there is no round \"{0}\"")]
    NoSuchRound(String),
    /// Its version is not the one that was seen, or its state does not allow the change.
    #[error("round \"{}\" was changed meanwhile; it is {}", .0.round.id, .0.state.as_str())]
    NotAsSeen(Box<StoredRound>),
    /// The id is in use.
    #[error("round \"{0}\" exists already; choose another id")]
    Exists(String),
    /// A product would be in two rounds at once.
    #[error(transparent)]
    Overlap(#[from] Overlap),
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A product that would be in two rounds at the same time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "product {product} of round \"{round}\" is also in round \"{other}\" ({name}), which runs from \
     {} to {}; choose a time that does not overlap, or take the product out of one of the two",
    rfc3339(*opens_ms), rfc3339(*ends_ms)
)]
pub struct Overlap {
    /// The product.
    pub product: String,
    /// The round that is being changed.
    pub round: String,
    /// The other round.
    pub other: String,
    /// Its name.
    pub name: String,
    /// Its start, epoch milliseconds.
    pub opens_ms: u64,
    /// Its end, epoch milliseconds.
    pub ends_ms: u64,
}

/// A step from one state to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// An operator submits it for approval.
    Submit,
    /// It becomes a draft again, for this reason; empty for none.
    Withdraw(&'a str),
    /// A supervisor rejects it, for this reason.
    Reject(&'a str),
}

impl Store {
    /// Adds rounds, all or none.
    ///
    /// # Errors
    /// [`ChangeError::Exists`], [`ChangeError::Overlap`], the database.
    pub async fn create_rounds(
        &self,
        rounds: &[(Round, Option<String>)],
        by: &Actor,
        done: impl Fn(&Round) -> Done,
        now_ms: u64,
    ) -> Result<(), ChangeError> {
        let mut transaction = self.main().begin().await?;
        one_at_a_time(&mut transaction).await?;
        for (round, series) in rounds {
            if !load(&mut transaction, Some(&round.id)).await?.is_empty() {
                return Err(ChangeError::Exists(round.id.clone()));
            }
            insert_round(&mut transaction, round, series.as_deref(), by, now_ms).await?;
            refuse_overlap(&mut transaction, round, false).await?;
            note(&mut transaction, by, &done(round), now_ms).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Saves a round that nobody has submitted; a rejected one is a draft again.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn save_round(
        &self,
        round: &Round,
        seen: u64,
        by: &Actor,
        done: &Done,
        now_ms: u64,
    ) -> Result<(), ChangeError> {
        let mut transaction = self.main().begin().await?;
        one_at_a_time(&mut transaction).await?;
        if !update_draft(&mut transaction, round, Some(seen), by, now_ms).await? {
            return Err(not_as_seen(&mut transaction, &round.id).await?);
        }
        refuse_overlap(&mut transaction, round, false).await?;
        note(&mut transaction, by, done, now_ms).await?;
        Ok(transaction.commit().await?)
    }

    /// Whether [`Store::revise_round`] would save this. Nothing is changed.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn check_revision(&self, round: &Round, seen: u64) -> Result<(), ChangeError> {
        let mut transaction = self.main().begin().await?;
        let nobody = Actor::system();
        revise(&mut transaction, round, seen, &nobody, 0).await?;
        Ok(transaction.rollback().await?)
    }

    /// Saves an approved round, of which the caller has changed only what is safe.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn revise_round(
        &self,
        round: &Round,
        seen: u64,
        by: &Actor,
        done: &Done,
        now_ms: u64,
    ) -> Result<(), ChangeError> {
        let mut transaction = self.main().begin().await?;
        revise(&mut transaction, round, seen, by, now_ms).await?;
        note(&mut transaction, by, done, now_ms).await?;
        Ok(transaction.commit().await?)
    }

    /// Takes a step with a round.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn step_round(
        &self,
        id: &str,
        seen: u64,
        step: Step<'_>,
        by: &Actor,
        now_ms: u64,
    ) -> Result<(), ChangeError> {
        let mut transaction = self.main().begin().await?;
        let now = signed(now_ms);
        let (statement, action) = match step {
            Step::Submit => (
                "UPDATE rounds SET state = 'submitted', version = version + 1, submitted_by = ?,
                 submitted_ms = ?, reason = NULL WHERE id = ? AND version = ? AND state = 'draft'",
                "round.submit",
            ),
            Step::Withdraw(_) => (
                "UPDATE rounds SET state = 'draft', version = version + 1, edited_by = ?,
                 edited_ms = ? WHERE id = ? AND version = ? AND state = 'submitted'",
                "round.withdraw",
            ),
            Step::Reject(_) => (
                "UPDATE rounds SET state = 'rejected', version = version + 1, decided_by = ?,
                 decided_ms = ? WHERE id = ? AND version = ? AND state = 'submitted'",
                "round.reject",
            ),
        };
        let changed = sqlx::query(statement)
            .bind(&by.name)
            .bind(now)
            .bind(id)
            .bind(signed(seen))
            .execute(&mut *transaction)
            .await?;
        if changed.rows_affected() == 0 {
            return Err(not_as_seen(&mut transaction, id).await?);
        }
        let mut detail = serde_json::json!({});
        if let Step::Withdraw(reason) = step
            && !reason.is_empty()
        {
            detail["reason"] = reason.into();
        }
        if let Step::Reject(reason) = step {
            sqlx::query("UPDATE rounds SET reason = ? WHERE id = ?")
                .bind(reason)
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            detail["reason"] = reason.into();
        }
        let done = Done {
            action,
            target: id.to_owned(),
            detail,
        };
        note(&mut transaction, by, &done, now_ms).await?;
        Ok(transaction.commit().await?)
    }

    /// Approves a round and sets its amounts aside. With `seen`, the round must be
    /// submitted and of that version; without, in any state. `false` if `seen` is
    /// `None` and it was approved before.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn approve_round(
        &self,
        id: &str,
        seen: Option<u64>,
        by: &Actor,
        now_ms: u64,
    ) -> Result<bool, ChangeError> {
        let now = signed(now_ms);
        let mut transaction = self.main().begin().await?;
        one_at_a_time(&mut transaction).await?;
        let approved = sqlx::query(
            "UPDATE rounds SET state = 'approved', version = version + 1, approved_ms = ?,
             decided_by = ?, decided_ms = ?, reason = NULL
             WHERE id = ? AND ((? < 0 AND state <> 'approved') OR (version = ? AND state = 'submitted'))",
        )
        .bind(now)
        .bind(&by.name)
        .bind(now)
        .bind(id)
        .bind(seen.map_or(-1, signed))
        .bind(seen.map_or(-1, signed))
        .execute(&mut *transaction)
        .await?
        .rows_affected()
            == 1;
        if !approved {
            let stored = load(&mut transaction, Some(id)).await?.pop();
            let stored = stored.ok_or_else(|| ChangeError::NoSuchRound(id.to_owned()))?;
            return match seen {
                None if stored.state == RoundState::Approved => Ok(false),
                _ => Err(ChangeError::NotAsSeen(Box::new(stored))),
            };
        }
        // Somebody with a shell may want an overlap; see "seckill sale import --overlapping".
        if seen.is_some()
            && let Some(stored) = load(&mut transaction, Some(id)).await?.pop()
        {
            refuse_overlap(&mut transaction, &stored.round, true).await?;
        }
        set_aside(&mut transaction, id, now).await?;
        let done = Done {
            action: "round.approve",
            target: id.to_owned(),
            detail: serde_json::json!({}),
        };
        note(&mut transaction, by, &done, now_ms).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Records that Redis has all of an approved round.
    ///
    /// # Errors
    /// The database.
    pub async fn mark_published(&self, id: &str, now_ms: u64) -> Result<(), StoreError> {
        sqlx::query("UPDATE rounds SET published_ms = ? WHERE id = ? AND published_ms IS NULL")
            .bind(signed(now_ms))
            .bind(id)
            .execute(self.main().writer())
            .await?;
        Ok(())
    }

    /// Deletes a round that was never approved.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn delete_round(
        &self,
        id: &str,
        seen: u64,
        by: &Actor,
        now_ms: u64,
    ) -> Result<(), ChangeError> {
        let mut transaction = self.main().begin().await?;
        let stored = load(&mut transaction, Some(id)).await?.pop();
        let stored = stored.ok_or_else(|| ChangeError::NoSuchRound(id.to_owned()))?;
        let deleted = sqlx::query(
            "DELETE FROM rounds WHERE id = ? AND version = ? AND state IN ('draft', 'rejected')",
        )
        .bind(id)
        .bind(signed(seen))
        .execute(&mut *transaction)
        .await?;
        if deleted.rows_affected() == 0 {
            return Err(ChangeError::NotAsSeen(Box::new(stored)));
        }
        let done = Done {
            action: "round.delete",
            target: id.to_owned(),
            detail: serde_json::json!({ "name": stored.round.name }),
        };
        note(&mut transaction, by, &done, now_ms).await?;
        Ok(transaction.commit().await?)
    }
}

/// Writes an approved round of the version that was seen.
async fn revise(
    connection: &mut Session,
    round: &Round,
    seen: u64,
    by: &Actor,
    now_ms: u64,
) -> Result<(), ChangeError> {
    one_at_a_time(connection).await?;
    let changed = sqlx::query(
        "UPDATE rounds SET name = ?, opens_ms = ?, ends_ms = ?, version = version + 1,
         edited_by = ?, edited_ms = ? WHERE id = ? AND version = ? AND state = 'approved'",
    )
    .bind(&round.name)
    .bind(signed(round.opens_ms))
    .bind(signed(round.ends_ms))
    .bind(&by.name)
    .bind(signed(now_ms))
    .bind(&round.id)
    .bind(signed(seen))
    .execute(&mut *connection)
    .await?;
    if changed.rows_affected() == 0 {
        return Err(not_as_seen(connection, &round.id).await?);
    }
    replace_products(connection, round).await?;
    refuse_overlap(connection, round, false).await
}

async fn not_as_seen(connection: &mut Session, id: &str) -> Result<ChangeError, StoreError> {
    let stored = load(connection, Some(id)).await?.pop();
    Ok(stored.map_or_else(
        || ChangeError::NoSuchRound(id.to_owned()),
        |stored| ChangeError::NotAsSeen(Box::new(stored)),
    ))
}

/// Refuses a round if one of its products is in another round at the same time: in
/// any that is not rejected, or only in approved ones. What was ended or withdrawn sells
/// until then; a pause may be resumed.
pub(super) async fn refuse_overlap(
    connection: &mut Session,
    round: &Round,
    only_approved: bool,
) -> Result<(), ChangeError> {
    let found = sqlx::query(
        "SELECT mine.product, other.id, other.name, other.opens_ms, other.ends_ms
         FROM rounds other
         JOIN round_products theirs ON theirs.round = other.id
         JOIN round_products mine ON mine.product = theirs.product AND mine.round = ?
         WHERE other.opens_ms < ? AND other.ends_ms > ? AND other.id <> ?
           AND other.state <> 'rejected' AND (? = 0 OR other.state = 'approved')
           AND NOT EXISTS (SELECT 1 FROM stops
                           WHERE stops.round IN (other.id, mine.round)
                             AND stops.product IN ('', mine.product) AND stops.kind <> 'paused'
                             AND (stops.at_ms <= other.opens_ms OR stops.at_ms <= ?))
         ORDER BY other.opens_ms, mine.position LIMIT 1",
    )
    .bind(&round.id)
    .bind(signed(round.ends_ms))
    .bind(signed(round.opens_ms))
    .bind(&round.id)
    .bind(i64::from(only_approved))
    .bind(signed(round.opens_ms))
    .fetch_optional(connection)
    .await?;
    let Some(row) = found else {
        return Ok(());
    };
    Err(ChangeError::Overlap(Overlap {
        product: row.try_get(0)?,
        round: round.id.clone(),
        other: row.try_get(1)?,
        name: row.try_get(2)?,
        opens_ms: unsigned(row.try_get(3)?),
        ends_ms: unsigned(row.try_get(4)?),
    }))
}
