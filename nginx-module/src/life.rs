//! Proof that the edge which ran here before has died.
//!
//! What an edge keeps for when Redis is away it may spend for a minute without a word from
//! anyone, so that nobody else may have it sooner, unless that edge is known to be dead. A
//! lock tells: master and workers of one nginx hold it on a file beside the pid file, and
//! the kernel releases it when the last of them has ended, however. The file names the
//! edge's identity, whose leases whoever gets the lock may end.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};

use crate::state::Zone;

/// The locked file, which stays open in the master and its workers; -1 for none.
static LOCKED: AtomicI32 = AtomicI32::new(-1);

/// The file of an nginx with this pid file.
pub(crate) fn path(pid_file: &Path) -> PathBuf {
    let mut name = pid_file.as_os_str().to_owned();
    name.push(".seckill");
    name.into()
}

/// Takes the lock and writes the zone's identity, and tells the zone whose life ended
/// before. After a reload the lock is held already, and only the identity may be another
/// one, since a zone of another size is a new one: what the old one holds, its workers
/// return as they leave. While another nginx holds the lock, as in a binary upgrade, there
/// is nothing to know. To be called in the master.
///
/// # Errors
/// A sentence: the file cannot be used. The edge works without it.
pub(crate) fn begin(path: &Path, zone: &Zone) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let held = LOCKED.load(Ordering::Relaxed);
    if held >= 0 {
        // SAFETY: it is open until this process ends, and is not closed here.
        let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(held) });
        return write(&mut file, zone.identity()).map_err(failed);
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    if !lock(file.as_raw_fd()) {
        return Ok(());
    }
    let mut before = String::new();
    // Whatever else is in it names nobody.
    let _ = file.read_to_string(&mut before);
    if let Ok(identity) = u64::from_str_radix(before.trim(), 16) {
        zone.set_predecessor(identity);
    }
    write(&mut file, zone.identity()).map_err(failed)?;
    LOCKED.store(file.into_raw_fd(), Ordering::Relaxed);
    Ok(())
}

fn lock(file: RawFd) -> bool {
    // SAFETY: the descriptor is open. Rust opens files with O_CLOEXEC, so that a new
    // binary does not inherit the lock.
    unsafe { libc::flock(file, libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

fn write(file: &mut File, identity: u64) -> std::io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    writeln!(file, "{identity:016x}")
}
