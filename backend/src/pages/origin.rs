//! The CDN origin: a folder that nginx serves, changed in atomic steps.
//!
//! Several renderers may share it. Every change is made under the lock, which the
//! kernel releases when a process dies. The renderers keep their own notes in
//! `.origin/`, which no location serves.

use std::collections::BTreeSet;
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

/// The CDN origin.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    root: PathBuf,
}

/// The lock of the origin, and the changes that it allows.
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

    /// Waits for the lock. Blocks; not for the runtime's own threads.
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

    /// Reads a note; `None` if it is missing or damaged, since every note can be made
    /// again.
    pub(super) fn note<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = fs::read(self.root.join(NOTES).join(name)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Names of the notes in a folder.
    pub(super) fn notes(&self, folder: &str) -> io::Result<Vec<String>> {
        names(&self.root.join(NOTES).join(folder))
    }

    /// Paths of the files below a served folder.
    pub(super) fn files(&self, folder: &str) -> io::Result<Vec<String>> {
        names(&self.root.join(folder))
    }

    /// When a served file was last changed, epoch milliseconds; `None` if it is missing.
    pub(super) fn changed_ms(&self, file: &str) -> Option<u64> {
        let changed = fs::metadata(self.root.join(file)).ok()?.modified();
        let since = changed.ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok()
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.root.join(file).is_file()
    }
}

impl Locked<'_> {
    /// Whether the file has another content or is missing.
    pub(super) fn differs(&self, file: &str, bytes: &[u8]) -> bool {
        fs::read(self.origin.root.join(file)).map_or(true, |held| held != bytes)
    }

    /// Writes a file atomically; it is on the disk when this returns.
    pub(super) fn write(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        replace(&self.origin.root.join(file), bytes)
    }

    /// Writes many files, each atomically; all are on the disk when this returns.
    /// Waiting for the disk once is much faster than once for each file.
    pub(super) fn write_all(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        if files.len() < WORTH_A_SYNC {
            return files
                .iter()
                .try_for_each(|(file, bytes)| self.write(file, bytes));
        }
        let mut drafts = Vec::with_capacity(files.len());
        let written = self
            .write_drafts(files, &mut drafts)
            .and_then(|()| self.rename_drafts(&drafts));
        if written.is_err() {
            // Drafts that were renamed are gone; the first error is reported.
            for (draft, _) in &drafts {
                let _ = fs::remove_file(draft);
            }
        }
        written
    }

    fn write_drafts(
        &self,
        files: &[(String, Vec<u8>)],
        drafts: &mut Vec<(PathBuf, PathBuf)>,
    ) -> io::Result<()> {
        for (file, bytes) in files {
            let path = self.origin.root.join(file);
            let draft = draft_of(&path)?;
            drafts.push((draft.clone(), path.clone()));
            drop(fill_draft(&draft, &path, bytes)?);
        }
        Ok(())
    }

    /// Renames drafts, whose content must be on the disk before that.
    fn rename_drafts(&self, drafts: &[(PathBuf, PathBuf)]) -> io::Result<()> {
        nix::unistd::syncfs(&File::open(&self.origin.root)?)?;
        let mut folders = BTreeSet::new();
        for (draft, path) in drafts {
            fs::rename(draft, path)?;
            folders.extend(path.parent());
        }
        folders
            .into_iter()
            .try_for_each(|folder| File::open(folder)?.sync_all())
    }

    /// Sets the time of a file's last change to now, if it exists.
    pub(super) fn renew(&self, file: &str) -> io::Result<()> {
        match OpenOptions::new()
            .write(true)
            .open(self.origin.root.join(file))
        {
            Ok(file) => file.set_modified(SystemTime::now()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes a file, if it exists.
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

    pub(super) fn write_notes(&self, notes: &[(String, impl Serialize)]) -> io::Result<()> {
        let file = |(name, note): &(String, _)| {
            let text = serde_json::to_vec(note).map_err(io::Error::other)?;
            Ok((format!("{NOTES}/{name}"), text))
        };
        let files: io::Result<Vec<_>> = notes.iter().map(file).collect();
        self.write_all(&files?)
    }

    pub(super) fn remove_note(&self, name: &str) -> io::Result<()> {
        self.remove(&format!("{NOTES}/{name}"))
    }

    /// Removes drafts that a killed renderer left: under the lock nobody else writes
    /// one.
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
/// The number of files from which on syncing the whole file system is faster than
/// syncing each file.
const WORTH_A_SYNC: usize = 8;
/// The end of a draft's name.
const DRAFT: &str = ".draft";

/// Paths of the files below `folder`, without hidden ones such as drafts.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    add_names(folder, "", &mut found)?;
    Ok(found)
}

fn add_names(folder: &Path, prefix: &str, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Names that are not UTF-8 are not ours.
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

/// Writes a file atomically: a reader sees the old content or the new one, never a
/// part, also after a power cut.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = draft_of(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = fill_draft(&draft, path, bytes)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        // The first error is reported.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// The path of the next draft of `path`, whose folder is created.
fn draft_of(path: &Path) -> io::Result<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Callers without the lock must not share a draft.
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    Ok(folder.join(format!(".{name}.{}.{number}{DRAFT}", std::process::id())))
}

/// Writes the draft, without waiting for the disk.
fn fill_draft(draft: &Path, path: &Path, bytes: &[u8]) -> io::Result<File> {
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
    Ok(file)
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

    #[test]
    fn many_files_at_once_are_all_in_their_places_and_no_draft_is_left() {
        let folder = std::env::temp_dir().join(format!("seckill-many-{}", std::process::id()));
        let origin = Origin::open(&folder).unwrap();
        let locked = origin.lock().unwrap();
        let file = |n: usize| (format!("product/1-{n}.html"), n.to_string().into_bytes());
        let files: Vec<_> = (0..3 * WORTH_A_SYNC).map(file).collect();
        locked.write_all(&files).unwrap();
        for (name, bytes) in &files {
            assert!(!locked.differs(name, bytes), "{name}");
        }
        let there = fs::read_dir(folder.join("product")).unwrap().count();
        assert_eq!(there, files.len());
        // A folder stands where a file should: it fails, and cleans up.
        fs::create_dir_all(folder.join("product/1-x.html/in")).unwrap();
        let mut blocked = files;
        blocked.push(("product/1-x.html".to_owned(), b"x".to_vec()));
        assert!(locked.write_all(&blocked).is_err());
        let names = fs::read_dir(folder.join("product")).unwrap();
        let is_draft = |name: &str| name.ends_with(DRAFT);
        assert!(
            !names
                .flatten()
                .any(|it| is_draft(&it.file_name().to_string_lossy()))
        );
        drop(locked);
        fs::remove_dir_all(folder).unwrap();
    }
}
