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
use std::os::fd::{FromRawFd, IntoRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use crate::state::Zone;

/// What it costs if the file cannot be used.
pub(crate) const COST: &str =
    "should this nginx be killed, what it keeps for when Redis is away is sold a minute later";

/// The file, which stays open in the master and its workers; -1 for none. They share one
/// open file, so that a lock that one of them takes is held by all.
static FILE: AtomicI32 = AtomicI32::new(-1);
/// Whether this process knows that the lock is held.
static HELD: AtomicBool = AtomicBool::new(false);
/// The identity of the configuration in force, to this process.
static OWN: AtomicU64 = AtomicU64::new(0);

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
/// is nothing to know: see [`go_on`]. To be called in the master.
///
/// # Errors
/// A sentence: the file cannot be used. The edge works without it.
pub(crate) fn begin(path: &Path, zone: &Zone) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if FILE.load(Ordering::Relaxed) < 0 {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        FILE.store(file.into_raw_fd(), Ordering::Relaxed);
    }
    let before = OWN.swap(zone.identity(), Ordering::Relaxed);
    claim(zone, before).map_err(failed)
}

/// Does what [`begin`] could not do while another nginx held the lock. To be called now and
/// then in a worker, since the master does nothing without a signal.
///
/// # Errors
/// The file cannot be read or written.
pub(crate) fn go_on(zone: &Zone) -> std::io::Result<()> {
    if HELD.load(Ordering::Relaxed) || FILE.load(Ordering::Relaxed) < 0 {
        return Ok(());
    }
    claim(zone, zone.identity())
}

/// Takes the lock, unless another nginx holds it, and writes the zone's identity. Whom the
/// file names has died, unless it is this edge itself, or what it was `before`: a worker may
/// have taken the lock, which the master cannot know.
fn claim(zone: &Zone, before: u64) -> std::io::Result<()> {
    let descriptor = FILE.load(Ordering::Relaxed);
    let was_held = HELD.load(Ordering::Relaxed);
    if !was_held && !lock(descriptor) {
        return Ok(());
    }
    // SAFETY: it is open until this process ends, and is not closed here.
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor) });
    if !was_held {
        let mut named = String::new();
        file.rewind()?;
        // Whatever else is in it names nobody.
        let _ = file.read_to_string(&mut named);
        if let Ok(identity) = u64::from_str_radix(named.trim(), 16)
            && ![before, zone.identity()].contains(&identity)
        {
            zone.set_predecessor(identity);
        }
    }
    write(&mut file, zone.identity())?;
    HELD.store(true, Ordering::Relaxed);
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
