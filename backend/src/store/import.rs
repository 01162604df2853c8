//! Importing the rounds of a sale file, in one transaction.

use std::fmt;

use super::audit::{Actor, Done, note};
use super::locks::one_at_a_time;
use super::round::{Round, StoredRound};
use super::round_changes::{ChangeError, refuse_overlap};
use super::round_rows::{insert_round, load, update_draft};
use super::session::Session;
use super::{Store, StoreError};

/// The decision on one round of the file.
#[derive(Debug)]
pub enum Decision {
    /// It is stored as it is.
    Keep,
    /// Store it as a draft.
    Save {
        /// The round, which takes the place of a stored draft.
        round: Round,
        /// The series that a new round is a day of.
        series: Option<String>,
    },
}

/// The outcome of one round of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The round's id.
    pub round: String,
    /// What the import changed.
    pub change: Change,
}

/// What an import changed of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A new draft was stored.
    Created,
    /// The draft was replaced.
    Replaced,
    /// The same round was stored already.
    Unchanged,
}

impl Outcome {
    fn unchanged(round: &str) -> Self {
        Self {
            round: round.to_owned(),
            change: Change::Unchanged,
        }
    }

    fn saved(round: &str, existed: bool) -> Self {
        let change = if existed {
            Change::Replaced
        } else {
            Change::Created
        };
        Self {
            round: round.to_owned(),
            change,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Change::Created => "imported as a draft",
            Change::Replaced => "draft replaced",
            Change::Unchanged => "unchanged",
        })
    }
}

impl Store {
    /// Imports rounds of any description in one transaction. `decide` gets each
    /// beside the round that is stored under its `id`; one refusal leaves everything
    /// as it was.
    ///
    /// # Errors
    /// The database, the first refusal of `decide`, or, unless it `may_overlap`, a
    /// product that would be in two rounds at once.
    pub async fn import_rounds<R, E>(
        &self,
        rounds: &[R],
        id: impl Fn(&R) -> &str,
        decide: impl Fn(Option<&StoredRound>, &R) -> Result<Decision, E>,
        may_overlap: bool,
        (by, now_ms): (&Actor, u64),
    ) -> Result<Vec<Outcome>, E>
    where
        E: From<ChangeError>,
    {
        let failed = |error: StoreError| E::from(ChangeError::from(error));
        // Nobody may approve a round between reading and writing it.
        let begun = self.main().begin().await;
        let mut transaction = begun.map_err(|error| failed(error.into()))?;
        one_at_a_time(&mut transaction).await.map_err(failed)?;
        let mut outcomes = Vec::new();
        let mut saved = Vec::new();
        for described in rounds {
            let id = id(described);
            let stored = load(&mut transaction, Some(id)).await.map_err(failed)?;
            let stored = stored.into_iter().next();
            let outcome = match decide(stored.as_ref(), described)? {
                Decision::Keep => Outcome::unchanged(id),
                Decision::Save { round, series } => {
                    let (series, existed) = (series.as_deref(), stored.is_some());
                    import_one(&mut transaction, &round, series, existed, (by, now_ms))
                        .await
                        .map_err(failed)?;
                    saved.push(round);
                    Outcome::saved(id, existed)
                }
            };
            outcomes.push(outcome);
        }
        // Last, when all of the file is stored: rounds may exchange their products.
        for round in saved.iter().filter(|_| !may_overlap) {
            refuse_overlap(&mut transaction, round, false).await?;
        }
        let committed = transaction.commit().await;
        committed.map_err(|error| failed(error.into()))?;
        Ok(outcomes)
    }
}

async fn import_one(
    connection: &mut Session,
    round: &Round,
    series: Option<&str>,
    is_stored: bool,
    (by, now_ms): (&Actor, u64),
) -> Result<(), StoreError> {
    if is_stored {
        update_draft(connection, round, None, by, now_ms).await?;
    } else {
        insert_round(connection, round, series, by, now_ms).await?;
    }
    let done = Done {
        action: "round.import",
        target: round.id.clone(),
        detail: serde_json::json!({ "name": round.name, "products": round.products.len() }),
    };
    note(connection, by, &done, now_ms).await
}
