//! The stop switch: rounds and products that operators paused, ended or withdrew. Each
//! change is one transaction with its entry in the audit log, raises the round's
//! version, and records that Redis has still to follow.

use super::audit::{Actor, Done, note};
use super::round::{RoundState, StoredRound};
use super::round_rows::load;
use super::session::Session;
use super::stop::{Cancelling, Stop, StopKind};
use super::stop_rows::set;
use super::{Store, StoreError, signed};

/// Longest reason of a decision about a round, in characters.
pub const MAX_REASON: usize = 500;

/// What an operator wants of the stop switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopStep {
    /// Nobody may buy until it is resumed.
    Pause,
    /// A pause is over.
    Resume,
    /// The round, or the product in it, is over now.
    End,
    /// It is taken off sale, and off the shop's pages.
    Withdraw,
}

impl StopStep {
    /// Its name on the command line and in addresses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StopStep::Pause => "pause",
            StopStep::Resume => "resume",
            StopStep::End => "end",
            StopStep::Withdraw => "withdraw",
        }
    }

    /// The action in the audit log.
    fn action(self) -> &'static str {
        match self {
            StopStep::Pause => "sale.pause",
            StopStep::Resume => "sale.resume",
            StopStep::End => "sale.end",
            StopStep::Withdraw => "sale.withdraw",
        }
    }
}

/// An order to the stop switch.
#[derive(Debug, Clone, Copy)]
pub struct StopOrder<'a> {
    /// What is wanted.
    pub step: StopStep,
    /// The round's id.
    pub round: &'a str,
    /// One product of it; `None` for the whole round.
    pub product: Option<&'a str>,
    /// Which orders are cancelled; for an end and a withdrawal only.
    pub cancel: Cancelling,
    /// Why, for the audit log; may be empty.
    pub reason: &'a str,
}

/// Why the stop switch did nothing.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no round of this id.
    #[error("there is no round \"{0}\"")]
    NoSuchRound(String),
    /// The round has no such product.
    #[error("round \"{round}\" has no product \"{product}\"")]
    NoSuchProduct {
        /// The round.
        round: String,
        /// The product.
        product: String,
    },
    /// The step makes no sense in the present state.
    #[error("{message}")]
    Refused {
        /// Stable name.
        code: &'static str,
        /// What is, and what to do instead.
        message: String,
    },
}

impl From<sqlx::Error> for StopError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

fn refused(code: &'static str, message: String) -> StopError {
    StopError::Refused { code, message }
}

/// What a step leaves of a stop: `Ok(None)` if everything stays as it is.
///
/// # Errors
/// [`StopError::Refused`].
fn next(
    order: &StopOrder<'_>,
    was: Option<Stop>,
    stored: &StoredRound,
    now_ms: u64,
) -> Result<Option<Option<Stop>>, StopError> {
    let what = match order.product {
        None => format!("round {}", order.round),
        Some(product) => format!("product {product} of round {}", order.round),
    };
    let kind = was.map(|stop| stop.kind);
    let is_over = stored.round.ends_ms <= now_ms;
    let (step, ended) = (order.step, Some(StopKind::Ended));
    if order.cancel != Cancelling::None && !matches!(step, StopStep::End | StopStep::Withdraw) {
        let message = format!(
            "a {} cancels no orders; end or withdraw {what} to cancel them",
            step.as_str()
        );
        return Err(refused("cancel_needs_end", message));
    }
    let of_round = stored.stops.round.map(|stop| stop.kind);
    let withdrawn = Some(StopKind::Withdrawn);
    if (kind == withdrawn || of_round == withdrawn) && step != StopStep::Withdraw {
        return Err(refused(
            "already_withdrawn",
            format!("{what} was withdrawn, which is for good; sell it in a new round"),
        ));
    }
    if (is_over || kind == ended) && matches!(step, StopStep::Pause | StopStep::Resume) {
        return Err(refused(
            "round_over",
            format!("{what} is over; there is nothing left to {}", step.as_str()),
        ));
    }
    let stop = |kind| {
        // A product that had ended does not sell until it is withdrawn; of a round, its own
        // end says so.
        let is_since =
            |was: &Stop| was.kind == kind || (order.product.is_some() && Some(was.kind) == ended);
        let at_ms = was.filter(is_since).map_or(now_ms, |was| was.at_ms);
        let cancel = was.map_or(order.cancel, |was| was.cancel.max(order.cancel));
        Stop {
            kind,
            at_ms,
            cancel,
        }
    };
    let becomes = match step {
        StopStep::Pause => Some(stop(StopKind::Paused)),
        StopStep::Resume => {
            if order.product.is_some() && of_round == Some(StopKind::Paused) {
                let message = format!(
                    "the whole round {} is paused, so {what} cannot sell; resume the round",
                    order.round
                );
                return Err(refused("round_paused", message));
            }
            None
        }
        StopStep::End if stored.round.opens_ms >= now_ms => {
            return Err(refused(
                "not_begun",
                format!("{what} has not begun, so it cannot end; withdraw it instead"),
            ));
        }
        StopStep::End if is_over && kind != ended && order.cancel == Cancelling::None => {
            return Err(refused(
                "round_over",
                format!("{what} is over; there is nothing left to end"),
            ));
        }
        StopStep::End => Some(stop(StopKind::Ended)),
        StopStep::Withdraw => Some(stop(StopKind::Withdrawn)),
    };
    Ok((becomes != was).then_some(becomes))
}

