//! Stops what a killed run left behind.
//!
//! Children get a signal when their supervisor ends, but they need a moment, and the
//! workers of an nginx whose master was killed too get none. They are recognised by
//! their working folder, which lies in this data folder: a process id in a file may
//! belong to another program by now.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{POLL, UpError};

const PATIENCE: Duration = Duration::from_secs(5);

/// A process of an earlier run.
struct Leftover {
    pid: i32,
    name: String,
}

/// Ends every redis-server and nginx that works in `data`. Called with the lock
/// held, so that none of them can belong to a living `up`.
pub(super) async fn stop(data: &Path) -> Result<(), UpError> {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let left = find(data);
        if left.is_empty() {
            return Ok(());
        }
        for Leftover { pid, name } in &left {
            tracing::info!(pid, name, "stopping what an earlier run left behind");
            // Gone in the meantime is as good.
            let _ = kill(Pid::from_raw(*pid), signal);
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if find(data).is_empty() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
    match find(data).pop() {
        Some(Leftover { pid, name }) => Err(UpError::Leftover { pid, name }),
        None => Ok(()),
    }
}

fn find(data: &Path) -> Vec<Leftover> {
    let homes = [
        ("redis-server", data.join("redis")),
        ("nginx", data.join("nginx")),
    ];
    // A link somewhere in the path would hide that they are the same.
    let homes = homes.map(|(name, home)| (name, home.canonicalize().unwrap_or(home)));
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let pid = folder.file_name()?.to_str()?.parse().ok()?;
            let name = std::fs::read_to_string(folder.join("comm"))
                .ok()?
                .trim()
                .to_owned();
            let works_in = std::fs::read_link(folder.join("cwd")).ok()?;
            let ours = homes
                .iter()
                .any(|(comm, home)| name == *comm && works_in == *home);
            ours.then_some(Leftover { pid, name })
        })
        .collect()
}
