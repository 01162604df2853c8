//! The tasks of the roles that run in one process.
//!
//! A task that ends or panics is started again, with growing pauses. That is safe
//! for every one of them: what a role has to know lies in Redis, the queue and the
//! database, and it may be killed and started again as a process at any moment.

use std::pin::Pin;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::restart::{Next, Restarts};
use super::{Role, RoleError};
use crate::config::Listen;
use crate::http::listener;
use crate::http::observed::{MoreMetrics, metrics_router, observed};
use crate::metrics;

/// How long the tasks may take to finish what they work on once they are to stop.
const GRACE: Duration = Duration::from_secs(5);

/// How long a role that is not ready keeps those waiting who connect: by then it says
/// itself what is missing.
const READY: Duration = Duration::from_secs(1);

/// The tasks of the roles that run.
pub(super) struct Running {
    tasks: JoinSet<Result<(), RoleError>>,
    /// Cancelled when the tasks are to stop.
    stop: CancellationToken,
}

impl Running {
    /// No task yet; `stop` stops those to come.
    pub(super) fn until(stop: CancellationToken) -> Self {
        Self {
            tasks: JoinSet::new(),
            stop,
        }
    }

    /// Cancelled when the tasks are to stop.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task of `role`, and starts it again whenever it ends before it is
    /// to stop. `work` makes the task; the token it is given is cancelled when the
    /// tasks are to stop, and when this task has ended, so that nothing that it
    /// started outlives it.
    pub(super) fn spawn<F>(
        &mut self,
        role: Role,
        work: impl FnMut(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(keep_up(role, work, self.stop.clone()));
    }

    /// Serves `router` at `listen`, and `GET /metrics`, with what `more` reads.
    ///
    /// # Errors
    /// [`RoleError::Listen`]: the address cannot be listened on.
    pub(super) fn serve(
        &mut self,
        role: Role,
        listen: &Listen,
        router: Router,
        more: Option<MoreMetrics>,
    ) -> Result<(), RoleError> {
        self.listen(role, listen, observed(role.as_str(), router, more), None)
    }

    /// The same, from when it is `ready` on, or at most [`READY`] later: who connects
    /// before is kept waiting, not refused.
    ///
    /// # Errors
    /// [`RoleError::Listen`]: the address cannot be listened on.
    pub(super) fn serve_when(
        &mut self,
        ready: impl Future<Output = ()> + Send + 'static,
        role: Role,
        listen: &Listen,
        router: Router,
    ) -> Result<(), RoleError> {
        let router = observed(role.as_str(), router, None);
        self.listen(role, listen, router, Some(Box::pin(ready)))
    }

    /// Serves `GET /metrics` at `listen`, and `health`.
    ///
    /// # Errors
    /// [`RoleError::Listen`]: the address cannot be listened on.
    pub(super) fn serve_status(
        &mut self,
        role: Role,
        listen: &Listen,
        health: Router,
    ) -> Result<(), RoleError> {
        self.listen(role, listen, metrics_router(None).merge(health), None)
    }

    fn listen(
        &mut self,
        role: Role,
        listen: &Listen,
        router: Router,
        mut ready: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ) -> Result<(), RoleError> {
        let listener = listener::Bound::new(listen).map_err(|reason| RoleError::Listen {
            role,
            listen: listen.clone(),
            reason,
        })?;
        tracing::debug!(%role, %listen, "listening");
        let mut first = Some(listener);
        let listen = listen.clone();
        self.spawn(role, move |stop| {
            let bound = match first.take() {
                Some(listener) => Ok(listener),
                None => listener::Bound::new(&listen),
            };
            let (router, listen, ready) = (router.clone(), listen.clone(), ready.take());
            async move {
                if let Some(ready) = ready {
                    let _ = tokio::time::timeout(READY, ready).await;
                }
                match bound {
                    Ok(listener) => listener.serve(router, stop).await,
                    Err(reason) => tracing::error!(%role, %listen, reason, "cannot listen"),
                }
            }
        });
        Ok(())
    }

    /// Waits for the first task that cannot be kept up.
    pub(super) async fn first_failure(&mut self) -> RoleError {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Err(error))) => return error,
                // Stopped, or nothing runs at all: neither is a failure.
                Some(_) => {}
                None => return std::future::pending().await,
            }
        }
    }

    /// Stops all tasks, and aborts what is left after [`GRACE`].
    pub(super) async fn finish(&mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            tracing::warn!(
                left = self.tasks.len(),
                "some work was aborted: it took longer than {GRACE:?}"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// Runs `work` until `stop`, again and again if need be.
async fn keep_up<F>(
    role: Role,
    mut work: impl FnMut(CancellationToken) -> F,
    stop: CancellationToken,
) -> Result<(), RoleError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut restarts = Restarts::default();
    loop {
        let began = Instant::now();
        let attempt = stop.child_token();
        // A task of its own, so that a panic ends there; in a set, so that it is
        // aborted when this is.
        let mut task = JoinSet::new();
        task.spawn(work(attempt.clone()));
        let ended = task.join_next().await;
        attempt.cancel();
        if stop.is_cancelled() {
            return Ok(());
        }
        let reason = match ended {
            Some(Err(error)) => panic_message(error),
            _ => "it returned".to_owned(),
        };
        match restarts.after_end(began.elapsed(), Instant::now()) {
            Next::Start { after } => {
                metrics::RESTARTS.count();
                tracing::error!(%role, reason, "a task ended unexpectedly; it is started again in {after:?}");
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(after) => {}
                }
            }
            Next::GiveUp { ends, within } => {
                return Err(RoleError::Died {
                    role,
                    reason,
                    ends,
                    within,
                });
            }
        }
    }
}

