//! The log files of a child, which nobody else keeps from filling the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often their lengths are looked at. The analysis reads a renamed log on for as
/// long, for what workers write into it until they have opened the new one.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// The logs of one child, each with the length at which it is renamed.
pub(super) struct Logs {
    files: Vec<PathBuf>,
    /// In bytes; 0: they grow without a bound.
    most: u64,
    /// Whether renaming failed, which is reported once.
    is_failing: bool,
}

impl Logs {
    /// Those `files`, renamed at `megabytes`; 0: never.
    pub(super) fn new(files: Vec<PathBuf>, megabytes: u64) -> Self {
        Self {
            files,
            most: megabytes * 1_000_000,
            is_failing: false,
        }
    }

    /// Renames each log that has grown to its bound to `NAME.1`, in place of the one
    /// before. Returns whether there was one: its writer has to open a new file.
    pub(super) fn rotate(&mut self) -> bool {
        if self.most == 0 {
            return false;
        }
        let mut any = false;
        for file in &self.files {
            if std::fs::metadata(file).map_or(0, |it| it.len()) < self.most {
                continue;
            }
            match rename(file) {
                Ok(()) => (any, self.is_failing) = (true, false),
                Err(error) if !self.is_failing => {
                    self.is_failing = true;
                    tracing::warn!(log = %file.display(), %error, "this log cannot be renamed and goes on growing; make its folder writable");
                }
                Err(_) => {}
            }
        }
        any
    }
}

fn rename(file: &Path) -> io::Result<()> {
    let mut old = file.as_os_str().to_owned();
    old.push(".1");
    std::fs::rename(file, old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_renamed_at_its_bound_in_place_of_the_one_before() {
        let folder = tempfile::TempDir::new().unwrap();
        let [long, short] = ["long.log", "short.log"].map(|name| folder.path().join(name));
        let old = folder.path().join("long.log.1");
        let filled = |byte: u8| vec![byte; 1_000_000];
        let logs = |megabytes| Logs::new(vec![long.clone(), short.clone()], megabytes);
        std::fs::write(&short, &filled(b'x')[1..]).unwrap();
        for byte in [b'1', b'2'] {
            std::fs::write(&long, filled(byte)).unwrap();
            assert!(!logs(0).rotate() && !logs(2).rotate());
            assert!(logs(1).rotate());
            assert!(std::fs::read(&old).unwrap() == filled(byte));
            assert!(!long.exists() && short.exists());
        }
        assert!(!logs(1).rotate(), "there is none to be renamed");
    }
}
