//! Which folder a process has, and what dead processes left.
//!
//! A folder belongs to the process that holds the lock of the file `lock` in it. The
//! kernel releases it when the process ends, however it ends.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::JournalError;
use super::files::EXTENSION;
use super::load::{self, Loaded};

/// Processes that may have journals below one folder.
const MOST: u32 = 256;

/// A folder that is this process's own as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it.
    pub(super) fn load(&self) -> Result<Loaded, JournalError> {
        load::load(&self.path).map_err(|source| JournalError::Io {
            path: self.path.clone(),
            source,
        })
    }

    /// The first folder below `base` that no living process has.
    pub(super) fn take(base: &Path) -> Result<Self, JournalError> {
        for number in 1..=MOST {
            let path = base.join(number.to_string());
            if let Some(folder) = Self::lock(&path)? {
                return Ok(folder);
            }
        }
        Err(JournalError::Io {
            path: base.to_owned(),
            source: io::Error::other(format!("{MOST} processes have a journal there")),
        })
    }

    /// The folders below `base` that no living process has, and that hold files.
    pub(super) fn abandoned(base: &Path) -> Result<Vec<Self>, JournalError> {
        let mut found = Vec::new();
        for number in 1..=MOST {
            let path = base.join(number.to_string());
            match has_files(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(source) => return Err(JournalError::Io { path, source }),
                Ok(false) => {}
                Ok(true) => found.extend(Self::lock(&path)?),
            }
        }
        Ok(found)
    }

    /// Makes the folder if need be, and locks it; `None` if another process has it.
    fn lock(path: &Path) -> Result<Option<Self>, JournalError> {
        let failed = |source| JournalError::Io {
            path: path.to_owned(),
            source,
        };
        // The names of buyers are nobody else's business.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self {
                path: path.to_owned(),
                _lock: lock,
            })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(failed(error.into())),
        }
    }
}

fn has_files(folder: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        if entry?.path().extension().is_some_and(|it| it == EXTENSION) {
            return Ok(true);
        }
    }
    Ok(false)
}
