//! Files of what is removed: JSON lines, on the disk before anything is removed.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::RetentionError;

/// A file that is being written. Buyers' names are in it: only its owner may read it. It is
/// deleted again unless it is kept.
#[derive(Debug)]
pub(super) struct ExportFile {
    path: PathBuf,
    file: File,
    digest: Sha256,
    lines: u64,
    bytes: u64,
    is_kept: bool,
}

impl ExportFile {
    /// A new file of this name.
    pub(super) fn create(folder: &Path, name: &str) -> Result<Self, RetentionError> {
        let path = folder.join(name);
        let failed = |source| RetentionError::File {
            path: path.clone(),
            source,
        };
        let mut folders = fs::DirBuilder::new();
        folders.recursive(true).mode(0o700);
        folders.create(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(failed)?;
        let created = Self {
            path: path.clone(),
            file,
            digest: Sha256::new(),
            lines: 0,
            bytes: 0,
            is_kept: false,
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
        Ok(created)
    }

    /// Adds lines; returns once they are on the disk. If they cannot be written, the file
    /// ends where it did before.
    pub(super) fn add(&mut self, lines: &[String]) -> Result<(), RetentionError> {
        let text: String = lines
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect();
        let added = self.file.write_all(text.as_bytes());
        if let Err(source) = added.and_then(|()| self.file.sync_all()) {
            if let Err(error) = self.file.set_len(self.bytes) {
                tracing::warn!(path = %self.path.display(), %error, "the file has an unfinished end");
            }
            return Err(RetentionError::File {
                path: self.path.clone(),
                source,
            });
        }
        self.digest.update(&text);
        self.lines += lines.len() as u64;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// Its path.
    pub(super) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// The number of its lines.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Its SHA-256, in hexadecimal digits.
    pub(super) fn digest(&self) -> String {
        let digest = self.digest.clone().finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Has it stay, since rows of it are, or may be, removed.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for ExportFile {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "an export of which nothing was removed stays");
        }
    }
}
