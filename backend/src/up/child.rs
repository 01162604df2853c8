//! A child process that cannot outlive its supervisor.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use tokio::process::Command;

use super::{UpError, group};

/// How long a child may take to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many lines of a dead child's log are shown.
const TAIL: usize = 8;
/// How many bytes at the end of a log are searched for them.
const TAIL_BYTES: u64 = 16_384;
/// Most open files that a process on this box can use.
const FILES: u64 = 65_536;

/// A running child.
pub(super) struct Child {
    name: &'static str,
    process: tokio::process::Child,
    /// The group that it leads, and that its own children are in.
    group: Option<Pid>,
    log: PathBuf,
    /// Where its own lines begin in the log: the length that it had before.
    log_start: u64,
}

impl Child {
    /// Starts `program` in folder `home`, which also marks it as ours: an
    /// earlier run's leftover is known by it.
    pub(super) fn spawn(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        home: &Path,
        log: &Path,
    ) -> Result<Self, UpError> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own: Ctrl-C at the terminal reaches only us, and
            // we stop the children in order.
            .process_group(0);
        die_with_parent(&mut command);
        let log_start = std::fs::metadata(log).map_or(0, |log| log.len());
        let process = command.spawn().map_err(|error| UpError::Start {
            name,
            reason: format!("{} cannot be run: {error}", program.display()),
        })?;
        let id = process.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            name,
            process,
            group: id.map(Pid::from_raw),
            log: log.to_owned(),
            log_start,
        })
    }

    /// Whether it still runs; if not, how it ended.
    pub(super) fn check(&mut self) -> Result<(), UpError> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(UpError::Start {
                name: self.name,
                reason: format!("it ended at once ({status}).{}", self.tail()),
            }),
            Err(error) => Err(UpError::Start {
                name: self.name,
                reason: error.to_string(),
            }),
        }
    }

    /// Waits for `work`, unless the child ends before.
    pub(super) async fn until(
        &mut self,
        work: impl Future<Output = ()>,
        patience: Duration,
    ) -> Result<(), UpError> {
        tokio::select! {
            biased;
            _ = self.process.wait() => {}
            waited = tokio::time::timeout(patience, work) => {
                return waited.map_err(|_| UpError::Start {
                    name: self.name,
                    reason: format!("it was not healthy within {patience:?}.{}", self.tail()),
                });
            }
        }
        self.check()
    }

    /// Sends `signal`, waits, and kills what is left after [`PATIENCE`].
    pub(super) async fn stop(mut self, signal: Signal) {
        if let (Some(pid), Some(_)) = (self.group, self.process.id()) {
            // It may have ended in this very moment; then there is nothing to do.
            let _ = kill(pid, signal);
        }
        if tokio::time::timeout(PATIENCE, self.process.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                part = self.name,
                "did not stop within {PATIENCE:?} and is killed"
            );
            // Before it is waited for: until then nobody else has its id.
            if let Some(pid) = self.group {
                let _ = kill(pid, Signal::SIGKILL);
            }
            let _ = self.process.wait().await;
        }
        self.kill_group().await;
    }

    /// Waits until it ends, and kills what it leaves behind. Returns how it ended,
    /// and the end of its log.
    pub(super) async fn ended(&mut self) -> (String, String) {
        let ended = self.process.wait().await;
        self.kill_group().await;
        let how = ended.map_or_else(|error| error.to_string(), in_words);
        (how, self.tail())
    }

    /// After its logs were renamed: has it open new ones by this signal.
    pub(super) fn logs_renamed(&mut self, reopen: Option<Signal>) {
        // Not that of one that stayed: what an earlier run wrote is still in it.
        let length = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        self.log_start = self.log_start.min(length);
        // Whoever has ended, and was waited for, may have left its id to another.
        if let (Some(pid), Some(_), Some(signal)) = (self.group, self.process.id(), reopen) {
            let _ = kill(pid, signal);
        }
    }

    /// The last lines that it wrote into its log, introduced and indented; empty if
    /// there are none.
    pub(super) fn tail(&self) -> String {
        let bytes = end_of(&self.log, self.log_start);
        bytes.map_or_else(|_| String::new(), |bytes| last_lines(&self.log, &bytes))
    }

    /// nginx's workers outlive a master that was killed, and hold its port.
    async fn kill_group(&self) {
        if let Some(leader) = self.group {
            group::kill(leader).await;
        }
    }
}

fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Asks the kernel to end the child when we end, however we end.
fn die_with_parent(command: &mut Command) {
    let parent = Pid::this();
    // SAFETY: the closure runs in the child between fork and exec, where only
    // async-signal-safe calls are sound, because another thread may have held
    // the allocator's lock at the fork. prctl and getppid are bare system calls,
    // and an `Errno` becomes an `io::Error` without allocating.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGTERM).map_err(io::Error::from)?;
            // We may have died before the request was made; then nobody would
            // send the signal.
            if getppid() != parent {
                return Err(io::Error::from(Errno::ESRCH));
            }
            Ok(())
        });
    }
}

/// Lifts the limit of open files as far as it may be lifted: a terminal's usual
/// 1,024 would be the number of shoppers at once. Children inherit it.
pub fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let wanted = hard.min(FILES).max(soft);
        if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_err() {
            tracing::debug!(soft, hard, "the limit of open files stays");
        }
    }
}

/// How many files a process may have open now.
pub(super) fn file_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| soft)
}

/// The last lines of `bytes` of this log, introduced and indented; empty if there are
/// none.
fn last_lines(log: &Path, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    if last.is_empty() {
        return String::new();
    }
    format!(" The end of {}:\n  {}", log.display(), last.join("\n  "))
}

/// The end of a log, not from before `start`.
fn end_of(log: &Path, start: u64) -> io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(log)?;
    let length = file.metadata()?.len();
    // Shorter than it was: somebody emptied it.
    let start = if start > length { 0 } else { start };
    file.seek(SeekFrom::Start(
        start.max(length.saturating_sub(TAIL_BYTES)),
    ))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_of_this_run_are_shown() {
        let folder = tempfile::TempDir::new().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "an earlier run\n").unwrap();
        let start = std::fs::metadata(&log).unwrap().len();
        let shown = |start| last_lines(&log, &end_of(&log, start).unwrap());
        assert_eq!(shown(start), "");
        let lines: String = (1..=20).map(|n| format!("line {n}\n\n")).collect();
        std::fs::write(&log, format!("an earlier run\n{lines}")).unwrap();
        let text = shown(start);
        assert!(text.starts_with(" The end of "), "{text}");
        assert!(text.ends_with("\n  line 19\n  line 20"), "{text}");
        assert!(!text.contains("line 12"), "{text}");
        std::fs::write(&log, "emptied\n").unwrap();
        assert!(shown(start + 1).contains("emptied"));
    }
}