/// What a task panicked with, as far as it is text.
fn panic_message(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            format!("it panicked: {}", text.unwrap_or("no message"))
        }
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_returns_is_started_again() {
        let stop = CancellationToken::new();
        let mut running = Running::until(stop.clone());
        let starts = Arc::new(AtomicU32::new(0));
        let (seen, done) = (starts.clone(), stop.clone());
        running.spawn(Role::Relay, move |_| {
            let start = seen.fetch_add(1, Ordering::Relaxed);
            let done = done.clone();
            async move {
                match start {
                    0 => std::panic::resume_unwind(Box::new("a bug")),
                    1 => {}
                    _ => done.cancel(),
                }
            }
        });
        tokio::select! {
            error = running.first_failure() => unreachable!("{error}"),
            () = stop.cancelled() => {}
        }
        running.finish().await;
        assert_eq!(starts.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn what_a_task_started_is_stopped_before_the_task_is_started_again() {
        let stop = CancellationToken::new();
        let mut running = Running::until(stop.clone());
        let mut earlier: Option<CancellationToken> = None;
        let done = stop.clone();
        running.spawn(Role::Ops, move |attempt| {
            if let Some(earlier) = &earlier {
                assert!(earlier.is_cancelled());
                done.cancel();
            }
            earlier = Some(attempt);
            async {}
        });
        tokio::time::timeout(Duration::from_secs(10), stop.cancelled())
            .await
            .unwrap();
        running.finish().await;
    }

    #[tokio::test]
    async fn who_connects_before_a_role_is_ready_is_kept_waiting() {
        let folder = tempfile::TempDir::new().unwrap();
        let socket = folder.path().join("role.sock");
        let mut running = Running::until(CancellationToken::new());
        let is_ready = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (readies, waits) = tokio::sync::oneshot::channel::<()>();
        let set = is_ready.clone();
        let ready = async move {
            let _ = waits.await;
            set.store(true, Ordering::Relaxed);
        };
        let says = move || async move { is_ready.load(Ordering::Relaxed).to_string() };
        let router = Router::new().route("/", axum::routing::get(says));
        let listen = Listen::Unix(socket.clone());
        running
            .serve_when(ready, Role::Purchase, &listen, router)
            .unwrap();
        let mut client = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let request = b"GET / HTTP/1.0\r\n\r\n";
        client.write_all(request).await.unwrap();
        readies.send(()).unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert!(response.ends_with("true"), "{response}");
        running.finish().await;
    }

    #[test]
    fn a_panic_is_reported_in_its_own_words() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let failed = async { std::panic::resume_unwind(Box::new("no such field".to_owned())) };
        let error = runtime.block_on(async { tokio::spawn(failed).await });
        assert_eq!(
            panic_message(error.unwrap_err()),
            "it panicked: no such field"
        );
    }
}
