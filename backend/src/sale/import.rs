//! Stores the rounds of a sale file as drafts.
//!
//! Importing the same file again changes nothing. A draft is replaced by the file's
//! round. A file changes no approved round, since shoppers, edges and stock rely on
//! it (the console allows safe changes), and none that is submitted.

use std::fmt;

use super::export;
use super::file::FileRound;
use crate::store::import::{Decision, Outcome};
use crate::store::round::{Product, Round, RoundState, StoredRound};
use crate::store::round_changes::{ChangeError, Overlap};
use crate::store::{Actor, Store};
use crate::time::rfc3339;

/// Why a sale was not imported. All of its rounds are as they were, unless the database
/// failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A round is approved or submitted, and the file has it differently.
    #[error(transparent)]
    Approved(#[from] ApprovedRound),
    /// A product would be in two rounds at once.
    #[error(transparent)]
    Overlap(Overlap),
    /// The database refused.
    #[error("the sale could not be stored: {0}")]
    Store(ChangeError),
}

impl From<ChangeError> for ImportError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Overlap(overlap) => Self::Overlap(overlap),
            other => Self::Store(other),
        }
    }
}

/// A round that the file would change although it is approved or submitted.
#[derive(Debug, thiserror::Error)]
#[error("round \"{round}\" is {state}, and no file changes it ({difference}); {cure}")]
pub struct ApprovedRound {
    /// Its id.
    pub round: String,
    state: &'static str,
    difference: String,
    cure: &'static str,
}

/// Imports all rounds, or none.
///
/// # Errors
/// [`ImportError`].
pub async fn import(
    store: &Store,
    rounds: &[FileRound],
    by: &Actor,
    now_ms: u64,
) -> Result<Vec<Outcome>, ImportError> {
    import_all(store, rounds, false, (by, now_ms)).await
}

/// Imports all rounds, or none, also if a product is in two rounds at the same time,
/// as a drill may want it.
///
/// # Errors
/// [`ImportError`].
pub async fn import_overlapping(
    store: &Store,
    rounds: &[FileRound],
    by: &Actor,
    now_ms: u64,
) -> Result<Vec<Outcome>, ImportError> {
    import_all(store, rounds, true, (by, now_ms)).await
}

async fn import_all(
    store: &Store,
    rounds: &[FileRound],
    may_overlap: bool,
    by: (&Actor, u64),
) -> Result<Vec<Outcome>, ImportError> {
    let decide = |stored: Option<&StoredRound>, file: &FileRound| Ok(decide(stored, file)?);
    store
        .import_rounds(rounds, |file| &file.round.id, decide, may_overlap, by)
        .await
}

/// Decides what to do with a round of the file, given the round that is stored under
/// its id.
///
/// # Errors
/// The stored round is approved or submitted, and differs.
pub fn decide(stored: Option<&StoredRound>, file: &FileRound) -> Result<Decision, ApprovedRound> {
    let save = || Decision::Save {
        round: file.round.clone(),
        series: file.series.clone(),
    };
    let Some(stored) = stored else {
        return Ok(save());
    };
    match stored.state {
        _ if stored.round == file.round => Ok(Decision::Keep),
        RoundState::Draft | RoundState::Rejected => Ok(save()),
        RoundState::Submitted | RoundState::Approved => {
            let file = with_first_times(file, &stored.round);
            // The file as it was imported, or as it was exported since.
            let exported = export::offered(stored);
            let difference = difference(&stored.round, &file)
                .filter(|_| difference(&stored.in_force(), &file).is_some())
                .filter(|_| difference(&exported, &file).is_some());
            match difference {
                None => Ok(Decision::Keep),
                Some(difference) => Err(ApprovedRound {
                    round: stored.round.id.clone(),
                    state: stored.state.as_str(),
                    difference,
                    cure: match stored.state {
                        RoundState::Submitted => "withdraw it at the console first",
                        _ => "give the new round another id, or take this one out of the file",
                    },
                }),
            }
        }
    }
}

/// The file's round with its relative times counted from the first import, so that
/// "+10s" in an unchanged file is no change.
fn with_first_times(file: &FileRound, stored: &Round) -> Round {
    let mut round = file.round.clone();
    let length_ms = round.ends_ms.saturating_sub(round.opens_ms);
    if file.starts_relative {
        round.opens_ms = stored.opens_ms;
    }
    if file.ends_relative {
        round.ends_ms = round.opens_ms.saturating_add(length_ms);
    }
    round
}

/// Describes the first difference; `None` if there is none.
fn difference(stored: &Round, file: &Round) -> Option<String> {
    let differs = |what: &str, was: &dyn fmt::Display, is: &dyn fmt::Display| {
        Some(format!("its {what} is {was}, the file says {is}"))
    };
    if stored.name != file.name {
        return differs("name", &stored.name, &file.name);
    }
    if stored.opens_ms != file.opens_ms {
        return differs("start", &rfc3339(stored.opens_ms), &rfc3339(file.opens_ms));
    }
    if stored.ends_ms != file.ends_ms {
        return differs("end", &rfc3339(stored.ends_ms), &rfc3339(file.ends_ms));
    }
    let ids = |round: &Round| {
        round
            .products
            .iter()
            .map(|product| product.id.clone())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if ids(stored) != ids(file) {
        return differs("list of products", &ids(stored), &ids(file));
    }
    stored
        .products
        .iter()
        .zip(&file.products)
        .find(|(was, is)| !is_same(was, is))
        .map(|(was, is)| product_difference(was, is))
}

/// Whether a product is unchanged; segments that the file leaves out count as equal.
fn is_same(was: &Product, is: &Product) -> bool {
    let segments = if is.segments.is_empty() { was } else { is }
        .segments
        .clone();
    *was == Product {
        segments,
        priced_ms: was.priced_ms,
        ..is.clone()
    }
}

fn product_difference(was: &Product, is: &Product) -> String {
    let fields: [(&str, String, String); 9] = [
        ("title", was.title.clone(), is.title.clone()),
        ("text", was.text.clone(), is.text.clone()),
        ("picture", was.picture.clone(), is.picture.clone()),
        (
            "picture_alt",
            format!("{:?}", was.picture_alt),
            format!("{:?}", is.picture_alt),
        ),
        ("amount", was.amount.to_string(), is.amount.to_string()),
        (
            "price_cents",
            was.price_cents.to_string(),
            is.price_cents.to_string(),
        ),
        (
            "list_price_cents",
            was.list_price_cents.to_string(),
            is.list_price_cents.to_string(),
        ),
        (
            "per_buyer",
            was.per_buyer.to_string(),
            is.per_buyer.to_string(),
        ),
        (
            "segments",
            format!("{:?}", was.segments),
            format!("{:?}", is.segments),
        ),
    ];
    fields
        .into_iter()
        .find(|(_, was, is)| was != is)
        .map(|(field, stored, file)| {
            format!(
                "{field} of product {} is {stored}, the file says {file}",
                was.id
            )
        })
        .unwrap_or_else(|| format!("product {} differs", was.id))
}
