//! Commands in the audit log, which says who changed what on this machine.

use super::open_store;
use crate::config::Config;
use crate::store::{Actor, Did, Done, Store, StoreError};

/// Carries a command out and records what came of it ([`Store::recorded`]).
pub(super) async fn recorded<T, E: Into<anyhow::Error>>(
    store: &Store,
    done: Done,
    act: impl Future<Output = Result<Did<T>, E>>,
    may_have_happened: impl FnOnce(&E) -> bool,
) -> anyhow::Result<T> {
    let by = Actor::on_the_box();
    let outcome = store.recorded(&by, done, act, may_have_happened).await?;
    outcome.map_err(Into::into)
}

/// The same of a command that changes nothing but the database.
pub(super) async fn stored<T>(
    store: &Store,
    done: Done,
    act: impl Future<Output = Result<Did<T>, StoreError>>,
) -> anyhow::Result<T> {
    recorded(store, done, act, StoreError::is_passing).await
}

/// The audit log for commands that work without the database, such as a ban: if it cannot be
/// written they are carried out all the same, and say so.
pub(super) struct AuditLog(Option<Store>);

impl AuditLog {
    /// Opens it, or says why it cannot be.
    pub(super) async fn open(config: &Config) -> Self {
        Self(open_store(config).await.inspect_err(lacks).ok())
    }

    /// Carries a command out and records what came of it, if that is possible.
    pub(super) async fn recorded<T, E: Into<anyhow::Error>>(
        &self,
        done: Done,
        act: impl Future<Output = Result<Did<T>, E>>,
        may_have_happened: impl FnOnce(&E) -> bool,
    ) -> anyhow::Result<T> {
        let Some((store, entry)) = self.note(&done).await else {
            return act.await.map(|(result, _)| result).map_err(Into::into);
        };
        let settled = store.settle((entry, done), act.await, may_have_happened);
        settled.await.map_err(Into::into)
    }

    async fn note(&self, done: &Done) -> Option<(&Store, u64)> {
        let (store, by) = (self.0.as_ref()?, Actor::on_the_box());
        let entry = store.note_audit(&by, done, crate::now_ms()).await;
        let entry = entry.map_err(anyhow::Error::from).inspect_err(lacks).ok()?;
        Some((store, entry))
    }

    /// Closes the database.
    pub(super) async fn close(self) {
        if let Some(store) = self.0 {
            store.close().await;
        }
    }
}

fn lacks(error: &anyhow::Error) {
    tracing::warn!("the audit log will not have this: {error}");
}
