//! Keeps one child up: starts it, waits until it is healthy, and starts it again
//! when it dies.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::UpError;
use super::child::Child;
use super::logs::{self, Logs};
use crate::roles::restart::{Next, Restarts};

/// A program that can be started any number of times.
pub(super) trait Program {
    /// Its name in log lines.
    const NAME: &'static str;

    /// The signal at which it opens its logs anew; `None` if it opens them for each line.
    const REOPEN: Option<Signal>;

    /// Its log files.
    fn logs(&mut self) -> &mut Logs;

    /// Starts the process.
    fn spawn(&self) -> Result<Child, UpError>;

    /// Returns once the process serves.
    ///
    /// # Errors
    /// It ended, or does not serve within the time that it is given.
    async fn until_healthy(&self, child: &mut Child) -> Result<(), UpError>;
}

/// A program and its process.
pub(super) struct Supervised<P> {
    program: P,
    child: Option<Child>,
    /// Since when it has served; before the first time, since it was made.
    healthy_since: Instant,
    restarts: Restarts,
}

impl<P: Program> Supervised<P> {
    /// Not started yet.
    pub(super) fn new(program: P) -> Self {
        Self {
            program,
            child: None,
            healthy_since: Instant::now(),
            restarts: Restarts::default(),
        }
    }

    /// Starts it and waits until it is healthy. If it is not, or if the caller stops
    /// waiting, the process stays with `self`, to be stopped.
    ///
    /// # Errors
    /// It did not start, or was not healthy in time.
    pub(super) async fn start(&mut self) -> Result<(), UpError> {
        let child = self.child.insert(self.program.spawn()?);
        self.program.until_healthy(child).await?;
        self.healthy_since = Instant::now();
        Ok(())
    }

    /// Starts it again whenever it dies, until it cannot be kept up; returns why. Its
    /// logs are kept within their bound meanwhile.
    ///
    /// May be dropped at any moment: whatever runs then stays with `self`.
    pub(super) async fn keep_up(&mut self) -> UpError {
        loop {
            let Some(child) = &mut self.child else {
                return std::future::pending().await;
            };
            let (how, log) = ended(&mut self.program, child).await;
            let died = Instant::now();
            let mut up_for = self.healthy_since.elapsed();
            let mut end = format!("it died ({how}) after {up_for:.1?}.{log}");
            self.child = None;
            loop {
                let after = match self.restarts.after_end(up_for, Instant::now()) {
                    Next::Start { after } => after,
                    Next::GiveUp { ends, within } => {
                        return UpError::Died {
                            name: P::NAME,
                            ends,
                            within,
                            end,
                        };
                    }
                };
                tracing::error!("{} is started again in {after:?}: {end}", P::NAME);
                tokio::time::sleep(after).await;
                match self.start().await {
                    Ok(()) => break,
                    Err(error) => end = self.failed_start(error).await,
                }
                up_for = Duration::ZERO;
            }
            tracing::info!("{} is up again after {:.1?}", P::NAME, died.elapsed());
        }
    }

    /// What a failed start left is killed; returns how it failed.
    async fn failed_start(&mut self, error: UpError) -> String {
        self.stop(Signal::SIGKILL).await;
        match error {
            UpError::Start { reason, .. } => format!("it did not start: {reason}"),
            other => other.to_string(),
        }
    }

    /// Asks it to stop by `signal`, and kills it if it does not within five seconds.
    pub(super) async fn stop(&mut self, signal: Signal) {
        if let Some(child) = self.child.take() {
            child.stop(signal).await;
        }
    }
}

/// Waits until the child ends, and renames its logs whenever they have grown to their
/// bound. Returns how it ended, and the end of its log.
async fn ended<P: Program>(program: &mut P, child: &mut Child) -> (String, String) {
    loop {
        tokio::select! {
            biased;
            ended = child.ended() => return ended,
            () = tokio::time::sleep(logs::EVERY) => {}
        }
        if program.logs().rotate() {
            child.logs_renamed(P::REOPEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;

    /// A shell that notes each start, ends with status 7 the first two times, and then
    /// stays.
    struct Shell {
        folder: TempDir,
        logs: Logs,
    }

    impl Program for Shell {
        const NAME: &'static str = "shell";
        const REOPEN: Option<Signal> = None;

        fn logs(&mut self) -> &mut Logs {
            &mut self.logs
        }

        fn spawn(&self) -> Result<Child, UpError> {
            let script = "echo >>starts; [ $(wc -l <starts) -gt 2 ] || exit 7; exec sleep 60";
            let arguments = ["-c".to_owned(), script.to_owned()];
            let folder = self.folder.path();
            let log = folder.join("log");
            Child::spawn(Self::NAME, Path::new("/bin/sh"), &arguments, folder, &log)
        }

        async fn until_healthy(&self, _child: &mut Child) -> Result<(), UpError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_child_that_dies_is_started_again_until_it_stays_up() {
        let folder = TempDir::new().unwrap();
        let starts = folder.path().join("starts");
        let logs = Logs::new(Vec::new(), 0);
        let mut shell = Supervised::new(Shell { folder, logs });
        shell.start().await.unwrap();
        let third_start = async {
            while !std::fs::read_to_string(&starts).is_ok_and(|starts| starts.len() >= 3) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            failure = shell.keep_up() => unreachable!("{failure}"),
            () = third_start => {}
            () = tokio::time::sleep(Duration::from_secs(20)) => unreachable!("not started again"),
        }
        shell.stop(Signal::SIGTERM).await;
        assert!(shell.child.is_none());
    }
}
