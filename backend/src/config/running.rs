//! The file by which commands find the system that runs in a data folder:
//! `run/up.json`, written by "seckill up".
//!
//! It holds the settings in force, wherever they were set: a command that did not know
//! them would find no system with other ports than the default ones, and would sell the
//! amount of all sites at one. It counts only while the process that wrote it holds the
//! lock of the folder: the file of a killed run is stale and is ignored.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::keys::{self, FILE_KEY, Key};

/// The settings that say where a running system and what belongs to it can be found.
/// They are written even where they are defaults, which another version may have
/// otherwise.
pub(super) const ADDRESSES: [&str; 15] = [
    "port",
    "console_port",
    "console_address",
    "redis_url",
    "redis_segments",
    "redis_port",
    "database_url",
    "order_databases",
    "queue",
    "rocketmq_endpoint",
    "rocketmq_orders_topic",
    "rocketmq_cancels_topic",
    "purchase_listen",
    "ops_listen",
    "edges",
];

/// The settings of one process, which no other takes over: by what it finds the system,
/// what it logs, and where it serves its own metrics.
const OWN: [&str; 5] = ["data", FILE_KEY, "log", "log_format", "status_listen"];

/// The setting of this name, if commands take it over from a running system.
pub(super) fn taken_over(name: &str) -> Option<&'static Key> {
    keys::find(name).filter(|key| !OWN.contains(&key.name))
}

/// Settings with their secrets, of which a debug line shows the keys.
#[derive(Clone)]
pub(super) struct InForce(pub(super) BTreeMap<String, String>);

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What "seckill up" writes of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningSystem {
    /// The process.
    pub pid: u32,
    /// When it started, epoch milliseconds.
    pub started_ms: u64,
    /// Whether it runs an nginx.
    #[serde(default = "yes")]
    pub edge: bool,
    /// Its settings, by their keys. An earlier version wrote its addresses only.
    pub settings: BTreeMap<String, String>,
}

/// An earlier version did not write whether it runs an nginx; most do.
fn yes() -> bool {
    true
}

/// The file of the system in this data folder.
#[must_use]
pub fn file(data: &Path) -> PathBuf {
    data.join("run/up.json")
}

/// The file whose lock says that a system runs in this data folder. It holds the
/// process id of whoever has the lock.
#[must_use]
pub fn lock_file(data: &Path) -> PathBuf {
    data.join("run/up.lock")
}

impl RunningSystem {
    /// The system that runs in this data folder; `None` if none does.
    #[must_use]
    pub fn find(data: &Path) -> Option<Self> {
        let text = std::fs::read(file(data)).ok()?;
        let system: Self = serde_json::from_slice(&text).ok()?;
        (lock_holder(&lock_file(data)) == Some(system.pid)).then_some(system)
    }

    /// Why this user cannot know whether a system runs in this data folder; `None` if
    /// they can.
    #[must_use]
    pub fn hidden(data: &Path) -> Option<String> {
        let path = file(data);
        let error = File::open(&path).err()?;
        if error.kind() != io::ErrorKind::PermissionDenied {
            return None;
        }
        let owner = std::fs::metadata(&path).map(|it| name_of(it.uid()));
        let owner = owner.map_or_else(|_| String::new(), |name| format!(" of user {name}"));
        Some(format!(
            "user {} cannot read {}{owner}, so that the system that runs there is not known; run this as \
             that user",
            name_of(nix::unistd::geteuid().as_raw()),
            path.display()
        ))
    }

    /// Writes the file, never half of it. Only the user who runs the system can read
    /// it: a setting may hold a password.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        let path = file(data);
        let draft = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        options.open(&draft)?.write_all(&text)?;
        std::fs::rename(&draft, &path)
    }
}

/// The name of a user on this machine, or their number if they have none.
fn name_of(user: u32) -> String {
    let known = nix::unistd::User::from_uid(user.into()).ok().flatten();
    known.map_or_else(|| user.to_string(), |user| user.name)
}

/// The process that holds this lock; `None` if nobody does.
fn lock_holder(lock: &Path) -> Option<u32> {
    let file = File::open(lock).ok()?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        // It was free, and is again when it is dropped here.
        Ok(_) => None,
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).ok()?;
            pid.trim().parse().ok()
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_while_its_writer_holds_the_lock() {
        let folder = tempfile::TempDir::new().unwrap();
        let data = folder.path();
        std::fs::create_dir(data.join("run")).unwrap();
        assert_eq!(RunningSystem::find(data), None);
        let system = RunningSystem {
            pid: 4711,
            started_ms: 5,
            edge: true,
            settings: BTreeMap::from([("port".to_owned(), "18080".to_owned())]),
        };
        system.write(data).unwrap();
        assert_eq!(RunningSystem::find(data), None, "nobody holds the lock");

        std::fs::write(lock_file(data), "4711").unwrap();
        let file = File::open(lock_file(data)).unwrap();
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        assert_eq!(RunningSystem::find(data), Some(system));
        std::fs::write(lock_file(data), "4712").unwrap();
        assert_eq!(RunningSystem::find(data), None, "somebody else holds it");
        drop(lock);
    }
}
