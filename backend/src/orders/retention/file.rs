//! Files of what is removed: JSON lines, complete on the disk before anything is removed.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::RetentionError;

/// A file that is being written. Buyers' names are in it: only its owner may read it.
#[derive(Debug)]
pub(super) struct ExportFile {
    path: PathBuf,
    writer: BufWriter<File>,
    digest: Sha256,
    lines: u64,
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
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(failed)?;
        Ok(Self {
            path,
            writer: BufWriter::new(file),
            digest: Sha256::new(),
            lines: 0,
        })
    }

    /// Adds lines.
    pub(super) fn write(&mut self, lines: &[String]) -> Result<(), RetentionError> {
        for line in lines {
            let bytes = [line.as_bytes(), b"\n"].concat();
            self.digest.update(&bytes);
            let written = self.writer.write_all(&bytes);
            written.map_err(|source| self.failed(source))?;
            self.lines += 1;
        }
        Ok(())
    }

    /// The number of lines so far.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Returns once all lines so far are on the disk, and the file in its folder.
    pub(super) fn sync(&mut self) -> Result<(), RetentionError> {
        let written = self
            .writer
            .flush()
            .and_then(|()| self.writer.get_ref().sync_all())
            .and_then(|()| File::open(self.path.parent().unwrap_or(&self.path))?.sync_all());
        written.map_err(|source| self.failed(source))
    }

    /// Completes the file; returns its path and its SHA-256.
    pub(super) fn finish(mut self) -> Result<(String, String), RetentionError> {
        self.sync()?;
        let digest = self.digest.finalize();
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((self.path.display().to_string(), digest))
    }

    fn failed(&self, source: std::io::Error) -> RetentionError {
        RetentionError::File {
            path: self.path.clone(),
            source,
        }
    }
}
