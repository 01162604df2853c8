//! The CDN origin: a folder that nginx serves, changed in steps that a reader
//! never sees half of.
//!
//! Several renderers may share it; who changes anything holds the lock, which the
//! kernel takes back from a process that dies. What the renderers note for
//! themselves lies in `.origin/`, which no location serves.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Folder of the renderers' own notes.
const NOTES: &str = ".origin";

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    root: PathBuf,
}

/// Held while something is changed.
pub(super) struct Locked<'a> {
    origin: &'a Origin,
    _file: Flock<File>,
}

impl Origin {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        for folder in [
            "product",
            "assets",
            "pictures",
            ".origin/rounds",
            ".origin/purges",
        ] {
            fs::create_dir_all(root.join(folder))?;
        }
        let root = root.to_owned();
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Waits for the lock. Blocks: not for the runtime's own threads.
    pub(super) fn lock(&self) -> io::Result<Locked<'_>> {
        let path = self.root.join(NOTES).join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let file = Flock::lock(file, FlockArg::LockExclusive);
        let _file = file.map_err(|(_, error)| io::Error::from(error))?;
        Ok(Locked {
            origin: self,
            _file,
        })
    }

    /// A note, or `None` if there is none that can be read: every note can be
    /// made again.
    pub(super) fn note<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = fs::read(self.root.join(NOTES).join(name)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Names of the notes in a folder of them.
    pub(super) fn notes(&self, folder: &str) -> io::Result<Vec<String>> {
        names(&self.root.join(NOTES).join(folder))
    }

    /// Paths of the files below a served folder.
    pub(super) fn files(&self, folder: &str) -> io::Result<Vec<String>> {
        names(&self.root.join(folder))
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.root.join(file).is_file()
    }
}

impl Locked<'_> {
    /// Whether the file holds something else, or is not there.
    pub(super) fn differs(&self, file: &str, bytes: &[u8]) -> bool {
        fs::read(self.origin.root.join(file)).map_or(true, |held| held != bytes)
    }

    /// Puts `bytes` at `file` in one step, on the disk when it returns.
    pub(super) fn write(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        replace(&self.origin.root.join(file), bytes)
    }

    /// Removes a file that may be gone already.
    pub(super) fn remove(&self, file: &str) -> io::Result<()> {
        match fs::remove_file(self.origin.root.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn write_note(&self, name: &str, note: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(note).map_err(io::Error::other)?;
        self.write(&format!("{NOTES}/{name}"), &text)
    }

    pub(super) fn remove_note(&self, name: &str) -> io::Result<()> {
        self.remove(&format!("{NOTES}/{name}"))
    }

    /// Removes drafts that a killed renderer left: whoever holds the lock knows
    /// that nobody is writing one.
    pub(super) fn remove_drafts(&self, folder: &str) -> io::Result<()> {
        for name in fs::read_dir(self.origin.root.join(folder))? {
            let name = name?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') && name.ends_with(DRAFT) {
                self.remove(&format!("{folder}/{name}"))?;
            }
        }
        Ok(())
    }
}

/// Counts this process's drafts.
static DRAFTS: AtomicU64 = AtomicU64::new(0);
/// How a draft's name ends.
const DRAFT: &str = ".draft";

/// Paths of the files below `folder`, hidden ones and so drafts left out.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    add_names(folder, "", &mut found)?;
    Ok(found)
}

fn add_names(folder: &Path, prefix: &str, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Every name of ours is of letters that are text anywhere.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            add_names(&entry.path(), &format!("{name}/"), found)?;
        } else {
            found.push(name);
        }
    }
    Ok(())
}

/// Puts `bytes` at `path` in one step: a reader sees the old file or the new one,
/// never half of one, and so does whoever looks after a power cut.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // What is not changed under the lock does not share a draft.
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let draft = folder.join(format!(".{name}.{}.{number}{DRAFT}", std::process::id()));
    let written = write_draft(&draft, path, bytes)
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        // The draft is of no use to anybody; the first error is what matters.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write_draft(draft: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(draft)?;
    file.write_all(bytes)?;
    // nginx makes the ETag of the length and the second of the last change: two
    // versions of the same length within one second must not share it.
    if let Ok(old) = fs::metadata(path).and_then(|old| old.modified()) {
        let next = second_of(old) + 1;
        if second_of(SystemTime::now()) < next {
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(next))?;
        }
    }
    file.sync_all()
}

fn second_of(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_versions_within_a_second_differ_in_what_nginx_makes_the_etag_of() {
        let folder = std::env::temp_dir().join(format!("seckill-origin-{}", std::process::id()));
        let origin = Origin::open(&folder).unwrap();
        let locked = origin.lock().unwrap();
        let mut seconds = Vec::new();
        for text in ["one", "two", "six"] {
            locked.write("product/1-1.html", text.as_bytes()).unwrap();
            let file = fs::metadata(folder.join("product/1-1.html")).unwrap();
            seconds.push(second_of(file.modified().unwrap()));
        }
        assert!(seconds.is_sorted_by(|a, b| a < b), "{seconds:?}");
        assert_eq!(origin.files("product").unwrap(), ["1-1.html"]);
        drop(locked);
        fs::remove_dir_all(folder).unwrap();
    }
}
