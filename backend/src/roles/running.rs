//! The tasks of the roles that run in one process.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Role, RoleError};
use crate::config::Listen;
use crate::http::listener;

/// How long what is in hand may take after the word to stop.
const GRACE: Duration = Duration::from_secs(5);

/// The tasks of the roles that run.
pub(super) struct Running {
    tasks: JoinSet<()>,
    /// Whose task it is: one that panicked can no longer say so itself.
    names: HashMap<Id, Role>,
    /// Ends with the word to stop, or with the first task that should not end.
    pub(super) stop: CancellationToken,
}

impl Running {
    /// None yet; `stop` is theirs alone.
    pub(super) fn until(stop: CancellationToken) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stop,
        }
    }

    pub(super) fn spawn(&mut self, role: Role, work: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(work).id();
        self.names.insert(id, role);
    }

    pub(super) fn serve(
        &mut self,
        role: Role,
        listen: &Listen,
        router: Router,
    ) -> Result<(), RoleError> {
        let listener = listener::Bound::new(listen).map_err(|reason| RoleError::Listen {
            role,
            listen: listen.clone(),
            reason,
        })?;
        tracing::debug!(%role, %listen, "listening");
        self.spawn(role, listener.serve(router, self.stop.clone()));
        Ok(())
    }

    /// Waits for the first task that ends, which none should.
    pub(super) async fn first_death(&mut self) -> RoleError {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let (id, reason) = match ended {
            Ok((id, ())) => (id, "it finished its work".to_owned()),
            Err(error) => (error.id(), error.to_string()),
        };
        let role = self.names.get(&id).copied().unwrap_or(Role::Purchase);
        RoleError::Died { role, reason }
    }

    pub(super) async fn finish(&mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!(
                left = self.tasks.len(),
                "some work was cut off after {GRACE:?}"
            );
            self.tasks.shutdown().await;
        }
    }
}
