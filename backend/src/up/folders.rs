//! The data folder: made, checked, locked.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{Options, UpError};
use crate::config::listen::MAX_SOCKET_PATH;
use crate::config::running::{self, RunningSystem};
use crate::config::{Config, Listen};

/// How often the lock is tried for, and the pause in between.
const LOCK_ATTEMPTS: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Held as long as the system is up; the kernel lets go of it when we end.
pub(super) struct Lock {
    _file: Flock<File>,
}

/// Makes the folders and the key ring, and takes the lock.
pub(super) fn prepare(config: &Config, options: &Options) -> Result<Lock, UpError> {
    check_socket_paths(config)?;
    let data = &config.data;
    // What shoppers may fetch, and sockets, can be reached by others; what
    // holds orders and logs cannot.
    for (folder, mode) in [
        (data.clone(), 0o755),
        (config.run_dir(), 0o755),
        (config.pages_dir(), 0o755),
        (config.pages_dir().join("product"), 0o755),
        (config.logs_dir(), 0o700),
        (data.join("redis"), 0o700),
        (data.join("nginx"), 0o700),
    ] {
        make(&folder, mode).map_err(|source| UpError::Data {
            path: folder,
            source,
        })?;
    }
    let lock = lock(config)?;
    make_database(config).map_err(|(path, source)| UpError::Data { path, source })?;
    for keys in [&config.keys, &config.payment_keys] {
        make_keys(keys).map_err(|source| UpError::Data {
            path: keys.clone(),
            source,
        })?;
    }
    if options.no_edge {
        tracing::info!("no nginx is started; run your own in front of the sockets");
    }
    Ok(lock)
}

fn check_socket_paths(config: &Config) -> Result<(), UpError> {
    let redis = Listen::Unix(config.run_dir().join("redis.sock"));
    for listen in [&redis, &config.purchase_listen, &config.ops_listen] {
        if let Listen::Unix(path) = listen
            && path.as_os_str().len() > MAX_SOCKET_PATH
        {
            return Err(UpError::LongPath { path: path.clone() });
        }
    }
    Ok(())
}

fn make(folder: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(folder)?;
    // A folder that exists may belong to another user: find out now.
    let probe = folder.join(".writable");
    File::create(&probe)?;
    std::fs::remove_file(&probe)
}

/// Takes the lock of the folder, which says that a system runs in it.
pub(super) fn lock(config: &Config) -> Result<Lock, UpError> {
    let path = running::lock_file(&config.data);
    let failed = |source| UpError::Data {
        path: path.clone(),
        source,
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match lock_patiently(file) {
        Ok(mut file) => {
            // For the message of the next one; the lock itself is the kernel's.
            let written = file
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| write!(file, "{}", std::process::id()));
            written.map_err(failed)?;
            Ok(Lock { _file: file })
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            // Without the number the sentence still says what to do.
            let _ = file.read_to_string(&mut pid);
            let pid = if pid.is_empty() {
                "unknown".to_owned()
            } else {
                pid
            };
            Err(UpError::Locked {
                path: config.data.clone(),
                pid,
            })
        }
        Err((_, error)) => Err(failed(error.into())),
    }
}

/// Tries for a moment: a command that finds out whether a system runs here holds the
/// lock for some microseconds.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing else runs yet, and for some milliseconds at most"
)]
fn lock_patiently(mut file: File) -> Result<Flock<File>, (File, Errno)> {
    for _ in 0..LOCK_ATTEMPTS {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((back, Errno::EWOULDBLOCK)) => file = back,
            other => return other,
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Err((file, Errno::EWOULDBLOCK))
}

/// The file by which commands find this system; removed when it is dropped.
pub(super) struct Announced {
    file: PathBuf,
}

/// Writes that file. Called with the lock held.
pub(super) fn announce(config: &Config, options: &Options) -> Result<Announced, UpError> {
    let file = running::file(&config.data);
    let system = RunningSystem {
        pid: std::process::id(),
        started_ms: crate::now_ms(),
        edge: !options.no_edge,
        settings: config.in_force().clone(),
    };
    system.write(&config.data).map_err(|source| UpError::Data {
        path: file.clone(),
        source,
    })?;
    Ok(Announced { file })
}

impl Drop for Announced {
    fn drop(&mut self) {
        // Left behind it would be stale, which its readers notice.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Makes the folder of the database and its file, which others cannot read: it
/// holds everybody's orders. SQLite gives its side files the same mode.
///
/// # Errors
/// The folder or the file, which is named, cannot be made.
pub fn make_database(config: &Config) -> Result<(), (PathBuf, io::Error)> {
    let Some(path) = config.database_file() else {
        return Ok(());
    };
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(|error| (folder.to_owned(), error))?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map(drop)
        .map_err(|error| (path, error))
}

/// Makes a key ring with one random key, if there is none.
fn make_keys(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    // Never half a file, and never one that others can read, not for a moment.
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(format!("k1 {hex}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}