impl Store {
    /// Carries an order to the stop switch out in the database; `false` if everything was
    /// so before. Redis has to follow ([`Store::stops_due`]).
    ///
    /// # Errors
    /// [`StopError`]; nothing was changed.
    pub async fn switch(
        &self,
        order: &StopOrder<'_>,
        by: &Actor,
        now_ms: u64,
    ) -> Result<bool, StopError> {
        let mut transaction = self.main().begin().await?;
        // First, so that of two orders at once the second waits here for the first.
        let raised = sqlx::query(
            "UPDATE rounds SET version = version + 1 WHERE id = ? AND state = 'approved'",
        )
        .bind(order.round)
        .execute(&mut *transaction)
        .await?;
        let stored = load(&mut transaction, Some(order.round)).await?.pop();
        let stored = stored.ok_or_else(|| StopError::NoSuchRound(order.round.to_owned()))?;
        if raised.rows_affected() == 0 || stored.state != RoundState::Approved {
            let message = format!(
                "round {} is {}, so it does not sell; there is nothing to {}",
                order.round,
                stored.state.as_str(),
                order.step.as_str()
            );
            return Err(refused("not_on_sale", message));
        }
        let product = order.product.unwrap_or_default();
        if order.product.is_some() && !stored.round.products.iter().any(|it| it.id == product) {
            return Err(StopError::NoSuchProduct {
                round: order.round.to_owned(),
                product: product.to_owned(),
            });
        }
        let was = match order.product {
            None => stored.stops.round,
            Some(product) => stored.stops.products.get(product).copied(),
        };
        let Some(becomes) = next(order, was, &stored, now_ms)? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        set(&mut transaction, (order.round, product), becomes).await?;
        let ends_ms = end_early(&mut transaction, order, &stored, now_ms).await?;
        put_due(&mut transaction, order.round, stored.trail.version).await?;
        let shown = |stop: Option<Stop>| stop.map_or("selling", |stop| stop.kind.as_str());
        let mut detail = serde_json::json!({ "stop": [shown(was), shown(becomes)] });
        if let Some(ends_ms) = ends_ms {
            detail["ends_ms"] = serde_json::json!([stored.round.ends_ms, ends_ms]);
        }
        let cancels = |stop: Option<Stop>| stop.map_or(Cancelling::None, |stop| stop.cancel);
        if cancels(was) != cancels(becomes) {
            detail["cancel"] = serde_json::json!([cancels(was), cancels(becomes)]);
        }
        if !order.reason.is_empty() {
            detail["reason"] = order.reason.into();
        }
        let target = match order.product {
            None => order.round.to_owned(),
            Some(product) => format!("{}::{product}", order.round),
        };
        let done = Done {
            action: order.step.action(),
            target,
            detail,
        };
        note(&mut transaction, by, &done, now_ms).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Rounds of which Redis may not know the stops yet.
    ///
    /// # Errors
    /// The database.
    pub async fn stops_due(&self) -> Result<Vec<String>, StoreError> {
        let rounds = sqlx::query_scalar("SELECT round FROM stops_due")
            .fetch_all(self.main().readers())
            .await?;
        Ok(rounds)
    }

    /// Records that Redis knows the stops of a round as they are in this version.
    ///
    /// # Errors
    /// The database; they are then written to Redis once more.
    pub async fn stops_followed(&self, round: &str, version: u64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM stops_due WHERE round = ? AND version <= ?")
            .bind(round)
            .bind(signed(version))
            .execute(self.main().writer())
            .await?;
        Ok(())
    }
}

/// Brings the end of a whole round forward; returns the new end, if it changes.
async fn end_early(
    connection: &mut Session,
    order: &StopOrder<'_>,
    stored: &StoredRound,
    now_ms: u64,
) -> Result<Option<u64>, StoreError> {
    let is_whole = order.step == StopStep::End && order.product.is_none();
    if !is_whole || stored.round.ends_ms <= now_ms {
        return Ok(None);
    }
    sqlx::query("UPDATE rounds SET ends_ms = ? WHERE id = ?")
        .bind(signed(now_ms))
        .bind(order.round)
        .execute(connection)
        .await?;
    Ok(Some(now_ms))
}

async fn put_due(connection: &mut Session, round: &str, version: u64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM stops_due WHERE round = ?")
        .bind(round)
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO stops_due (round, version) VALUES (?, ?)")
        .bind(round)
        .bind(signed(version))
        .execute(connection)
        .await?;
    Ok(())
}
