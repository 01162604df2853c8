//! Actions that a transaction of the database cannot hold, such as those in Redis: each has
//! its entry in the audit log before it takes effect, and the entry then says what came of it.

use serde_json::Value;

use super::audit::{Actor, Done};
use super::{Store, StoreError};

/// What an action did: its result, and the final detail of its entry; `None` if there was
/// nothing to do.
pub type Did<T> = (T, Option<Value>);

impl Store {
    /// Carries an action out and records what came of it, as [`Self::settle`] does. The
    /// outer error is that of the entry, without which nothing is done.
    ///
    /// # Errors
    /// The database, or those of `act`.
    pub async fn recorded<T, E>(
        &self,
        by: &Actor,
        done: Done,
        act: impl Future<Output = Result<Did<T>, E>>,
        may_have_happened: impl FnOnce(&E) -> bool,
    ) -> Result<Result<T, E>, StoreError> {
        let entry = self.note_audit(by, &done, crate::now_ms()).await?;
        Ok(self
            .settle((entry, done), act.await, may_have_happened)
            .await)
    }

    /// Corrects the entry of an action by its outcome. What is refused, or had nothing to
    /// do, leaves no entry; of what failed and `may_have_happened` it stays, with
    /// `"outcome": "unknown"`.
    ///
    /// # Errors
    /// Those of the outcome.
    pub async fn settle<T, E>(
        &self,
        (entry, mut done): (u64, Done),
        outcome: Result<Did<T>, E>,
        may_have_happened: impl FnOnce(&E) -> bool,
    ) -> Result<T, E> {
        let (outcome, corrected) = match outcome {
            Ok((result, None)) => (Ok(result), self.forget_audit(entry).await),
            Ok((result, Some(detail))) if detail == done.detail => (Ok(result), Ok(())),
            Ok((result, Some(detail))) => (Ok(result), self.amend_audit(entry, &detail).await),
            Err(error) if may_have_happened(&error) => {
                done.detail["outcome"] = "unknown".into();
                (Err(error), self.amend_audit(entry, &done.detail).await)
            }
            Err(error) => (Err(error), self.forget_audit(entry).await),
        };
        if let Err(error) = corrected {
            let Done { action, target, .. } = done;
            tracing::error!(%error, action, target, "the audit log has an entry that was not corrected");
        }
        outcome
    }
}
